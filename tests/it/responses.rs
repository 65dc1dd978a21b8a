//! Answers of a backend that breaks the rules: the client gets a sound answer or a clear refusal, the cache nothing.

use crate::support::tokens::HS256;
use crate::support::{Answer, Gate, Origin, Reply, Seen, Setup, Wire, token};

const SECTIONS: &str = "cache: {namespaces: {all: {ttl: 5m}}}\nroutes: [{path: /, cache: all}]";

async fn gate(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Origin, Gate) {
    let origin = Origin::start(script).await;
    let gate = Gate::start(&Setup::new(origin.address()).with(HS256).with(SECTIONS)).await;
    (origin, gate)
}

async fn get(gate: &Gate, version: &str) -> Option<Answer> {
    let bearer = token("ada", "acme");
    let request = format!("GET /a HTTP/{version}\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n");
    Wire::exchange(gate.http, request).await
}

/// Answers that no proxy may pass on, by name.
const BROKEN: &[(&str, &str)] = &[
    ("cl.text", "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx"),
    ("cl.negative", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"),
    ("cl.two", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
    ("cl.huge", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nx"),
    ("te.unknown", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("status.text", "HTTP/1.1 abc OK\r\n\r\n"),
    ("line.none", "hello\r\n\r\n"),
    ("field.nul", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 1\r\n\r\nx"),
    ("101.unasked", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nx"),
    ("empty", ""),
];

#[tokio::test]
async fn a_broken_answer_is_a_bad_gateway() {
    let mut faults = Vec::new();
    for (name, bytes) in BROKEN {
        let (_origin, gate) = gate(move |_| Reply::raw(bytes).close()).await;
        match get(&gate, "1.1").await {
            Some(answer) if answer.status == 502 => drop(answer.problem()),
            other => faults.push(format!("{name}: {:?}", other.map(|answer| (answer.status, answer.text())))),
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// RFC 9112 section 6.3, fourth item.
#[tokio::test]
async fn an_answer_in_a_coding_that_nobody_knows_ends_with_the_connection() {
    let (_origin, gate) =
        gate(|_| Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: qxyz\r\n\r\nabc").close()).await;
    let answer = get(&gate, "1.1").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    assert_ne!(answer.header("transfer-encoding"), "qxyz");
}

#[tokio::test]
async fn an_http10_client_gets_no_chunks() {
    let (_origin, gate) = gate(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    })
    .await;
    let answer = get(&gate, "1.0").await.expect("an answer");
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.header("transfer-encoding")),
        (200, "abcde", "")
    );
}

#[tokio::test]
async fn an_http10_backend_is_answered_for_as_http11() {
    let (_origin, gate) = gate(move |_| Reply::raw("HTTP/1.0 200 OK\r\n\r\nuntil the end").close()).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let head = wire.head().await.expect("a head");
    assert!(head.starts_with(b"HTTP/1.1 200"), "{head:?}");
    assert!(wire.until("until the end").await.is_some());
}

#[tokio::test]
async fn an_answer_without_content_has_no_length() {
    let (_origin, gate) =
        gate(move |_| Reply::raw("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n")).await;
    let answer = get(&gate, "1.1").await.expect("an answer");
    assert_eq!((answer.status, answer.header("content-length")), (204, ""));
}

#[tokio::test]
async fn interim_answers_pass_before_the_final_one() {
    let hints =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let (_origin, gate) = gate(move |_| Reply::raw(hints)).await;
    let answer = get(&gate, "1.1").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
}

#[tokio::test]
async fn an_answer_says_which_way_it_came() {
    let (_origin, gate) =
        gate(|_| Reply::ok("x").header("Via", "1.1 inner").header("Server", "legacy")).await;
    let answer = get(&gate, "1.1").await.expect("an answer");
    let via: Vec<_> = answer.headers.get_all("via").iter().filter_map(|value| value.to_str().ok()).collect();
    assert!(via.join(", ").starts_with("1.1 inner") && via.join(", ").contains("tidegate"), "{via:?}");
    assert_eq!(answer.header("server"), "legacy");
}
