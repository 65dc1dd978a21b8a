//! Transfer-Encoding of requests: `chunked`, alone, over HTTP/1.1 (RFC 9112 sections 6.1 and 6.3).

use super::Case;

const S: &str = "RFC 9112 6.1";
const HELLO: &[&str] = &["POST /x hello"];
/// 400 says malformed, 501 says that the coding is not known here.
const NO: &[&[u16]] = &[&[400, 501]];

pub(super) const CASES: &[Case] = &[
    Case::client("te.chunked", S, "POST /x {h}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    Case::client("te.case", "RFC 9112 7", "POST /x {h}Transfer-Encoding: cHuNkEd\r\n\r\n5\r\nhello\r\n0\r\n\r\n").kept().gets(HELLO),
    Case::client("te.space-around", "RFC 9112 5.1", "POST /x {h}Transfer-Encoding: \tchunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .kept()
        .gets(HELLO),
    Case::client("te.get", "RFC 9110 9.3.1", "GET /x {h}Transfer-Encoding: chunked\r\n\r\n2b\r\n{tail}\r\n0\r\n\r\n")
        .gets(&["GET /x GET /smuggled HTTP/1.1\r\nHost: a.example"]),
    Case::client("te.body-like-request", S, "POST /x {h}Transfer-Encoding: chunked\r\n\r\n2b\r\n{tail}\r\n0\r\n\r\n")
        .kept()
        .gets(&["POST /x GET /smuggled HTTP/1.1\r\nHost: a.example"]),
    Case::client("te.gzip", S, "POST /x {h}Transfer-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.identity", S, "POST /x {h}Transfer-Encoding: identity\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.unknown", S, "POST /x {h}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.gzip-chunked", S, "POST /x {h}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.identity-chunked", S, "POST /x {h}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.chunked-gzip", S, "POST /x {h}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.chunked-identity", S, "POST /x {h}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.chunked-twice", S, "POST /x {h}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.chunked-two-lines", S, "POST /x {h}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}")
        .refused_as(NO),
    Case::client("te.identity-line-first", S, "POST /x {h}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}")
        .refused_as(NO),
    Case::client("te.identity-line-last", S, "POST /x {h}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{tail}")
        .refused_as(NO),
    Case::client("te.parameter", "RFC 9112 7.1", "POST /x {h}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.quoted", S, "POST /x {h}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.empty", S, "POST /x {h}Transfer-Encoding:\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.comma", S, "POST /x {h}Transfer-Encoding: ,\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.comma-first", S, "POST /x {h}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.comma-last", S, "POST /x {h}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.space-inside", S, "POST /x {h}Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.two-words", S, "POST /x {h}Transfer-Encoding: chunked chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.nul", "RFC 9110 5.5", "POST /x {h}Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.vertical-tab", "RFC 9110 5.5", "POST /x {h}Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.other-letters", S, "POST /x {h}Transfer-Encoding: c\u{4b0}unked\r\n\r\n0\r\n\r\n{tail}").refused_as(NO),
    Case::client("te.name-space", "RFC 9112 5.1", "POST /x {h}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.name-underscore", "RFC 9110 5.1", "POST /x {h}Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.folded", "RFC 9112 5.2", "POST /x {h}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.behind-bare-lf", "RFC 9112 2.2", "POST /x {h}X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.behind-bare-cr", "RFC 9112 2.2", "POST /x {h}X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.cl-first", "RFC 9112 6.3", "POST /x {h}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.cl-last", "RFC 9112 6.3", "POST /x {h}Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.unknown-cl", "RFC 9112 6.3", "POST /x {h}Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello{tail}").refused_as(NO),
    Case::client("te.http10", S, "POST /x HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}").refused(),
    Case::client("te.http10-keep-alive", S, "POST /x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{tail}")
        .refused(),
    Case::client("te.http10-cl", S, "POST /x HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello{tail}").refused(),
];

#[tokio::test]
async fn a_request_is_chunked_or_has_no_coding() {
    super::check(CASES).await;
}
