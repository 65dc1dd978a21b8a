//! Which connection lives on, and in which order requests are answered (RFC 9112 section 9).

use super::{Case, Connection};

const S: &str = "RFC 9112 9.3";
const PIPELINE: &str = "RFC 9112 9.3.2";
const CLOSE: &str = "RFC 9112 9.6";

pub(super) const CASES: &[Case] = &[
    Case::client("conn.http11", S, "GET /x {h}\r\n").kept().hides(&["connection: close"]),
    Case::client("conn.http11-close", CLOSE, "GET /x {h}Connection: close\r\n\r\n").closed().shows(&["connection: close"]),
    Case::client("conn.close-case", CLOSE, "GET /x {h}Connection: Close\r\n\r\n").closed(),
    Case::client("conn.close-in-list", CLOSE, "GET /x {h}Connection: x-a, close\r\n\r\n").closed(),
    Case::client("conn.close-second-line", CLOSE, "GET /x {h}Connection: x-a\r\nConnection: close\r\n\r\n").closed(),
    Case::client("conn.close-and-keep-alive", CLOSE, "GET /x {h}Connection: close, keep-alive\r\n\r\n").closed(),
    Case::client("conn.close-then-more", CLOSE, "GET /x {h}Connection: close\r\n\r\n{tail}").closed().gets(&["GET /x"]),
    Case::client("conn.http10", S, "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n").closed(),
    Case::client("conn.http10-close", S, "GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: close\r\n\r\n").closed(),
    Case::client("conn.http10-keep-alive", S, "GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n")
        .answered(&[&[200]], Connection::Either),
    Case::client("conn.http10-dechunk", "RFC 9112 6.1", "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n")
        .replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .closed()
        .hides(&["transfer-encoding"])
        .body("abc"),
    Case::client("conn.http10-dechunk-keep-alive", "RFC 9112 6.1", "GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n")
        .replying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .closed()
        .hides(&["transfer-encoding"])
        .body("abc"),
    Case::client("conn.http10-version", "RFC 9112 2.3", "GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n").closed().shows(&["HTTP/1.1 200"]),
    Case::client("conn.head", S, "HEAD /x {h}\r\n").replying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").kept(),
    Case::client("conn.no-content", S, "GET /x {h}\r\n").replying("HTTP/1.1 204 No Content\r\n\r\n").answered(&[&[204]], Connection::Kept),
    Case::client("conn.not-found", S, "GET /x {h}\r\n")
        .replying("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        .answered(&[&[404]], Connection::Kept),
    Case::client("conn.backend-closes", "RFC 9110 7.6.1", "GET /x {h}\r\n")
        .replying("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        .hangs_up()
        .kept()
        .hides(&["connection: close"]),
    Case::client("conn.backend-closes-silently", "RFC 9112 9.3.1", "GET /x {h}\r\n").hangs_up().kept(),
    Case::client("conn.half-close", CLOSE, "GET /x {h}\r\n").half_closes().may_end_with(&[200]),
    Case::client("conn.half-close-body", CLOSE, "POST /x {h}Content-Length: 5\r\n\r\nhello").half_closes().may_end_with(&[200]),
    Case::client("conn.pipeline-two", PIPELINE, "GET /x {h}\r\nGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["GET /x", "GET /y"]),
    Case::client("conn.pipeline-all", PIPELINE, "GET /1 {h}\r\nGET /2 {h}\r\nGET /3 {h}\r\nGET /4 {h}\r\nGET /5 {h}\r\n")
        .answered(&[&[200], &[200], &[200], &[200], &[200]], Connection::Kept)
        .gets(&["GET /1", "GET /2", "GET /3", "GET /4", "GET /5"]),
    Case::client("conn.pipeline-bodies", PIPELINE, "POST /1 {h}Content-Length: 5\r\n\r\nhelloPOST /2 {h}Transfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\nGET /3 {h}\r\n")
        .answered(&[&[200], &[200], &[200]], Connection::Kept)
        .gets(&["POST /1 hello", "POST /2 ho", "GET /3"]),
    Case::client("conn.pipeline-close", PIPELINE, "GET /1 {h}\r\nGET /2 {h}Connection: close\r\n\r\n{tail}")
        .answered(&[&[200], &[200]], Connection::Closed)
        .gets(&["GET /1", "GET /2"]),
    Case::client("conn.pipeline-bad", PIPELINE, "GET /1 {h}\r\nGET /2 HTTP/1.1\r\n\r\n{tail}")
        .answered(&[&[200], &[400]], Connection::Closed)
        .gets(&["GET /1"]),
    Case::client("conn.pipeline-bad-line", PIPELINE, "GET /1 {h}\r\nnonsense\r\n\r\n{tail}")
        .answered(&[&[200], &[400]], Connection::Closed)
        .gets(&["GET /1"]),
    Case::client("conn.pipeline-bad-length", PIPELINE, "GET /1 {h}\r\nPOST /2 {h}Content-Length: 5, 5\r\n\r\nhello{tail}")
        .answered(&[&[200], &[400]], Connection::Closed)
        .gets(&["GET /1"]),
    Case::client("conn.bad-then-good", "RFC 9112 2.2", "GET /x HTTP/1.1\r\n\r\n{tail}").refused(),
    Case::client("conn.bad-body-then-good", "RFC 9112 2.2", "POST /x {h}Transfer-Encoding: chunked\r\n\r\nz\r\n{tail}").broken_off(),
];

#[tokio::test]
async fn connections_live_as_long_as_both_sides_say() {
    super::check(CASES).await;
}
