//! Stored answers go out in the coding that a client takes best, made once from one stored form.

use crate::support::stores::on_both_stores;
use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Store, eventually, token};
use std::io::Read;

on_both_stores!(
    a_hit_goes_out_in_the_coding_that_the_client_takes,
    a_coded_hit_is_confirmed_with_its_tag,
    a_range_is_cut_from_the_plain_body,
    what_the_backend_has_coded_stays_as_it_is,
    a_large_answer_comes_back_from_the_store_whole,
    stored_answers_follow_the_rule_of_those_that_pass,
);

const SECTIONS: &str =
    "cache: {namespaces: {pages: {ttl: 5m, max_object: 2MiB}}}\nroutes: [{path: /, cache: pages}]";

async fn gate(store: &Store, origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).store(store).with(HS256).with(SECTIONS)).await
}

fn text() -> String {
    (0..200).map(|n| format!("{{\"row\": {n}, \"name\": \"value\"}}\n")).collect()
}

async fn json() -> Origin {
    Origin::start(|_| Reply::ok(text()).header("Content-Type", "application/json").header("ETag", "\"one\""))
        .await
}

async fn get(gate: &Gate, accepted: &str) -> Answer {
    let request = gate.get("/a").header("Accept-Encoding", accepted).bearer_auth(token("ada", "acme"));
    request.fetch().await
}

async fn fill(gate: &Gate) {
    eventually("a hit", async || get(gate, "identity").await.cache() == "HIT").await;
}

fn plain(answer: &Answer) -> String {
    let mut text = String::new();
    match answer.header("content-encoding") {
        "gzip" => drop(flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut text)),
        "br" => drop(brotli::Decompressor::new(&*answer.body, 4_096).read_to_string(&mut text)),
        "zstd" => {
            let bytes = zstd::bulk::decompress(&answer.body, 1 << 20).expect("zstd");
            text = String::from_utf8(bytes).expect("text");
        }
        other => {
            assert_eq!(other, "");
            text = answer.text();
        }
    }
    text
}

async fn a_hit_goes_out_in_the_coding_that_the_client_takes(store: Store) {
    let origin = json().await;
    let gate = gate(&store, &origin).await;
    fill(&gate).await;
    let asked = origin.count();
    for (accepted, expected) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=0, br;q=0.1", "br"),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("gzip", "gzip"),
    ] {
        let answer = get(&gate, accepted).await;
        assert_eq!((answer.cache(), answer.header("content-encoding")), ("HIT", expected), "{accepted}");
        assert_eq!(plain(&answer), text(), "{accepted}");
        assert_eq!(answer.number("content-length"), answer.body.len() as u64);
        if !expected.is_empty() {
            assert!(answer.body.len() < text().len() / 4, "{} bytes", answer.body.len());
            assert_eq!((answer.header("vary"), answer.header("etag")), ("accept-encoding", "W/\"one\""));
        }
    }
    assert_eq!(origin.count(), asked, "one stored form answers them all");
}

async fn a_coded_hit_is_confirmed_with_its_tag(store: Store) {
    let origin = json().await;
    let gate = gate(&store, &origin).await;
    fill(&gate).await;
    for accepted in ["gzip", "identity"] {
        let tag = get(&gate, accepted).await.header("etag").to_owned();
        let request = gate.get("/a").header("Accept-Encoding", accepted).header("If-None-Match", tag);
        let answer = request.bearer_auth(token("ada", "acme")).fetch().await;
        assert_eq!((answer.status, answer.header("content-encoding")), (304, ""), "{accepted}");
    }
}

async fn a_range_is_cut_from_the_plain_body(store: Store) {
    let origin = json().await;
    let gate = gate(&store, &origin).await;
    fill(&gate).await;
    let request = gate.get("/a").header("Accept-Encoding", "gzip").header("Range", "bytes=0-9");
    let answer = request.bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!((answer.status, answer.header("content-encoding")), (206, ""));
    assert_eq!(answer.text(), text().chars().take(10).collect::<String>());
}

async fn what_the_backend_has_coded_stays_as_it_is(store: Store) {
    let origin = Origin::start(|seen| {
        let reply =
            Reply::ok(if seen.header("accept-encoding").contains("gzip") { "coded" } else { "plain" })
                .header("Content-Type", "text/plain")
                .header("Vary", "Accept-Encoding");
        if seen.header("accept-encoding").contains("gzip") {
            reply.header("Content-Encoding", "gzip")
        } else {
            reply
        }
    })
    .await;
    let gate = gate(&store, &origin).await;
    for (accepted, expected) in [("gzip", ("gzip", "coded")), ("identity", ("", "plain"))] {
        eventually("a hit", async || get(&gate, accepted).await.cache() == "HIT").await;
        let answer = get(&gate, accepted).await;
        assert_eq!((answer.header("content-encoding"), answer.text().as_str()), expected);
    }
}

async fn stored_answers_follow_the_rule_of_those_that_pass(store: Store) {
    let origin = Origin::start(|seen| {
        let reply = match seen.target.as_str() {
            // No length is announced, but once it is stored it is known.
            "/short" => {
                Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n")
            }
            "/kept" => Reply::ok(text()).header("Cache-Control", "max-age=60, no-transform"),
            _ => Reply::ok(text()),
        };
        reply.header("Content-Type", "application/json")
    })
    .await;
    let sections = "cache: {namespaces: {pages: {ttl: 5m, scope: public}}}\n\
        routes:\n  - {path: /, cache: pages}\n  - {path: /off, cache: pages, compression: false}";
    let gate = Gate::start(&Setup::new(origin.address()).store(&store).with(sections)).await;
    for (path, coding, varies) in
        [("/a", "br", true), ("/short", "", false), ("/kept", "", false), ("/off", "", false)]
    {
        for accepted in ["br", "identity"] {
            let get = async || gate.get(path).header("Accept-Encoding", accepted).fetch().await;
            eventually("a hit", async || get().await.cache() == "HIT").await;
            let hit = get().await;
            let expected = if accepted == "br" { coding } else { "" };
            assert_eq!(
                (hit.header("content-encoding"), !hit.header("vary").is_empty()),
                (expected, varies),
                "{path} {accepted}"
            );
        }
    }
}

async fn a_large_answer_comes_back_from_the_store_whole(store: Store) {
    // Noise: it stays large, and stands apart from its head in Redis.
    let body: Vec<u8> =
        (0..1_000_000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    let sent = body.clone();
    let origin = Origin::start(move |_| Reply::ok(&sent)).await;
    let gate = gate(&store, &origin).await;
    eventually("a hit", async || get(&gate, "identity").await.cache() == "HIT").await;
    assert!(get(&gate, "gzip").await.body == body, "from memory");
    if let Store::Redis(redis) = &store {
        eventually("Redis has it", async || !redis.ask(&["KEYS", "tg:o:*"]).is_empty()).await;
        let apart = redis.ask(&["KEYS", "tg:b:*"]);
        assert_eq!(redis.ask(&["STRLEN", &apart]), "1000000");
        let setup = Setup::new(origin.address()).store(&store).with(HS256).with(SECTIONS);
        let other = Gate::start(&setup).await;
        let host = gate.http.to_string();
        let request = other.get("/a").header("Host", host).bearer_auth(token("ada", "acme"));
        let answer = request.fetch().await;
        assert_eq!(answer.cache(), "HIT");
        assert!(answer.body == body, "from Redis");
    }
}
