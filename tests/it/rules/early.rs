//! What passes before a message is whole, and what becomes of the rest when the answer comes first.

use super::Arena;
use crate::support::{Gate, Origin, Reply, Setup, Wire, eventually};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const TAIL: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// RFC 9110 section 15.2: a hint that waits for what it hints at is none.
#[tokio::test]
async fn an_interim_answer_passes_before_the_final_one_exists() {
    let arena = Arena::start().await;
    let gate = Arc::new(Semaphore::new(0));
    *arena.reply.lock() = Reply::raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        .then(&gate, "HTTP/1.1 204 No Content\r\n\r\n");
    let mut wire = Wire::connect(arena.gate.http).await;
    wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(wire.until("Link: </a>\r\n\r\n").await.is_some());
    gate.add_permits(1);
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(204));
}

/// RFC 9110 section 7.6: messages are passed on as they come.
#[tokio::test]
async fn bodies_pass_piece_by_piece_in_both_directions() {
    let arena = Arena::start().await;
    let gate = Arc::new(Semaphore::new(0));
    *arena.reply.lock() = Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .then(&gate, "4\r\nlast\r\n0\r\n\r\n");
    let mut wire = Wire::connect(arena.gate.http).await;
    wire.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    eventually("the backend has the first chunk", async || arena.origin.wire().contains("one")).await;
    wire.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert!(wire.until("first").await.is_some());
    gate.add_permits(1);
    assert!(wire.until("last").await.is_some());
    assert_eq!(&*arena.origin.last().body, b"onetwo");
}

/// A request of which every line and chunk comes in two parts is the same request.
#[tokio::test]
async fn a_request_in_single_octets_is_the_same_request() {
    let arena = Arena::start().await;
    let request = "POST /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5;c=d\r\nhello\r\n0\r\n\r\n";
    let mut wire = Wire::connect(arena.gate.http).await;
    for octet in request.as_bytes().chunks(1) {
        wire.send(octet).await;
    }
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200));
    assert_eq!((&*arena.origin.last().body, arena.origin.last().header("x-a")), (&b"hello"[..], "b"));
}

/// RFC 9112 section 9.3: what is left of the body is never taken for a request, here or at the backend.
#[tokio::test]
async fn an_answer_before_the_body_ends_leaves_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let backend = tokio::spawn(async move {
        let mut heads = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("the gate connects");
            let mut wire = Wire::of(stream);
            // Answers each head at once and reads on, taking whatever comes for the next one.
            while let Ok(head) = wire.head().await {
                let head = String::from_utf8_lossy(&head).into_owned();
                let is_last = head.contains("/last");
                heads.push(head);
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                if is_last {
                    return heads;
                }
            }
        }
    });
    let gate = Gate::start(&Setup::new(address).with("routes: [{path: /}]")).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send(format!("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\nhel", 3 + TAIL.len()))
        .await;
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200));
    wire.send(TAIL).await;
    wire.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Whether the connection lives on is up to the gate; on a new one the backend is asked in any case.
    let behind = wire.answer().await;
    if behind.is_none() {
        let answer = Wire::exchange(gate.http, "GET /last HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(answer.map(|answer| answer.status), Some(200));
    }
    let heads = backend.await.expect("the backend was asked for the last");
    // This backend does not count octets: what is left of a body shows as a head that begins in the midst of it.
    let is_rest = |head: &String| {
        head.starts_with("hel") || head.starts_with("POST ") || head.starts_with("GET /last ")
    };
    assert!(heads.iter().all(is_rest), "{heads:?}");
}

/// RFC 9112 section 9.3.1: a connection that the backend has closed costs an idempotent request nothing.
#[tokio::test]
async fn a_backend_that_closes_silently_between_requests_is_not_noticed() {
    let origin = Origin::start(|_| Reply::ok("ok").close()).await;
    let gate = Gate::start(&Setup::new(origin.address()).with("routes: [{path: /}]")).await;
    let mut wire = Wire::connect(gate.http).await;
    for _ in 0..20 {
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200));
    }
}
