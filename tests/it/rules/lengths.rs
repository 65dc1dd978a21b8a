//! Content-Length of requests: one decimal number, once, or no request at all (RFC 9112 section 6.3).

use super::{Case, Connection};

const S: &str = "RFC 9112 6.3";
const HELLO: &[&str] = &["POST /x hello"];

pub(super) const CASES: &[Case] = &[
    Case::client("cl.plain", S, "POST /x {h}Content-Length: 5\r\n\r\nhello").kept().gets(HELLO),
    Case::client("cl.zero", S, "POST /x {h}Content-Length: 0\r\n\r\n").kept().gets(&["POST /x"]),
    Case::client("cl.none", S, "POST /x {h}\r\n").kept().gets(&["POST /x"]),
    Case::client("cl.space-around", "RFC 9112 5.1", "POST /x {h}Content-Length: \t 5 \t\r\n\r\nhello")
        .kept()
        .gets(HELLO),
    Case::client("cl.no-space", "RFC 9112 5.1", "POST /x {h}Content-Length:5\r\n\r\nhello")
        .kept()
        .gets(HELLO),
    Case::client("cl.name-case", "RFC 9110 5.1", "POST /x {h}cOnTeNt-lEnGtH: 5\r\n\r\nhello")
        .kept()
        .gets(HELLO),
    Case::client("cl.leading-zeros", "RFC 9110 8.6", "POST /x {h}Content-Length: 005\r\n\r\nhello")
        .kept()
        .gets(HELLO),
    Case::client("cl.body-like-request", S, "POST /x {h}Content-Length: 43\r\n\r\n{tail}")
        .kept()
        .gets(&["POST /x GET /smuggled HTTP/1.1\r\nHost: a.example"]),
    Case::client("cl.exact", S, "POST /x {h}Content-Length: 5\r\n\r\nhelloGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["POST /x hello", "GET /y"]),
    Case::client("cl.long", S, "POST /x {h}Content-Length: 5\r\n\r\nhello, world\r\n\r\n")
        .answered(&[&[200], &[400]], Connection::Closed)
        .gets(HELLO),
    Case::client("cl.put", S, "PUT /x {h}Content-Length: 5\r\n\r\nhello").kept().gets(&["PUT /x hello"]),
    Case::client("cl.patch", S, "PATCH /x {h}Content-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["PATCH /x hello"]),
    Case::client("cl.delete", S, "DELETE /x {h}Content-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["DELETE /x hello"]),
    Case::client("cl.get", "RFC 9110 9.3.1", "GET /x {h}Content-Length: 5\r\n\r\nhello")
        .withholds(&["smuggled"]),
    Case::client("cl.get-tail", "RFC 9110 9.3.1", "GET /x {h}Content-Length: 43\r\n\r\n{tail}")
        .gets(&["GET /x GET /smuggled HTTP/1.1\r\nHost: a.example"]),
    Case::client("cl.head-tail", "RFC 9110 9.3.2", "HEAD /x {h}Content-Length: 43\r\n\r\n{tail}")
        .gets(&["HEAD /x GET /smuggled HTTP/1.1\r\nHost: a.example"]),
    Case::client("cl.http10", S, "POST /x HTTP/1.0\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello")
        .closed()
        .gets(HELLO),
    Case::client("cl.short", "RFC 9112 8", "POST /x {h}Content-Length: 5\r\n\r\nhel")
        .half_closes()
        .broken_off(),
    Case::client("cl.short-none", "RFC 9112 8", "POST /x {h}Content-Length: 5\r\n\r\n")
        .half_closes()
        .broken_off(),
    Case::client("cl.plus", "RFC 9110 8.6", "POST /x {h}Content-Length: +5\r\n\r\nhello{tail}").refused(),
    Case::client("cl.minus", "RFC 9110 8.6", "POST /x {h}Content-Length: -5\r\n\r\nhello{tail}").refused(),
    Case::client("cl.minus-zero", "RFC 9110 8.6", "POST /x {h}Content-Length: -0\r\n\r\n{tail}").refused(),
    Case::client("cl.hex", "RFC 9110 8.6", "POST /x {h}Content-Length: 0x5\r\n\r\nhello{tail}").refused(),
    Case::client("cl.hex-digit", "RFC 9110 8.6", "POST /x {h}Content-Length: a\r\n\r\nhellohello{tail}")
        .refused(),
    Case::client("cl.empty", "RFC 9110 8.6", "POST /x {h}Content-Length: \r\n\r\n{tail}").refused(),
    Case::client("cl.text", "RFC 9110 8.6", "POST /x {h}Content-Length: five\r\n\r\nhello{tail}").refused(),
    Case::client("cl.fraction", "RFC 9110 8.6", "POST /x {h}Content-Length: 5.0\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.exponent", "RFC 9110 8.6", "POST /x {h}Content-Length: 5e0\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.underscore", "RFC 9110 8.6", "POST /x {h}Content-Length: 1_0\r\n\r\nhellohello{tail}")
        .refused(),
    Case::client("cl.space-inside", "RFC 9110 8.6", "POST /x {h}Content-Length: 5 5\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.quoted", "RFC 9110 8.6", "POST /x {h}Content-Length: \"5\"\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.parameter", "RFC 9110 8.6", "POST /x {h}Content-Length: 5;a=b\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.other-digits", "RFC 9110 8.6", "POST /x {h}Content-Length: \u{665}\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.nul", "RFC 9110 5.5", "POST /x {h}Content-Length: 5\0\r\n\r\nhello{tail}").refused(),
    Case::client("cl.vertical-tab", "RFC 9110 5.5", "POST /x {h}Content-Length: \u{b}5\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.list-same", S, "POST /x {h}Content-Length: 5, 5\r\n\r\nhello{tail}").refused(),
    Case::client("cl.list-two", S, "POST /x {h}Content-Length: 5, 6\r\n\r\nhello{tail}").refused(),
    Case::client("cl.list-empty-member", S, "POST /x {h}Content-Length: 5,\r\n\r\nhello{tail}").refused(),
    Case::client("cl.two-same", S, "POST /x {h}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello{tail}")
        .refused(),
    Case::client(
        "cl.two-different",
        S,
        "POST /x {h}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello{tail}",
    )
    .refused(),
    Case::client("cl.two-zero-first", S, "POST /x {h}Content-Length: 0\r\nContent-Length: 43\r\n\r\n{tail}")
        .refused(),
    Case::client(
        "cl.wraps",
        "RFC 9110 8.6",
        "POST /x {h}Content-Length: 18446744073709551621\r\n\r\nhello{tail}",
    )
    .refused_as(&[&[400, 413]]),
    Case::client("cl.many-digits", "RFC 9110 8.6", "POST /x {h}Content-Length: {9*40}\r\n\r\nhello{tail}")
        .refused_as(&[&[400, 413]]),
    Case::client("cl.too-large", "RFC 9110 15.5.14", "POST /x {h}Content-Length: 99999999999\r\n\r\nhello")
        .refused_as(&[&[413]]),
    Case::client("cl.name-space", "RFC 9112 5.1", "POST /x {h}Content-Length : 5\r\n\r\nhello{tail}")
        .refused(),
    Case::client("cl.underscored-name", "RFC 9110 5.1", "POST /x {h}Content_Length: 45\r\n\r\n{tail}")
        .refused(),
    Case::client("cl.folded", "RFC 9112 5.2", "POST /x {h}Content-Length:\r\n 45\r\n\r\n{tail}").refused(),
];

#[tokio::test]
async fn a_request_has_one_length_in_one_spelling() {
    super::check(CASES).await;
}
