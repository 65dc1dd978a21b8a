//! Fields that are for one connection only, and the mark of who passed a message on (RFC 9110 section 7.6).

use super::{Case, Connection};

const S: &str = "RFC 9110 7.6.1";

/// A backend's answer with these field lines in front of its length.
macro_rules! answered {
    ($name:literal, $section:expr, $lines:literal) => {
        Case::backend($name, $section, concat!("HTTP/1.1 200 OK\r\n", $lines, "Content-Length: 2\r\n\r\nok"))
    };
}

pub(super) const CASES: &[Case] = &[
    Case::client("hop.request-nominated", S, "GET /x {h}Connection: x-a, X-B\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\n")
        .kept()
        .withholds(&["x-a", "x-b", "connection: x-"])
        .forwards(&["x-c: 3"]),
    Case::client("hop.request-nominated-lines", S, "GET /x {h}Connection: x-a\r\nConnection: ,x-b\r\nX-A: 1\r\nX-B: 2\r\n\r\n")
        .kept()
        .withholds(&["x-a", "x-b"]),
    Case::client("hop.request-nominated-close", S, "GET /x {h}Connection: close, x-a\r\nX-A: 1\r\n\r\n").closed().withholds(&["x-a"]),
    Case::client("hop.request-end-to-end", S, "GET /x {h}Connection: authorization\r\nAuthorization: Basic eDp5\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either),
    Case::client("hop.request-host", S, "GET /x {h}Connection: host\r\n\r\n").refused(),
    Case::client("hop.request-length", S, "POST /x {h}Connection: content-length\r\nContent-Length: 43\r\n\r\n{tail}").refused(),
    Case::client("hop.request-coding", S, "POST /x {h}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .answered(&[&[200, 400]], Connection::Either),
    Case::client("hop.request-keep-alive", S, "GET /x {h}Connection: keep-alive\r\nKeep-Alive: timeout=9\r\n\r\n").kept().withholds(&["timeout=9"]),
    Case::client("hop.request-proxy-connection", S, "GET /x {h}Proxy-Connection: keep-alive\r\n\r\n").kept().withholds(&["proxy-connection"]),
    Case::client("hop.request-te", "RFC 9110 10.1.4", "GET /x {h}Connection: te\r\nTE: gzip;q=0.5\r\n\r\n").kept().withholds(&["te: gzip"]),
    Case::client("hop.request-te-alone", "RFC 9110 10.1.4", "GET /x {h}TE: gzip\r\n\r\n").kept().withholds(&["te: gzip"]),
    Case::client("hop.request-upgrade", "RFC 9110 7.8", "GET /x {h}Upgrade: tls/1.3\r\n\r\n").kept().withholds(&["upgrade"]),
    Case::client("hop.request-via", "RFC 9110 7.6.3", "GET /x {h}\r\n").kept().forwards(&["via: 1.1 "]),
    Case::client("hop.request-via-before", "RFC 9110 7.6.3", "GET /x {h}Via: 1.0 first\r\n\r\n").kept().forwards(&["1.0 first", "1.1 tidegate"]),
    Case::client("hop.request-via-http10", "RFC 9110 7.6.3", "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n").closed().forwards(&["via: 1.0 "]),
    Case::client("hop.request-version", "RFC 9110 2.5", "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n").closed().forwards(&["get /x http/1.1\r\n"]),
    Case::client("hop.request-circle", "RFC 9110 7.6.3", "GET /x {h}Via: 1.1 tidegate, 1.1 tidegate, 1.1 tidegate, 1.1 tidegate\r\n\r\n")
        .answered(&[&[508]], Connection::Either)
        .gets_nothing(),
    answered!("hop.response-nominated", S, "Connection: x-a, X-B\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n")
        .kept()
        .hides(&["x-a", "x-b"])
        .shows(&["x-c: 3"]),
    answered!("hop.response-nominated-close", S, "Connection: close, x-a\r\nX-A: 1\r\n").hangs_up().kept().hides(&["x-a"]),
    answered!("hop.response-end-to-end", S, "Connection: set-cookie, cache-control\r\nCache-Control: no-store\r\nSet-Cookie: a=b\r\n")
        .kept()
        .shows(&["cache-control: no-store", "set-cookie: a=b"]),
    answered!("hop.response-keep-alive", S, "Connection: keep-alive\r\nKeep-Alive: timeout=9\r\n").kept().hides(&["timeout=9"]),
    answered!("hop.response-keep-alive-alone", S, "Keep-Alive: timeout=9\r\n").kept().hides(&["timeout=9"]),
    answered!("hop.response-proxy-connection", S, "Proxy-Connection: close\r\n").kept().hides(&["proxy-connection"]),
    answered!("hop.response-upgrade", "RFC 9110 7.8", "Connection: upgrade\r\nUpgrade: h2c\r\n").kept().hides(&["h2c"]),
    answered!("hop.response-upgrade-alone", "RFC 9110 7.8", "Upgrade: h2c\r\n").kept().hides(&["h2c"]),
    Case::backend("hop.response-upgrade-required", "RFC 9110 15.5.22", "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
        .answered(&[&[426]], Connection::Kept)
        .shows(&["upgrade: websocket"]),
    answered!("hop.response-via", "RFC 9110 7.6.3", "Via: 1.1 inner\r\n").kept().shows(&["1.1 inner", "1.1 tidegate"]),
    Case::backend("hop.response-via-http10", "RFC 9110 7.6.3", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").hangs_up().shows(&["via: 1.0 "]),
    answered!("hop.response-fields", "RFC 9110 7.7", "Server: legacy\r\nETag: \"a\"\r\nX-Odd: caf\u{e9}\r\n")
        .kept()
        .shows(&["server: legacy", "etag: \"a\"", "x-odd: caf\u{e9}"]),
];

#[tokio::test]
async fn fields_of_one_connection_end_with_it() {
    super::check(CASES).await;
}
