//! What must pass untouched, against a real `FastAPI` application.

use crate::support::{Fetch, Gate, Legacy, Setup, Wire};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use tokio_tungstenite::tungstenite::Message;

async fn gate(legacy: &Legacy) -> Gate {
    Gate::start(&Setup::new(legacy.address()).with("routes: [{path: /}]")).await
}

#[tokio::test]
async fn websockets_echo() {
    let legacy = Legacy::start().await;
    let gate = gate(&legacy).await;
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{}/ws", gate.http)).await.expect("upgraded");
    for number in 0..20 {
        socket.send(Message::text(format!("hello {number}"))).await.expect("open");
        let echoed = socket.next().await.expect("open").expect("a message");
        assert_eq!(echoed.into_text().expect("text").as_str(), format!("hello {number}"));
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let legacy = Legacy::start().await;
    let gate = gate(&legacy).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
    wire.until("data: first\n\n").await.expect("the first event comes while the second is held back");
    gate.request(Method::POST, "/events/release").fetch().await;
    wire.until("data: second\n\n").await.expect("the second event");
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let legacy = Legacy::start().await;
    let gate = gate(&legacy).await;
    let block = bytes::Bytes::from(vec![7_u8; 1 << 16]);
    let blocks = futures_util::stream::iter((0..80).map(move |_| Ok::<_, std::io::Error>(block.clone())));
    let sent = gate.request(Method::POST, "/upload").body(reqwest::Body::wrap_stream(blocks)).fetch().await;
    assert_eq!(
        (sent.json()["bytes"].as_u64(), sent.json()["framing"].as_str()),
        (Some(80 << 16), Some("chunked"))
    );
    let received = gate.get(&format!("/download/{}", 20 << 20)).fetch().await;
    assert_eq!((received.status, received.body.len()), (200, 20 << 20));
    assert!(received.body.iter().zip((0..=255_u8).cycle()).all(|(got, want)| *got == want));
    let blocks = futures_util::stream::iter(
        (0..200).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![0_u8; 1 << 16]))),
    );
    let too_much =
        gate.request(Method::POST, "/upload").body(reqwest::Body::wrap_stream(blocks)).send().await;
    assert!(too_much.map_or(true, |answer| answer.status() == 413), "12.5 MiB are above the limit of 10 MiB");
}
