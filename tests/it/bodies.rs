//! How large a request body may be, by its route: refused before anything of it is read where the head says so, counted
//! where it does not.

use crate::support::{Fetch, Gate, Origin, Reply, Setup, Wire, web};
use bytes::Bytes;
use reqwest::Method;
use std::io::Write;

const ROUTES: &str = "routes:\n\
    \x20 - {path: /small/, body_bytes: 10B}\n\
    \x20 - {path: /large/, body_bytes: 2KiB}\n\
    \x20 - {path: /none, body_bytes: 0}\n\
    \x20 - {path: /usual}";

async fn gate(origin: &Origin) -> Gate {
    let server = "request: {body_bytes: 1KiB}";
    Gate::start(&Setup::new(origin.address()).server(server).with(ROUTES)).await
}

fn stream(parts: &[usize]) -> reqwest::Body {
    let parts: Vec<_> =
        parts.iter().map(|length| Ok::<_, std::io::Error>(Bytes::from(vec![7; *length]))).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(parts))
}

#[tokio::test]
async fn a_route_takes_more_or_less_than_the_server_by_the_announced_length() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for (path, length, expected) in [
        ("/small/a", 10, 200),
        ("/small/a", 11, 413),
        ("/large/a", 2_048, 200),
        ("/large/a", 2_049, 413),
        ("/usual", 1_024, 200),
        ("/usual", 1_025, 413),
        ("/none", 0, 200),
        ("/none", 1, 413),
        ("/nowhere", 1_024, 404),
        ("/nowhere", 1_025, 413),
    ] {
        let before = origin.count();
        let answer = gate.request(Method::POST, path).body(vec![0_u8; length]).fetch().await;
        assert_eq!(answer.status, expected, "{path} {length}");
        assert_eq!(origin.count() - before, usize::from(expected == 200), "{path} {length}");
    }
    let answer = gate.request(Method::POST, "/small/a").body(vec![0_u8; 11]).fetch().await;
    assert!(answer.problem().1.ends_with("body-too-large"), "{answer:?}");
    assert!(answer.text().contains("at most 10B are accepted"), "{}", answer.text());
}

#[tokio::test]
async fn who_expects_a_100_gets_a_413_instead_and_the_connection_ends() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    let mut wire = Wire::connect(gate.http).await;
    let head = "POST /small/a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n";
    wire.send(head).await;
    let raw = wire.head().await.expect("an answer");
    assert!(raw.starts_with(b"HTTP/1.1 413"), "{raw:?}");
    let raw = String::from_utf8_lossy(&raw).to_ascii_lowercase();
    assert!(raw.contains("connection: close"), "{raw}");
    drop(wire.until("}").await);
    assert!(wire.is_closed().await);
    assert_eq!(origin.count(), 0);
    let mut wire = Wire::connect(gate.http).await;
    wire.send(head.replace("11", "10").as_str()).await;
    assert!(wire.head().await.expect("an interim answer").starts_with(b"HTTP/1.1 100"));
    wire.send("0123456789").await;
    assert!(wire.head().await.expect("an answer").starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_not_announced_is_counted_in_chunks_and_over_http_2() {
    let origin = Origin::start(|seen| Reply::ok(seen.body.len().to_string())).await;
    let setup = Setup::new(origin.address()).with(ROUTES);
    let listen = "server: {request: {body_bytes: 1KiB}, listen: {address: \"127.0.0.1:0\", http2: true}";
    let text = setup.text().replace("server: {listen: \"127.0.0.1:0\"", listen);
    let gate = Gate::start_with(&text).await;
    for client in [web::client(), web::client_http2()] {
        for (path, parts, expected) in [
            ("/small/a", vec![5, 5], 200),
            ("/small/a", vec![5, 6], 413),
            ("/large/a", vec![1_000, 1_000], 200),
            ("/large/a", vec![1_000, 1_000, 1_000], 413),
            ("/usual", vec![1_000, 1_000], 413),
        ] {
            let request = client.post(format!("http://{}{path}", gate.http)).body(stream(&parts));
            let status =
                request.send().await.expect("an answer, also to a client that is still sending").status();
            assert_eq!(status, expected, "{path} {parts:?}");
        }
    }
}

#[tokio::test]
async fn a_coded_request_body_arrives_byte_for_byte() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(&b"text ".repeat(1_000)).expect("written");
    let coded = coder.finish().expect("coded");
    let request = gate.request(Method::POST, "/usual").header("Content-Encoding", "gzip").body(coded.clone());
    assert_eq!(request.fetch().await.status, 200);
    let seen = origin.last();
    assert_eq!((seen.header("content-encoding"), &*seen.body), ("gzip", &*coded));
}
