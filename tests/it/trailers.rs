//! Trailers: from HTTP/2 to HTTP/2 they come along, elsewhere they are dropped together with what announces them.

use crate::support::http2::{Http2Origin, ask};
use crate::support::{Fetch, Gate, Origin, Reply, Setup};
use std::io::Read;
use std::net::SocketAddr;

const TEXT: &str = "first and second, and once more: first and second; ";

async fn gate(backend: SocketAddr, http2: bool, sections: &str) -> Gate {
    let upstream = format!("{{servers: [\"{backend}\"], http2: {http2}}}");
    let setup = Setup::new(backend).upstream(&upstream).with(sections);
    let listen = "server: {listen: {address: \"127.0.0.1:0\", http2: true}";
    Gate::start_with(&setup.text().replace("server: {listen: \"127.0.0.1:0\"", listen)).await
}

#[tokio::test]
async fn over_http_2_they_come_along_and_the_backend_hears_that_they_may() {
    let origin = Http2Origin::start(TEXT, true).await;
    let gate = gate(origin.address(), true, "routes: [{path: /}]").await;
    let answer = ask(gate.http, &[("te", "trailers"), ("accept-encoding", "gzip")]).await;
    assert_eq!(origin.last().get("te").map(|te| te.as_bytes()), Some(&b"trailers"[..]));
    assert_eq!(answer.headers.get("trailer").map(|names| names.as_bytes()), Some(&b"x-sum"[..]));
    // An answer that announces trailers is not coded: the end of the coding would have to come before them.
    assert!(!answer.headers.contains_key("content-encoding"));
    assert_eq!(answer.body, TEXT.as_bytes());
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "7");
    let rule = "routes: [{path: /, response_headers: {remove: [X-Sum]}}]";
    let strict = self::gate(origin.address(), true, rule).await;
    let answer = ask(strict.http, &[("te", "trailers")]).await;
    assert!(answer.trailers.is_none_or(|trailers| !trailers.contains_key("x-sum")), "no way around a rule");
    ask(gate.http, &[]).await;
    assert!(!origin.last().contains_key("te"), "nobody takes any");
}

#[tokio::test]
async fn an_http_1_client_gets_neither_trailers_nor_their_announcement() {
    let origin = Http2Origin::start(TEXT, true).await;
    let gate = gate(origin.address(), true, "routes: [{path: /}]").await;
    let answer = gate.get("/a").header("TE", "trailers").header("Connection", "TE").fetch().await;
    assert_eq!((answer.status, answer.header("trailer"), answer.text().as_str()), (200, "", TEXT));
    assert!(!origin.last().contains_key("te"), "who cannot pass them on does not ask for them");
}

#[tokio::test]
async fn trailers_of_an_http_1_backend_end_here() {
    let origin = Origin::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
        Reply::raw(format!("{head}5\r\nfirst\r\n0\r\nX-Sum: 7\r\n\r\n"))
    })
    .await;
    let gate = gate(origin.address(), false, "routes: [{path: /}]").await;
    let answer = ask(gate.http, &[("te", "trailers")]).await;
    assert_eq!((&*answer.body, answer.trailers), (&b"first"[..], None));
    assert!(!answer.headers.contains_key("trailer"));
    assert_eq!(origin.last().header("te"), "");
    for _ in 0..2 {
        // The connection to the backend is not out of step either.
        let answer = gate.get("/a").fetch().await;
        assert_eq!((answer.text().as_str(), answer.header("trailer")), ("first", ""));
    }
}

#[tokio::test]
async fn a_coded_answer_with_trailers_that_nobody_announced_has_a_whole_body() {
    let text: &'static str = Box::leak(TEXT.repeat(40).into_boxed_str());
    let origin = Http2Origin::start(text, false).await;
    let gate = gate(origin.address(), true, "routes: [{path: /}]").await;
    let answer = ask(gate.http, &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut plain).expect("a whole body");
    assert_eq!(plain, text);
    assert!(answer.trailers.is_none());
}
