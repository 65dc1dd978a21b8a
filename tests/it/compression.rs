//! Answers that are coded while they pass: which, for whom, and that nothing is coded twice, held back or made untrue.

use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Wire, web};
use reqwest::Method;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::Semaphore;

const LONG: usize = 4_000;

fn text() -> String {
    "the same words again and again; ".repeat(LONG / 32)
}

async fn gate(origin: &Origin, server: &str) -> Gate {
    let setup =
        Setup::new(origin.address()).with("routes:\n  - {path: /}\n  - {path: /off/, compression: false}");
    Gate::start(&if server.is_empty() { setup } else { setup.server(server) }).await
}

/// A text of the given fields.
async fn origin(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(move |_| {
        fields.iter().fold(Reply::ok(text()), |reply, (name, value)| reply.header(name, value))
    })
    .await
}

async fn get(gate: &Gate, accepted: &str) -> Answer {
    gate.get("/a").header("Accept-Encoding", accepted).fetch().await
}

fn plain(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4_096)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder")),
        _ => Box::new(bytes),
    };
    reader.read_to_string(&mut text).expect("a whole body in its coding");
    text
}

#[tokio::test]
async fn the_clients_weights_choose_the_coding_and_the_answer_says_that_it_varies() {
    let origin =
        origin(&[("Content-Type", "application/json"), ("ETag", "\"one\""), ("Accept-Ranges", "bytes")])
            .await;
    let gate = gate(&origin, "").await;
    for (accepted, expected) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("br, zstd;q=0", "br"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0, br;q=0", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity, gzip;q=0.5", ""),
        ("gzip;q=0", ""),
        ("identity", ""),
    ] {
        let answer = get(&gate, accepted).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, expected), "{accepted}");
        assert_eq!(plain(expected, &answer.body), text(), "{accepted}");
        assert_eq!(answer.header("vary"), "accept-encoding", "{accepted}");
        if expected.is_empty() {
            assert_eq!(
                (answer.header("etag"), answer.number("content-length")),
                ("\"one\"", text().len() as u64)
            );
        } else {
            assert_eq!((answer.header("etag"), answer.header("accept-ranges")), ("W/\"one\"", ""));
            assert!(answer.body.len() < LONG / 4, "{accepted}: {} bytes", answer.body.len());
        }
    }
    let http2 = Setup::new(origin.address()).with("routes: [{path: /}]").text();
    let listen = "server: {listen: {address: \"127.0.0.1:0\", http2: true}";
    let gate = Gate::start_with(&http2.replace("server: {listen: \"127.0.0.1:0\"", listen)).await;
    let request = web::client_http2().get(format!("http://{}/a", gate.http)).header("Accept-Encoding", "br");
    let answer = request.fetch().await;
    assert_eq!((answer.header("content-encoding"), plain("br", &answer.body)), ("br", text()));
}

#[tokio::test]
async fn what_is_coded_short_forbidden_or_no_text_goes_out_as_it_came() {
    let json = ("Content-Type", "application/json");
    for fields in [
        &[json, ("Content-Encoding", "gzip")][..],
        &[json, ("Content-Encoding", "identity")],
        &[json, ("Cache-Control", "max-age=5, no-transform")],
        &[json, ("Content-Digest", "sha-256=:AA==:")],
        &[("Content-Type", "image/png")],
        &[("Content-Type", "application/grpc-web+json")],
        &[("Content-Type", "text/event-stream")],
        &[("X-None", "1")],
    ] {
        let fields: &'static [(&str, &str)] = Box::leak(fields.to_vec().into_boxed_slice());
        let origin = origin(fields).await;
        let gate = gate(&origin, "").await;
        let answer = get(&gate, "gzip, br, zstd").await;
        assert_eq!(answer.text(), text(), "{fields:?}");
        assert_eq!(answer.header("vary"), "", "{fields:?}");
        let coding =
            fields.iter().find(|(name, _)| *name == "Content-Encoding").map_or("", |(_, value)| value);
        assert_eq!(answer.header("content-encoding"), coding, "{fields:?}");
    }
    let origin = Origin::start(|seen| {
        let length: usize = seen.target.trim_start_matches('/').parse().expect("a length");
        Reply::ok("x".repeat(length)).header("Content-Type", "text/plain")
    })
    .await;
    let gate = gate(&origin, "").await;
    for (length, expected) in [(1_023, ""), (1_024, "gzip")] {
        let answer = gate.get(&format!("/{length}")).header("Accept-Encoding", "gzip").fetch().await;
        assert_eq!(answer.header("content-encoding"), expected, "{length}");
    }
}

#[tokio::test]
async fn types_and_length_are_the_operators_and_a_route_may_be_without() {
    let origin = Origin::start(|seen| {
        let media = if seen.target.contains("csv") { "text/csv" } else { "application/x-table" };
        Reply::ok("1;2;3;4;5;6;7;8;9;".repeat(5)).header("Content-Type", media)
    })
    .await;
    let gate = gate(&origin, "compression: {types: [application/x-table], min_bytes: 20}").await;
    for (path, expected) in [("/table", "br"), ("/csv", ""), ("/off/table", "")] {
        let answer = gate.get(path).header("Accept-Encoding", "br").fetch().await;
        assert_eq!(answer.header("content-encoding"), expected, "{path}");
        assert_eq!(answer.header("vary").is_empty(), expected.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn parts_and_heads_keep_fields_that_are_true_of_them() {
    let origin = Origin::start(|seen| {
        let reply = if seen.header("range").is_empty() {
            Reply::ok(text())
        } else {
            Reply::status(206, "the s").header("Content-Range", "bytes 0-4/4000")
        };
        reply.header("Content-Type", "text/plain")
    })
    .await;
    let gate = gate(&origin, "").await;
    let part = gate.get("/a").header("Accept-Encoding", "gzip").header("Range", "bytes=0-4").fetch().await;
    assert_eq!((part.status, part.header("content-encoding"), part.text().as_str()), (206, "", "the s"));
    // A HEAD tells what the GET would, as far as that is known without making the body.
    let head = gate.request(Method::HEAD, "/a").header("Accept-Encoding", "gzip").fetch().await;
    assert_eq!(
        (head.status, head.header("content-encoding"), head.header("vary")),
        (200, "gzip", "accept-encoding")
    );
    assert_eq!((head.header("content-length"), head.header("transfer-encoding")), ("", ""));
    let head = gate.request(Method::HEAD, "/a").header("Accept-Encoding", "identity").fetch().await;
    assert_eq!((head.header("content-encoding"), head.number("content-length")), ("", text().len() as u64));
}

#[tokio::test]
async fn http_1_0_clients_get_a_coded_body_without_chunks() {
    let origin = origin(&[("Content-Type", "text/plain")]).await;
    let gate = gate(&origin, "").await;
    let answer =
        Wire::exchange(gate.http, "GET /a HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n").await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.header("content-encoding"), answer.header("transfer-encoding")), ("gzip", ""));
    assert_eq!(plain("gzip", &answer.body), text());
}

#[tokio::test]
async fn a_slow_answer_is_coded_and_its_parts_are_not_held_back() {
    let more = Arc::new(Semaphore::new(0));
    let gate_of_second = Arc::clone(&more);
    let origin = Origin::start(move |_| {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        Reply::raw(head).then(&gate_of_second, "7\r\n second\r\n0\r\n\r\n")
    })
    .await;
    let gate = gate(&origin, "").await;
    for coding in ["gzip", "br", "zstd"] {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(format!("GET /a HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")).await;
        let head = String::from_utf8_lossy(&wire.head().await.expect("a head")).to_ascii_lowercase();
        assert!(head.contains(&format!("content-encoding: {coding}")), "{head}");
        // The second part is not sent before the first one has come through.
        let mut sent =
            wire.chunk().await.expect("the first part comes while the second is held back").to_vec();
        let so_far = readable(coding, &sent);
        assert_eq!(so_far, "first", "{coding}");
        more.add_permits(1);
        loop {
            let chunk = wire.chunk().await.expect("the rest");
            if chunk.is_empty() {
                break;
            }
            sent.extend_from_slice(&chunk);
        }
        assert_eq!(plain(coding, &sent), "first second", "{coding}");
    }
}

/// What can be read of a body that has not ended.
fn readable(coding: &str, bytes: &[u8]) -> String {
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4_096)),
        _ => Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder")),
    };
    let (mut plain, mut block) = (Vec::new(), [0; 64]);
    while let Ok(read @ 1..) = reader.read(&mut block) {
        plain.extend_from_slice(&block[..read]);
    }
    String::from_utf8(plain).expect("text")
}
