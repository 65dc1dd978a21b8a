//! `Expect` (RFC 9110 section 10.1.1).

use super::{Arena, Case, Connection};
use crate::support::Wire;

const S: &str = "RFC 9110 10.1.1";

pub(super) const CASES: &[Case] = &[
    Case::client(
        "expect.body-at-once",
        S,
        "POST /x {h}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    )
    .kept()
    .gets(&["POST /x hello"]),
    Case::client("expect.case", S, "POST /x {h}Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello")
        .kept()
        .gets(&["POST /x hello"]),
    Case::client("expect.no-body", S, "GET /x {h}Expect: 100-continue\r\n\r\n")
        .answered(&[&[200]], Connection::Either)
        .gets(&["GET /x"]),
    Case::client(
        "expect.http10",
        S,
        "POST /x HTTP/1.0\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    )
    .closed()
    .gets(&["POST /x hello"])
    .hides(&["100 continue"]),
    Case::client("expect.unknown", S, "POST /x {h}Expect: magic\r\nContent-Length: 5\r\n\r\nhello")
        .refused_as(&[&[417]]),
    Case::client(
        "expect.unknown-too",
        S,
        "POST /x {h}Expect: 100-continue, magic\r\nContent-Length: 5\r\n\r\nhello",
    )
    .refused_as(&[&[417]]),
    Case::client(
        "expect.too-large",
        S,
        "POST /x {h}Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n",
    )
    .refused_as(&[&[413]])
    .hides(&["100 continue"]),
    Case::client(
        "expect.refused",
        S,
        "POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .refused()
    .hides(&["100 continue"]),
];

#[tokio::test]
async fn expectations_are_met_or_refused() {
    super::check(CASES).await;
}

/// The client waits for the interim response before it sends its body.
#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on() {
    let arena = Arena::start().await;
    let mut wire = Wire::connect(arena.gate.http).await;
    wire.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert!(wire.until("HTTP/1.1 100 Continue\r\n\r\n").await.is_some());
    wire.send("hello").await;
    assert_eq!(wire.answer().await.map(|answer| answer.status), Some(200));
    assert_eq!(&*arena.origin.last().body, b"hello");
    assert_eq!(arena.origin.count(), 1);
}
