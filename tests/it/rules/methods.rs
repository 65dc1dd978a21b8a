//! Methods: which are passed on, which end here (RFC 9110 section 9, Max-Forwards of section 7.6.2).

use super::{Case, Connection};

/// 405: not for you; 501: not known.
const NO: &[&[u16]] = &[&[400, 405, 501]];

pub(super) const CASES: &[Case] = &[
    Case::client("method.trace", "RFC 9110 9.3.8", "TRACE /x {h}X-Secret: s\r\n\r\n")
        .refused_as(NO)
        .shows(&["\r\nallow: "])
        .hides(&["x-secret"]),
    Case::client("method.trace-max-forwards", "RFC 9110 7.6.2", "TRACE /x {h}Max-Forwards: 0\r\n\r\n")
        .refused_as(NO)
        .shows(&["\r\nallow: "]),
    Case::client(
        "method.connect",
        "RFC 9110 9.3.6",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n{tail}",
    )
    .refused_as(NO)
    .shows(&["\r\nallow: "]),
    Case::client("method.connect-path", "RFC 9110 9.3.6", "CONNECT /x {h}\r\n")
        .refused_as(NO)
        .shows(&["\r\nallow: "]),
    Case::client("method.unknown", "RFC 9110 9.1", "FROBNICATE /x {h}\r\n").kept().gets(&["FROBNICATE /x"]),
    Case::client("method.unknown-body", "RFC 9110 9.1", "FROBNICATE /x {h}Content-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["FROBNICATE /x hello"]),
    Case::client("method.lower-case", "RFC 9110 9.1", "get /x {h}\r\n").kept().gets(&["get /x"]),
    Case::client("method.mixed-case", "RFC 9110 9.1", "Post /x {h}Content-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["Post /x hello"]),
    Case::client("method.signs", "RFC 9110 9.1", "M-SEARCH /x {h}\r\n").kept().gets(&["M-SEARCH /x"]),
    Case::client("method.not-a-token", "RFC 9110 9.1", "GE(T /x {h}\r\n").refused(),
    Case::client("method.nul", "RFC 9110 9.1", "GE\0T /x {h}\r\n").refused(),
    Case::client("method.other-letters", "RFC 9110 9.1", "G\u{cb}T /x {h}\r\n").refused(),
    Case::client("method.head", "RFC 9110 9.3.2", "HEAD /x {h}\r\n")
        .replying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        .kept()
        .shows(&["content-length: 5"])
        .gets(&["HEAD /x"]),
    Case::client("method.options", "RFC 9110 9.3.7", "OPTIONS /x {h}\r\n").kept().gets(&["OPTIONS /x"]),
    Case::client("method.options-body", "RFC 9110 9.3.7", "OPTIONS /x {h}Content-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["OPTIONS /x hello"]),
    Case::client("method.max-forwards", "RFC 9110 7.6.2", "OPTIONS /x {h}Max-Forwards: 0\r\n\r\n")
        .answered(&[&[200, 204]], Connection::Kept)
        .gets_nothing()
        .shows(&["allow: "]),
    Case::client("method.max-forwards-asterisk", "RFC 9110 7.6.2", "OPTIONS * {h}Max-Forwards: 0\r\n\r\n")
        .answered(&[&[200, 204]], Connection::Kept)
        .gets_nothing(),
    Case::client("method.max-forwards-less", "RFC 9110 7.6.2", "OPTIONS /x {h}Max-Forwards: 7\r\n\r\n")
        .kept()
        .forwards(&["max-forwards: 6\r\n"])
        .withholds(&["max-forwards: 7"]),
    Case::client("method.max-forwards-get", "RFC 9110 7.6.2", "GET /x {h}Max-Forwards: 0\r\n\r\n")
        .kept()
        .gets(&["GET /x"]),
    Case::client("method.max-forwards-text", "RFC 9110 7.6.2", "OPTIONS /x {h}Max-Forwards: x\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either),
    Case::client(
        "method.max-forwards-large",
        "RFC 9110 7.6.2",
        "OPTIONS /x {h}Max-Forwards: 99999999999999999999\r\n\r\n",
    )
    .answered(&[&[200, 400]], Connection::Either)
    .withholds(&["max-forwards: 99999999999999999999"]),
];

#[tokio::test]
async fn methods_pass_or_end_here() {
    super::check(CASES).await;
}
