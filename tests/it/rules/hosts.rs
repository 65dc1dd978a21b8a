//! Exactly one Host that agrees with the target (RFC 9110 section 7.2, RFC 9112 section 3.2).

use super::{Case, Connection};

const S: &str = "RFC 9112 3.2";
const GRAMMAR: &str = "RFC 9110 7.2";

/// A GET whose Host field has this value.
macro_rules! hosted {
    ($name:literal, $value:literal) => {
        Case::client($name, GRAMMAR, concat!("GET /x HTTP/1.1\r\nHost: ", $value, "\r\n\r\n"))
    };
}

pub(super) const CASES: &[Case] = &[
    hosted!("host.name", "a.example").kept().forwards(&["host: a.example\r\n"]),
    hosted!("host.case", "A.Example").kept().forwards(&["host: a.example\r\n"]),
    hosted!("host.port", "a.example:8080").kept().forwards(&["host: a.example:8080\r\n"]),
    hosted!("host.port-default", "a.example:80").kept().forwards(&["host: a.example"]),
    hosted!("host.port-empty", "a.example:").answered(&[&[200, 400]], Connection::Either),
    hosted!("host.address", "192.0.2.1").kept().forwards(&["host: 192.0.2.1\r\n"]),
    hosted!("host.ipv6", "[2001:db8::1]:8080").kept().forwards(&["host: [2001:db8::1]:8080\r\n"]),
    hosted!("host.underscore", "a_b.example").kept().forwards(&["host: a_b.example\r\n"]),
    hosted!("host.final-dot", "a.example.").answered(&[&[200, 400]], Connection::Either),
    hosted!("host.space", "a b").refused(),
    hosted!("host.tab", "a\tb").refused(),
    hosted!("host.slash", "a.example/b").refused(),
    hosted!("host.backslash", "a.example\\b").refused(),
    hosted!("host.query", "a.example?b").refused(),
    hosted!("host.fragment", "a.example#b").refused(),
    hosted!("host.list", "a.example, b.example").refused(),
    hosted!("host.list-same", "a.example,a.example").refused(),
    hosted!("host.userinfo", "u@a.example").refused().shows(&["\r\nconnection: close\r\n"]),
    hosted!("host.scheme", "http://a.example").refused(),
    hosted!("host.port-text", "a.example:http").refused(),
    hosted!("host.port-plus", "a.example:+80").refused(),
    hosted!("host.port-minus", "a.example:-80").refused(),
    hosted!("host.port-large", "a.example:65536").refused(),
    hosted!("host.port-two", "a.example:80:80").refused(),
    hosted!("host.ipv6-open", "[::1").refused(),
    hosted!("host.ipv6-bare", "::1").refused(),
    hosted!("host.ipv6-wrong", "[::g]").refused(),
    hosted!("host.ipv6-behind", "[::1]evil").refused(),
    hosted!("host.other-letters", "caf\u{e9}.example").refused(),
    hosted!("host.nul", "a.example\0").refused(),
    hosted!("host.angle", "<a.example>").refused(),
    Case::client("host.missing", S, "GET /x HTTP/1.1\r\n\r\n").refused(),
    Case::client("host.missing-others", S, "GET /x HTTP/1.1\r\nX-Host: a.example\r\n\r\n").refused(),
    Case::client("host.empty", "RFC 9110 4.2.1", "GET /x HTTP/1.1\r\nHost:\r\n\r\n").refused(),
    Case::client("host.two-same", S, "GET /x {h}Host: a.example\r\n\r\n").refused(),
    Case::client("host.two-different", S, "GET /x {h}Host: b.example\r\n\r\n").refused(),
    Case::client("host.two-apart", S, "GET /x {h}X-A: b\r\nhOST: b.example\r\n\r\n").refused(),
    Case::client("host.second-empty", S, "GET /x {h}Host:\r\n\r\n").refused(),
    Case::client("host.name-space", "RFC 9112 5.1", "GET /x HTTP/1.1\r\nHost : a.example\r\n\r\n").refused(),
    Case::client("host.folded", "RFC 9112 5.2", "GET /x HTTP/1.1\r\nHost: a.example\r\n .evil\r\n\r\n")
        .refused(),
    Case::client("host.http10-missing", S, "GET /x HTTP/1.0\r\n\r\n").closed().gets(&["GET /x"]),
    Case::client("host.http10-bad", S, "GET /x HTTP/1.0\r\nHost: a b\r\n\r\n").refused(),
    Case::client("host.http10-two", S, "GET /x HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").refused(),
];

#[tokio::test]
async fn a_request_has_one_host_in_due_form() {
    super::check(CASES).await;
}
