//! Answers of a backend: what is passed on, what is completed, what is a 502 (RFC 9112 sections 4 to 8).

use super::{Case, Connection};

const LENGTH: &str = "RFC 9112 6.3";
const CHUNKS: &str = "RFC 9112 7.1";
const CUT: &str = "RFC 9112 8";
const STATUS: &str = "RFC 9110 15";
const LINE: &str = "RFC 9112 4";
const FIELD: &str = "RFC 9110 5.5";
const INTERIM: &str = "RFC 9110 15.2";

/// A 200 with these field lines, an empty line and this body.
macro_rules! ok {
    ($name:literal, $section:expr, $rest:literal) => {
        Case::backend($name, $section, concat!("HTTP/1.1 200 OK\r\n", $rest))
    };
}

pub(super) const CASES: &[Case] = &[
    ok!("resp.length", LENGTH, "Content-Length: 5\r\n\r\nhello").kept().body("hello"),
    ok!("resp.length-zero", LENGTH, "Content-Length: 0\r\n\r\n").kept().body(""),
    ok!("resp.chunked", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").kept().body("hello"),
    ok!("resp.chunked-case", "RFC 9112 7", "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").kept().body("hello"),
    ok!("resp.chunked-extension", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n").kept().body("hello"),
    ok!("resp.chunked-trailer", "RFC 9112 7.1.2", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n").kept().body("hello"),
    ok!("resp.until-close", LENGTH, "\r\nhello").hangs_up().body("hello"),
    ok!("resp.length-abc", LENGTH, "Content-Length: abc\r\n\r\nhello").hangs_up().bad_gateway(),
    ok!("resp.length-minus", LENGTH, "Content-Length: -1\r\n\r\nhello").hangs_up().bad_gateway(),
    ok!("resp.length-plus", LENGTH, "Content-Length: +5\r\n\r\nhello").hangs_up().bad_gateway(),
    ok!("resp.length-empty", LENGTH, "Content-Length:\r\n\r\nhello").hangs_up().bad_gateway(),
    ok!("resp.length-wraps", LENGTH, "Content-Length: 18446744073709551621\r\n\r\nhello").hangs_up().bad_gateway(),
    ok!("resp.length-two-different", LENGTH, "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!").hangs_up().bad_gateway(),
    ok!("resp.length-two-same", LENGTH, "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello").answered(&[&[200, 502]], Connection::Either),
    ok!("resp.length-list", LENGTH, "Content-Length: 5, 6\r\n\r\nhello!").hangs_up().bad_gateway(),
    ok!("resp.length-and-chunked", LENGTH, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .answered(&[&[200, 502]], Connection::Either)
        .hides(&["content-length: 5\r\n"]),
    ok!("resp.coding-gzip-chunked", "RFC 9112 6.1", "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").bad_gateway(),
    ok!("resp.coding-twice", "RFC 9112 6.1", "Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").bad_gateway(),
    ok!("resp.coding-like-chunked", "RFC 9112 6.1", "Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").bad_gateway(),
    Case::backend("resp.coding-http10", "RFC 9112 6.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .hangs_up()
        .bad_gateway(),
    ok!("resp.chunk-size-text", CHUNKS, "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n").broken(),
    // A deviation (`docs/conformance.md`): at least nothing of the rest goes anywhere.
    ok!("resp.chunk-size-empty", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n\r\nsmuggled\r\n0\r\n\r\n").hides(&["smuggled"]),
    ok!("resp.chunk-size-0x", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n").broken(),
    ok!("resp.chunk-size-wraps", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n").broken(),
    ok!("resp.chunk-size-minus", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n").broken(),
    ok!("resp.chunk-no-end", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n").hangs_up().broken(),
    ok!("resp.chunk-size-lf", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n").hangs_up().broken(),
    ok!("resp.chunk-extension-lf", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n").body("hello").hides(&["a\nb"]),
    ok!("resp.chunk-trailer-nonsense", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nnonsense\r\n\r\n").hides(&["nonsense"]),
    ok!("resp.chunk-trailer-length", "RFC 9110 6.5.1", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n").hides(&["content-length: 3"]),
    ok!("resp.cut-length", CUT, "Content-Length: 10\r\n\r\nhello").hangs_up().cut(),
    ok!("resp.cut-chunk", CUT, "Transfer-Encoding: chunked\r\n\r\na\r\nhello").hangs_up().cut(),
    ok!("resp.cut-before-last", CUT, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").hangs_up().cut(),
    ok!("resp.cut-in-last", CUT, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n").hangs_up().cut(),
    ok!("resp.cut-head", CUT, "Content-Le").hangs_up().bad_gateway(),
    ok!("resp.more", "RFC 9112 6.3", "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
        .body("ok")
        .kept()
        .hides(&["smuggled"]),
    ok!("resp.more-chunked", "RFC 9112 6.3", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
        .body("ok")
        .kept()
        .hides(&["smuggled"]),
    Case::backend("resp.more-no-content", "RFC 9112 6.3", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
        .answered(&[&[204]], Connection::Kept)
        .hides(&["smuggled"]),
    Case::backend("resp.204-length", "RFC 9110 8.6", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
        .answered(&[&[204]], Connection::Kept)
        .hides(&["content-length"]),
    Case::backend("resp.204-zero", "RFC 9110 8.6", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        .answered(&[&[204]], Connection::Kept)
        .hides(&["content-length"]),
    Case::backend("resp.204-body", "RFC 9112 6.3", "HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\nsmuggled")
        .answered(&[&[204]], Connection::Kept)
        .hides(&["smuggled"]),
    Case::backend("resp.204-chunked", "RFC 9112 6.1", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .answered(&[&[204, 502]], Connection::Either)
        .hides(&["transfer-encoding"]),
    Case::backend("resp.304-length", "RFC 9110 15.4.5", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n")
        .asked("GET /x {h}If-None-Match: \"a\"\r\n\r\n")
        .answered(&[&[304]], Connection::Kept)
        .shows(&["etag: \"a\""]),
    Case::backend("resp.304-body", "RFC 9112 6.3", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 8\r\n\r\nsmuggled")
        .asked("GET /x {h}If-None-Match: \"a\"\r\n\r\n")
        .answered(&[&[304]], Connection::Kept)
        .hides(&["smuggled"]),
    ok!("resp.head-length", "RFC 9110 9.3.2", "Content-Length: 5\r\n\r\n").asked("HEAD /x {h}\r\n").kept().shows(&["content-length: 5"]),
    ok!("resp.head-chunked", "RFC 9112 6.1", "Transfer-Encoding: chunked\r\n\r\n").asked("HEAD /x {h}\r\n").kept(),
    ok!("resp.head-body", "RFC 9112 6.3", "Content-Length: 8\r\n\r\nsmuggled").asked("HEAD /x {h}\r\n").kept().hides(&["smuggled"]),
    Case::backend("resp.status-099", STATUS, "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-600", STATUS, "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n").answered(&[&[500, 502, 600]], Connection::Either),
    Case::backend("resp.status-1000", LINE, "HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-20", LINE, "HTTP/1.1 20 Odd\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-abc", LINE, "HTTP/1.1 abc Odd\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-plus", LINE, "HTTP/1.1 +20 Odd\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-none", LINE, "HTTP/1.1\r\nContent-Length: 0\r\n\r\n").bad_gateway(),
    Case::backend("resp.status-unknown", STATUS, "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok").answered(&[&[299]], Connection::Kept).body("ok"),
    Case::backend("resp.status-499", STATUS, "HTTP/1.1 499 Odd\r\nContent-Length: 2\r\n\r\nok").answered(&[&[499]], Connection::Kept).body("ok"),
    Case::backend("resp.reason-none", LINE, "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok").kept().body("ok"),
    Case::backend("resp.reason-no-space", LINE, "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok").answered(&[&[200, 502]], Connection::Either),
    Case::backend("resp.reason-odd", LINE, "HTTP/1.1 200 All: \"is\" <well>\r\nContent-Length: 2\r\n\r\nok").kept().body("ok"),
    Case::backend("resp.reason-obs-text", LINE, "HTTP/1.1 200 caf\u{e9}\r\nContent-Length: 2\r\n\r\nok").answered(&[&[200, 502]], Connection::Either),
    Case::backend("resp.http10", "RFC 9112 2.3", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").hangs_up().shows(&["HTTP/1.1 200"]).hides(&["HTTP/1.0"]).body("ok"),
    Case::backend("resp.http10-until-close", LENGTH, "HTTP/1.0 200 OK\r\n\r\nhello").hangs_up().shows(&["HTTP/1.1 200"]).body("hello"),
    Case::backend("resp.version-2.0", LINE, "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    Case::backend("resp.version-case", LINE, "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    Case::backend("resp.protocol-other", LINE, "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    Case::backend("resp.garbage", LINE, "\u{1}\u{2}\u{3}\r\n\r\n").hangs_up().bad_gateway(),
    Case::backend("resp.empty", CUT, "").hangs_up().bad_gateway(),
    ok!("resp.fold", "RFC 9112 5.2", "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok").answered(&[&[200, 502]], Connection::Either).hides(&["\r\n c"]),
    Case::backend("resp.line-lf", "RFC 9112 2.2", "HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\nok").hangs_up().answered(&[&[200, 502]], Connection::Either).hides(&["ok\n", "b\nc"]),
    Case::backend("resp.empty-line-before", "RFC 9112 2.2", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").answered(&[&[200, 502]], Connection::Either),
    ok!("resp.field-nul", FIELD, "X-A: b\0c\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    ok!("resp.field-cr", FIELD, "X-A: b\rX-B: c\r\nContent-Length: 2\r\n\r\nok").hangs_up().answered(&[&[200, 502]], Connection::Either).hides(&["\rX-B"]),
    ok!("resp.field-control", FIELD, "X-A: b\u{1}c\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    ok!("resp.field-name-space", "RFC 9112 5.1", "X-A : b\r\nContent-Length: 2\r\n\r\nok").hangs_up().answered(&[&[200, 502]], Connection::Either).hides(&["x-a :"]),
    ok!("resp.field-no-colon", "RFC 9112 5", "nonsense\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    ok!("resp.field-name-empty", "RFC 9110 5.1", ": b\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    ok!("resp.field-lines", "RFC 9110 5.3", "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok")
        .kept()
        .shows(&["set-cookie: a=b\r\n", "set-cookie: c=d\r\n"]),
    ok!("resp.head-large", "RFC 9110 5.4", "X-A: {b*15000}\r\nX-B: {b*15000}\r\nContent-Length: 2\r\n\r\nok").kept().body("ok").shows(&["x-b: {b*15000}"]),
    ok!("resp.head-too-large", "RFC 9110 5.4", "X-A: {b*2000000}\r\nContent-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    ok!("resp.fields-many", "RFC 9110 5.4", "{X-A: b\r\n*90}Content-Length: 2\r\n\r\nok").kept().body("ok"),
    ok!("resp.fields-too-many", "RFC 9110 5.4", "{X-A: b\r\n*5000}Content-Length: 2\r\n\r\nok").hangs_up().bad_gateway(),
    Case::backend("resp.100", INTERIM, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").kept().body("ok"),
    Case::backend("resp.102", INTERIM, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").kept().body("ok").shows(&["HTTP/1.1 102 "]),
    Case::backend("resp.103", "RFC 8297 2", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .kept()
        .body("ok")
        .shows(&["HTTP/1.1 103 ", "link: </a>"]),
    Case::backend("resp.103-two", "RFC 8297 2", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .kept()
        .body("ok")
        .shows(&["link: </a>", "link: </b>"]),
    Case::backend("resp.103-nominated", "RFC 9110 7.6.1", "HTTP/1.1 103 Early Hints\r\nConnection: x-a\r\nX-A: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .kept()
        .hides(&["x-a"]),
    Case::backend("resp.1xx-unknown", INTERIM, "HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").kept().body("ok"),
    Case::backend("resp.1xx-http10", INTERIM, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .asked("GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
        .closed()
        .body("ok")
        .hides(&["1.1 103"]),
    Case::backend("resp.100-http10", INTERIM, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .asked("GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
        .closed()
        .body("ok")
        .hides(&["100 Continue"]),
    Case::backend("resp.1xx-cut", CUT, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").hangs_up().bad_gateway(),
    Case::backend("resp.1xx-length", "RFC 9110 8.6", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .answered(&[&[200, 502]], Connection::Either)
        .hides(&["content-length: 5"]),
    ok!("resp.integrity", LENGTH, "Content-Length: 1000000\r\n\r\n{0123456789*100000}").kept().body("{0123456789*100000}"),
    ok!("resp.integrity-chunks", CHUNKS, "Transfer-Encoding: chunked\r\n\r\n{5\r\nhello\r\n*20000}0\r\n\r\n").kept().body("{hello*20000}"),
    ok!("resp.http10-client-length", "RFC 9112 2.3", "Content-Length: 5\r\n\r\nhello")
        .asked("GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
        .closed()
        .body("hello"),
];

#[tokio::test]
async fn a_backends_answer_is_sound_or_a_bad_gateway() {
    super::check(CASES).await;
}
