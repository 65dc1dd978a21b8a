//! The forms of a request target, and what it never holds (RFC 9112 section 3.2).

use super::{Case, Connection};

const S: &str = "RFC 9112 3.2";
const ABSOLUTE: &str = "RFC 9112 3.2.2";

pub(super) const CASES: &[Case] = &[
    Case::client("target.query", "RFC 9112 3.2.1", "GET /x?a=b&c=%20d {h}\r\n")
        .kept()
        .gets(&["GET /x?a=b&c=%20d"]),
    Case::client("target.query-only", "RFC 9112 3.2.1", "GET /?a {h}\r\n").kept().gets(&["GET /?a"]),
    Case::client("target.query-signs", "RFC 3986 3.4", "GET /x?a=/?:@!$'()*+,;b {h}\r\n")
        .kept()
        .gets(&["GET /x?a=/?:@!$'()*+,;b"]),
    Case::client("target.absolute", ABSOLUTE, "GET http://a.example/x?y {h}\r\n")
        .kept()
        .gets(&["GET /x?y"])
        .forwards(&["host: a.example\r\n"]),
    Case::client("target.absolute-case", ABSOLUTE, "GET HTTP://A.example:80/x {h}\r\n")
        .answered(&[&[200, 400]], Connection::Either),
    Case::client("target.absolute-no-path", "RFC 9110 4.2.3", "GET http://a.example {h}\r\n")
        .kept()
        .gets(&["GET /"]),
    Case::client("target.absolute-query", "RFC 9110 4.2.3", "GET http://a.example?y {h}\r\n")
        .kept()
        .gets(&["GET /?y"]),
    Case::client("target.absolute-options", "RFC 9112 3.2.4", "OPTIONS http://a.example {h}\r\n")
        .gets(&["OPTIONS *"]),
    Case::client("target.absolute-other", ABSOLUTE, "GET http://b.example/x {h}\r\n").refused(),
    Case::client("target.absolute-other-port", ABSOLUTE, "GET http://a.example:81/x {h}\r\n").refused(),
    Case::client("target.absolute-empty-host", S, "GET http://a.example/x HTTP/1.1\r\nHost:\r\n\r\n")
        .refused(),
    Case::client("target.absolute-no-host", S, "GET http://a.example/x HTTP/1.1\r\n\r\n").refused(),
    Case::client("target.absolute-bad-host", S, "GET http://a.example/x HTTP/1.1\r\nHost: a b\r\n\r\n")
        .refused(),
    Case::client("target.absolute-two-hosts", S, "GET http://a.example/x {h}Host: a.example\r\n\r\n")
        .refused(),
    Case::client("target.absolute-http10", ABSOLUTE, "GET http://a.example/x HTTP/1.0\r\n\r\n")
        .closed()
        .gets(&["GET /x"])
        .forwards(&["host: a.example\r\n"]),
    Case::client("target.absolute-userinfo", "RFC 9110 4.2.4", "GET http://u:p@a.example/x {h}\r\n")
        .refused(),
    Case::client("target.absolute-no-authority", "RFC 9110 4.2.1", "GET http:///x {h}\r\n").refused(),
    Case::client("target.absolute-one-slash", S, "GET http:/x {h}\r\n")
        .refused()
        .shows(&["\r\nconnection: close\r\n"]),
    Case::client("target.absolute-port-text", S, "GET http://a.example:b/x {h}\r\n").refused(),
    Case::client("target.scheme-other", S, "GET ftp://a.example/x {h}\r\n").refused(),
    Case::client("target.scheme-file", S, "GET file:///etc/passwd {h}\r\n").refused(),
    Case::client("target.authority-form", "RFC 9112 3.2.3", "GET a.example:80 {h}\r\n").refused(),
    Case::client("target.asterisk", "RFC 9112 3.2.4", "OPTIONS * {h}\r\n").kept().gets(&["OPTIONS *"]),
    Case::client("target.asterisk-get", "RFC 9112 3.2.4", "GET * {h}\r\n").refused(),
    Case::client("target.asterisk-path", "RFC 9112 3.2.4", "OPTIONS *x {h}\r\n").refused(),
    Case::client("target.relative", S, "GET x {h}\r\n").refused(),
    Case::client("target.query-alone", S, "GET ?x {h}\r\n").refused(),
    Case::client("target.space", S, "GET /a b {h}\r\n").refused_as(&[&[400, 505]]),
    Case::client("target.nul", S, "GET /a\0b {h}\r\n").refused(),
    Case::client("target.control", S, "GET /a\u{1}b {h}\r\n").refused(),
    Case::client("target.delete", S, "GET /a\u{7f}b {h}\r\n").refused(),
    Case::client("target.tab", S, "GET /a\tb {h}\r\n").refused(),
    Case::client("target.lf", S, "GET /a\nb {h}\r\n").refused(),
    Case::client("target.cr", S, "GET /a\rb {h}\r\n").refused(),
    Case::client("target.other-letters", S, "GET /caf\u{e9} {h}\r\n").refused(),
    Case::client("target.fragment", S, "GET /a#b {h}\r\n").refused(),
    Case::client("target.backslash", "RFC 3986 3.3", "GET /a\\b {h}\r\n").refused(),
    Case::client("target.encoded-nul", "RFC 3986 7.3", "GET /a%00b {h}\r\n").refused(),
    Case::client("target.encoded-crlf", "RFC 3986 7.3", "GET /a%0d%0aX:b {h}\r\n").refused(),
    Case::client("target.dots", "RFC 3986 6.2.2.3", "GET /a/../x/./y {h}\r\n").kept().gets(&["GET /x/y"]),
    Case::client("target.dots-encoded", "RFC 3986 6.2.2", "GET /a/%2e%2E/x {h}\r\n").kept().gets(&["GET /x"]),
    Case::client("target.dots-above", "RFC 3986 5.2.4", "GET /../../x {h}\r\n")
        .answered(&[&[200, 400]], Connection::Either)
        .withholds(&[".."]),
    Case::client("target.slashes-first", "RFC 3986 3.3", "GET //evil.example/x {h}\r\n")
        .kept()
        .withholds(&["get //evil"]),
];

#[tokio::test]
async fn a_target_has_one_of_four_forms() {
    super::check(CASES).await;
}
