//! What must pass untouched, against a real `FastAPI` application.

use crate::support::tokens::HS256;
use crate::support::{Fetch, Gate, Legacy, Setup, Wire, token};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::json;
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
async fn websocket_messages_of_every_kind_pass_and_the_close_as_well() {
    let legacy = Legacy::start().await;
    let gate = gate(&legacy).await;
    let url = format!("ws://{}/ws", gate.http);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("upgraded");
    let large: Vec<u8> = (0..=255_u8).cycle().take(200_000).collect();
    for message in [Message::binary(large), Message::text("ä€😀"), Message::binary(vec![])] {
        socket.send(message.clone()).await.expect("open");
        assert_eq!(socket.next().await.expect("open").expect("a message"), message);
    }
    socket.close(None).await.expect("open");
    assert!(socket.next().await.expect("a farewell").expect("a message").is_close());
}

#[tokio::test]
async fn a_legacy_backend_is_cached_by_tenant_and_never_learns_forged_names() {
    let legacy = Legacy::start().await;
    let sections = "cache: {namespaces: {dashboard: {ttl: 5m}}}\n\
        routes:\n  - {path: /api/v1/dashboard/, cache: dashboard}\n  - {path: /}";
    let gate = Gate::start(&Setup::new(legacy.address()).with(HS256).with(sections)).await;
    let page = async |user, tenant| {
        gate.get("/api/v1/dashboard/summary").bearer_auth(token(user, tenant)).fetch().await
    };
    let first = page("ada", "acme").await;
    assert_eq!((first.cache(), &first.json()["tenant"]), ("MISS", &json!("acme")));
    let shared = page("bob", "acme").await;
    assert_eq!((shared.cache(), &shared.body), ("HIT", &first.body));
    assert_eq!(page("cleo", "globex").await.json()["tenant"], "globex");
    let forged = gate.get("/api/v1/dashboard/summary").header("X-Organization-Id", "acme").fetch().await;
    assert_eq!((forged.cache(), &forged.json()["tenant"]), ("BYPASS", &json!("nobody")));
    let echoed =
        gate.get("/echo/headers").header("X-Kept", "yes").bearer_auth(token("ada", "acme")).fetch().await;
    for pair in [json!(["x-kept", "yes"]), json!(["x-organization-id", "acme"]), json!(["x-user-id", "ada"])]
    {
        assert!(
            echoed.json().as_array().is_some_and(|fields| fields.contains(&pair)),
            "{pair}: {}",
            echoed.text()
        );
    }
}

#[tokio::test]
async fn validators_and_cookies_of_a_framework_are_understood() {
    let legacy = Legacy::start().await;
    let sections = "cache: {namespaces: {all: {scope: public, stale_while_revalidate: 0s}}}\n\
        routes: [{path: /, cache: all}]";
    let gate = Gate::start(&Setup::new(legacy.address()).with(sections)).await;
    let first = gate.get("/etag").fetch().await;
    let second = gate.get("/etag").fetch().await;
    assert_eq!((first.cache(), second.cache()), ("MISS", "REVALIDATED"));
    assert_eq!(first.body, second.body);
    for _ in 0..2 {
        let answer = gate.get("/cookie").fetch().await;
        assert!(answer.cache() == "MISS" && answer.header("set-cookie").contains("HttpOnly"), "{answer:?}");
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
