//! Switching protocols: WebSocket when it is asked for in due form, nothing else (RFC 9110 section 7.8, RFC 6455).

use super::{Case, Connection};

const S: &str = "RFC 9110 7.8";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

pub(super) const CASES: &[Case] = &[
    Case::client("upgrade.h2c", "RFC 9113 3.1", "GET /x {h}Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        .kept()
        .gets(&["GET /x"])
        .withholds(&["h2c", "http2-settings"]),
    Case::client("upgrade.h2c-body", "RFC 9113 3.1", "POST /x {h}Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["POST /x hello"])
        .withholds(&["h2c"]),
    Case::client("upgrade.unknown", S, "GET /x {h}Connection: upgrade\r\nUpgrade: foo/2\r\n\r\n").kept().withholds(&["foo/2"]),
    Case::client("upgrade.not-nominated", S, "GET /x {h}Upgrade: websocket\r\n\r\n").kept().withholds(&["websocket"]),
    Case::client("upgrade.http10", S, "GET /x HTTP/1.0\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .closed()
        .withholds(&["websocket"]),
    Case::client("upgrade.post", "RFC 6455 4.1", "POST /x {h}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["POST /x hello"])
        .withholds(&["websocket"]),
    Case::client("upgrade.declined", S, "GET /x {h}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .answered(&[&[200]], Connection::Either)
        .gets(&["GET /x"])
        .body("ok"),
    Case::client("upgrade.premature", S, "GET /x {h}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n{tail}")
        .answered(&[&[200]], Connection::Closed)
        .withholds(&["smuggled"]),
    Case::client("upgrade.premature-unknown", S, "GET /x {h}Connection: upgrade\r\nUpgrade: foo\r\n\r\nGET /y {h}\r\n")
        .answered(&[&[200], &[200]], Connection::Kept)
        .gets(&["GET /x", "GET /y"]),
    Case::client("upgrade.switched", "RFC 6455 4.2", "GET /x {h}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .replying(SWITCH)
        .answered(&[&[101]], Connection::Either)
        .shows(&["upgrade: websocket", "connection: upgrade"]),
    Case::client("upgrade.switched-nominated", "RFC 9110 7.6.1", "GET /x {h}Connection: upgrade, x-a\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n")
        .replying("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade, x-b\r\nUpgrade: websocket\r\nX-B: 1\r\n\r\n")
        .answered(&[&[101]], Connection::Either)
        .hides(&["x-b"])
        .withholds(&["x-a"]),
    Case::backend("upgrade.unasked", "RFC 9110 15.2.2", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nfoo")
        .answered(&[&[502]], Connection::Either)
        .hides(&["101 "]),
    Case::backend("upgrade.unasked-websocket", "RFC 9110 15.2.2", SWITCH).answered(&[&[502]], Connection::Either).hides(&["101 "]),
    Case::backend("upgrade.other-than-asked", "RFC 9110 7.8", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
        .asked("GET /x {h}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .answered(&[&[502]], Connection::Either)
        .hides(&["101 "]),
];

#[tokio::test]
async fn only_what_was_asked_for_is_switched_to() {
    super::check(CASES).await;
}
