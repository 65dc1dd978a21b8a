//! Lines of a request head: the version, CRLF, no fold (RFC 9112 sections 2, 3 and 5).

use super::{Case, Connection};

const START: &str = "RFC 9112 3";
const VERSION: &str = "RFC 9112 2.3";
const LINES: &str = "RFC 9112 2.2";
/// 505 says that the version is not spoken here, 400 that there is none.
const NO: &[&[u16]] = &[&[400, 505]];

pub(super) const CASES: &[Case] = &[
    Case::client("line.plain", START, "GET /x {h}\r\n").kept().gets(&["GET /x"]),
    Case::client("line.empty-before", LINES, "\r\nGET /x {h}\r\n").kept().gets(&["GET /x"]),
    Case::client("line.empty-between", LINES, "GET /x {h}\r\n\r\nGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["GET /x", "GET /y"]),
    Case::client("line.http09", VERSION, "GET /x\r\n").half_closes().refused_as(NO),
    Case::client("line.http09-head", VERSION, "GET /x\r\n\r\n").refused_as(NO),
    Case::client("line.version-0.9", VERSION, "GET /x HTTP/0.9\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-1.10", VERSION, "GET /x HTTP/1.10\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-1.2", "RFC 9110 2.5", "GET /x HTTP/1.2\r\nHost: a.example\r\n\r\n")
        .answered(&[&[200, 400, 505]], Connection::Either),
    Case::client("line.version-2.0", VERSION, "GET /x HTTP/2.0\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-3.0", VERSION, "GET /x HTTP/3.0\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-9.9", VERSION, "GET /x HTTP/9.9\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-case", VERSION, "GET /x http/1.1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-zero", VERSION, "GET /x HTTP/01.1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-no-minor", VERSION, "GET /x HTTP/1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-empty-minor", VERSION, "GET /x HTTP/1.\r\nHost: a.example\r\n\r\n")
        .refused_as(NO),
    Case::client("line.version-no-slash", VERSION, "GET /x HTTP1.1\r\nHost: a.example\r\n\r\n")
        .refused_as(NO),
    Case::client("line.version-letters", VERSION, "GET /x HTTP/a.b\r\nHost: a.example\r\n\r\n")
        .refused_as(NO),
    Case::client("line.version-comma", VERSION, "GET /x HTTP/1,1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.version-other", VERSION, "GET /x HTCPCP/1.1\r\nHost: a.example\r\n\r\n")
        .refused_as(NO),
    Case::client("line.version-space", VERSION, "GET /x HTTP/1. 1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.space-first", START, " GET /x {h}\r\n").refused(),
    Case::client("line.space-last", START, "GET /x HTTP/1.1 \r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.two-spaces", START, "GET  /x {h}\r\n").refused_as(NO),
    Case::client("line.two-spaces-behind", START, "GET /x  {h}\r\n").refused_as(NO),
    Case::client("line.tab", START, "GET\t/x {h}\r\n").refused_as(NO),
    Case::client("line.tab-behind", START, "GET /x\tHTTP/1.1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.no-target", START, "GET HTTP/1.1\r\nHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.no-method", START, "/x {h}\r\n").refused_as(NO),
    Case::client("line.garbage", START, "\u{16}\u{3}\u{1}\r\n\r\n").refused_as(NO),
    Case::client("line.request-line-lf", LINES, "GET /x HTTP/1.1\nHost: a.example\r\n\r\n").refused(),
    Case::client("line.field-lf", LINES, "GET /x {h}X-A: b\nX-C: d\r\n\r\n").refused(),
    Case::client("line.end-lf", LINES, "GET /x {h}\n{tail}").refused(),
    Case::client("line.all-lf", LINES, "GET /x HTTP/1.1\nHost: a.example\n\n{tail}").refused(),
    Case::client("line.request-line-cr", LINES, "GET /x HTTP/1.1\rHost: a.example\r\n\r\n").refused_as(NO),
    Case::client("line.field-cr", LINES, "GET /x {h}X-A: b\rX-C: d\r\n\r\n").refused(),
    Case::client("line.value-cr", LINES, "GET /x {h}X-A: b\r c\r\n\r\n").refused(),
    Case::client("line.two-cr", LINES, "GET /x {h}X-A: b\r\r\n\r\n").refused(),
    Case::client("line.end-cr", LINES, "GET /x {h}\r\r\n{tail}").refused(),
    Case::client("line.fold", "RFC 9112 5.2", "GET /x {h}X-A: b\r\n c\r\n\r\n").refused(),
    Case::client("line.fold-tab", "RFC 9112 5.2", "GET /x {h}X-A: b\r\n\tc\r\n\r\n").refused(),
    Case::client("line.fold-empty", "RFC 9112 5.2", "GET /x {h}X-A: b\r\n \r\n\r\n").refused(),
    Case::client("line.fold-first", LINES, "GET /x HTTP/1.1\r\n Host: a.example\r\n\r\n").refused(),
    Case::client("line.fold-first-spared", LINES, "GET /x HTTP/1.1\r\n X-A: b\r\nHost: a.example\r\n\r\n")
        .refused(),
    Case::client("line.fold-length", "RFC 9112 5.2", "POST /x {h}Content-Length: 1\r\n 0\r\n\r\nhellohello")
        .refused(),
    Case::client("line.cut", "RFC 9112 8", "GET /x {h}X-A: b\r\n").half_closes().broken_off(),
];

#[tokio::test]
async fn lines_end_in_crlf_and_say_a_known_version() {
    super::check(CASES).await;
}
