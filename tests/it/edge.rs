//! Greedy and slow clients: what bounds them, and that the others are served meanwhile.

use crate::support::process::command;
use crate::support::{Fetch, Gate, Origin, Reply, Setup, Wire, eventually, web};
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn gate(origin: &Origin, server: &str) -> Gate {
    Gate::start(&Setup::new(origin.address()).server(server).with("routes: [{path: /}]")).await
}

async fn from(address: &str, to: SocketAddr) -> Wire {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("loopback");
    Wire::of(socket.connect(to).await.expect("somebody listens"))
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "connections: {max: 5, per_address: 2}").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = from("127.0.0.2", gate.http).await;
        wire.send(GET).await;
        assert_eq!(wire.answer().await.expect("an answer").status, 200);
        held.push(wire);
    }
    let mut third = from("127.0.0.2", gate.http).await;
    let refused = third.answer().await.expect("a reason");
    assert_eq!(refused.problem().1, "https://tidegate.dev/problems/too-many-connections");
    assert_eq!(
        (refused.status, refused.header("retry-after"), refused.header("connection")),
        (503, "1", "close")
    );
    assert!(third.is_closed().await);
    let mut other = from("127.0.0.3", gate.http).await;
    other.send(GET).await;
    assert_eq!(other.answer().await.expect("an answer").status, 200, "others are served");
    drop(held);
    eventually("places are given back", async || {
        let mut wire = from("127.0.0.2", gate.http).await;
        wire.send(GET).await;
        wire.answer().await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    assert!(gate.metric("tidegate_connections_refused_total", &[("reason", "limit")]).await >= 1.0);
}

#[tokio::test]
async fn there_are_so_many_places_in_all() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "connections: {max: 2}").await;
    let mut held = Vec::new();
    for at in 2..4 {
        let mut wire = from(&format!("127.0.0.{at}"), gate.http).await;
        wire.send(GET).await;
        assert_eq!(wire.answer().await.expect("an answer").status, 200);
        held.push(wire);
    }
    let refused = from("127.0.0.9", gate.http).await.answer().await.expect("a reason");
    assert_eq!(refused.problem().0, 503);
}

/// RFC 9110 section 15.5.9. The time is that of a whole head, on the first request and on every other.
#[tokio::test]
async fn a_head_that_drips_is_ended_on_every_request() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "request: {head_timeout: 300ms}").await;
    for before in ["", GET] {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(before).await;
        if !before.is_empty() {
            assert_eq!(wire.answer().await.expect("an answer").status, 200);
        }
        let drip = async {
            for byte in GET.as_bytes() {
                wire.send([*byte]).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            wire.answer().await
        };
        let answer = drip.await.expect("a reason");
        assert_eq!(answer.problem().1, "https://tidegate.dev/problems/head-timeout", "{before:?}");
        assert_eq!(answer.header("connection"), "close");
        assert!(wire.is_closed().await);
    }
    assert_eq!(origin.count(), 1);
    assert!(gate.metric("tidegate_refusals_total", &[("reason", "head-timeout")]).await >= 2.0);
}

#[tokio::test]
async fn who_says_nothing_is_ended_without_a_word() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "request: {head_timeout: 100ms}").await;
    assert!(Wire::connect(gate.http).await.is_closed().await);
    let slow = "listen: [{address: '127.0.0.1:0', http2: true}], request: {head_timeout: 100ms}";
    let config = format!(
        "server: {{{slow}}}\nadmin: {{listen: '127.0.0.1:0'}}\nupstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]",
        origin.address()
    );
    let gate = Gate::start_with(&config).await;
    assert!(Wire::connect(gate.http).await.is_closed().await);
    let mut half = Wire::connect(gate.http).await;
    half.send("PRI * HTTP/2.0\r\n").await;
    assert!(half.is_closed().await);
}

/// 22 bytes are no HTTP/2 preface, which has 24, and nobody waits for the rest.
#[tokio::test]
async fn a_short_request_is_answered_where_http2_is_spoken_too() {
    let origin = Origin::counting().await;
    let config = format!(
        "server: {{listen: [{{address: '127.0.0.1:0', http2: true}}, '127.0.0.1:0']}}\nadmin: {{listen: '127.0.0.1:0'}}\n\
         upstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]",
        origin.address()
    );
    let mut gate = Gate::start_with(&config).await;
    let listeners = gate.process.stdout();
    let both = listeners.lines().find_map(|line| line.strip_prefix("listening http=")).expect("a line");
    let both = both.split(' ').next().expect("addresses").split(',');
    let both: Vec<SocketAddr> = both.map(|one| one.parse().expect("an address")).collect();
    for listener in &both {
        let answer = Wire::exchange(*listener, "GET / HTTP/1.0\r\n\r\n").await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    let url = |at: usize| format!("http://{}/", both[at]);
    assert_eq!(web::client_http2().get(url(0)).fetch().await.status, 200);
    assert!(web::client_http2().get(url(1)).send().await.is_err(), "each listener speaks for itself");
    assert!(gate.process.ended().is_none());
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_exchange_and_the_backend_sees_no_whole_request() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "drain: 1s").await;
    for rest in ["\r\n", "3\r\nabcX\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3;a\nb\r\nabc\r\n0\r\n\r\n"] {
        // At once, and after the head has gone to the backend.
        let at_once = Wire::exchange(gate.http, format!("{HEAD}{rest}")).await.expect("an answer");
        assert_eq!(at_once.problem().1, "https://tidegate.dev/problems/bad-chunk", "{rest:?}");
        let mut wire = Wire::connect(gate.http).await;
        wire.send(format!("{HEAD}5\r\nfirst\r\n")).await;
        eventually("the beginning is at the backend", async || origin.wire().contains("first")).await;
        wire.send(rest).await;
        let later = wire.answer().await.expect("an answer");
        assert_eq!((later.problem().0, later.header("connection")), (400, "close"), "{rest:?}");
        assert!(wire.is_closed().await);
    }
    assert_eq!(origin.count(), 0, "{}", origin.wire());
}

/// RFC 9112 section 9.3.2.
#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let origin = Origin::start(|seen| Reply::ok(&seen.target)).await;
    let gate = gate(&origin, "drain: 1s").await;
    let mut wire = Wire::connect(gate.http).await;
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.send(format!("{}{post}{}{}", get("/a"), get("/c"), "nonsense\r\n\r\n")).await;
    for expected in ["/a", "/b", "/c"] {
        assert_eq!(wire.answer().await.expect("an answer").text(), expected);
    }
    assert_eq!(wire.answer().await.expect("an answer").problem().0, 400);
    assert!(wire.is_closed().await);
}

/// What a client sends ahead of its answer must not hide that it has left: its place and the backend's connection would
/// be taken for as long as the backend is quiet.
#[tokio::test]
async fn a_client_that_leaves_is_noticed_whatever_it_sent_ahead() {
    let door = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&door);
    let origin = Origin::start(move |_| Reply::ok("x").when(&closed)).await;
    let gate = gate(&origin, "drain: 1s").await;
    let long = "x".repeat(20_000);
    for (at, ahead) in ["", "G", GET, "\0", &long].into_iter().enumerate() {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(GET).await;
        eventually("it is under way", async || origin.count() == at + 1).await;
        wire.send(ahead).await;
        drop(wire);
        eventually("its place is free", async || gate.metric("tidegate_connections", &[]).await < 1.0).await;
    }
    drop(door);
}

/// The answer to a body that nobody reads is not lost in a reset.
#[tokio::test]
async fn a_client_that_is_still_sending_sees_why_it_was_refused() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "request: {body_bytes: 1KiB}").await;
    for _ in 0..20 {
        let mut wire = Wire::connect(gate.http).await;
        wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
        wire.send(vec![b'x'; 300_000]).await;
        assert_eq!(wire.answer().await.expect("not a reset").problem().0, 413);
    }
}

#[tokio::test]
async fn a_connection_that_is_old_ends_with_its_answer() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "connections: {lifetime: 2s}").await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send(GET).await;
    assert_ne!(wire.answer().await.expect("an answer").header("connection"), "close");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    wire.send(GET).await;
    let last = wire.answer().await;
    assert!(last.is_none_or(|answer| answer.header("connection") == "close"));
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_closed() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "drain: 1s").await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(wire.answer().await.expect("an answer").header("connection"), "close");
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let door = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&door);
    let origin = Origin::start(move |_| Reply::ok("x").when(&opened)).await;
    let gate = gate(&origin, "overload: {requests: 2}").await;
    let under_way = join_all((0..2).map(|_| gate.get("/").fetch()));
    let more = async {
        eventually("two are under way", async || origin.count() == 2).await;
        let refused = gate.get("/").fetch().await;
        assert_eq!(refused.problem().1, "https://tidegate.dev/problems/overloaded");
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
        door.add_permits(3);
    };
    let (answers, ()) = futures_util::join!(under_way, more);
    assert!(answers.iter().all(|answer| answer.status == 200));
    eventually("there is room again", async || gate.get("/").fetch().await.status == 200).await;
}

#[tokio::test]
async fn out_of_memory_new_requests_are_refused_and_the_process_lives() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=600")).await;
    let with = |memory: &str| {
        let server = format!("overload: {{memory: {memory}}}");
        let cached = "cache: {namespaces: {all: {scope: public}}}\nroutes: [{path: /, cache: all}]";
        Setup::new(origin.address()).server(&server).with(cached)
    };
    let gate = Gate::start(&with("8GiB")).await;
    for expected in ["MISS", "HIT"] {
        assert_eq!(gate.get("/").fetch().await.cache(), expected);
    }
    gate.reload(&with("1MiB")).await;
    eventually("the mark is seen", async || gate.get("/").fetch().await.status == 503).await;
    assert_eq!(gate.ask("/healthz").fetch().await.status, 200);
    gate.reload(&with("8GiB")).await;
    let mut first = String::new();
    eventually("there is memory again", async || {
        let answer = gate.get("/").fetch().await;
        first = answer.cache().to_owned();
        answer.status == 200
    })
    .await;
    assert_eq!(first, "MISS", "stored answers went first");
}

/// accept(2) fails with EMFILE: nobody spins, whoever is connected is served, and when descriptors are free again so is
/// everybody.
#[tokio::test]
async fn without_file_descriptors_accepting_waits() {
    let origin = Origin::counting().await;
    let gate = gate(&origin, "drain: 1s").await;
    let mut held = Wire::connect(gate.http).await;
    held.send(GET).await;
    assert_eq!(held.answer().await.expect("an answer").status, 200);
    let errors = async || gate.metric("tidegate_accept_errors_total", &[("kind", "descriptors")]).await;
    // The connection to the admin listener is there already, too.
    assert!(errors().await < 1.0);
    let id = gate.process.id().to_string();
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("Linux").count();
    let limit = |most: usize| {
        let most = format!("--nofile={most}:");
        let set = command("/usr/bin/prlimit").args(["--pid", &id, &most]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit");
    };
    limit(open + 2);
    let crowd = join_all((0..20).map(|_| TcpStream::connect(gate.http))).await;
    eventually("it is noticed", async || errors().await >= 1.0).await;
    held.send(GET).await;
    assert_eq!(held.answer().await.expect("an answer").status, 200, "who is connected is served");
    let before = errors().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(errors().await - before < 30.0, "nobody spins");
    drop(crowd);
    eventually("all are served again", async || {
        let answer = web::client().get(format!("http://{}/", gate.http)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

/// A reader of one byte a second is no reader.
#[tokio::test]
async fn who_does_not_take_the_answer_is_ended() {
    let body = vec![b'x'; 32 << 20];
    let origin = Origin::start(move |_| Reply::ok(&body)).await;
    let gate = gate(&origin, "connections: {send_min_rate: 1000000}").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 << 10).expect("small");
    let mut stream = socket.connect(gate.http).await.expect("somebody listens");
    stream.write_all(GET.as_bytes()).await.expect("sent");
    let mut some = [0; 100];
    stream.read_exact(&mut some).await.expect("the beginning");
    eventually("its place is free", async || gate.metric("tidegate_connections", &[]).await < 1.0).await;
    assert!(gate.metric("tidegate_refusals_total", &[("reason", "client-too-slow")]).await >= 1.0);
}

/// RFC 9112 section 9.6.
#[tokio::test]
async fn an_answer_under_way_at_the_end_says_that_it_is_the_last() {
    let door = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&door);
    let origin = Origin::start(move |_| Reply::ok("x").when(&opened)).await;
    let mut gate = gate(&origin, "drain: 10s").await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send(GET).await;
    eventually("it is under way", async || origin.count() == 1).await;
    gate.process.signal("TERM");
    eventually("nobody else is let in", async || TcpStream::connect(gate.http).await.is_err()).await;
    door.add_permits(1);
    let last = wire.answer().await.expect("an answer");
    assert_eq!((last.status, last.header("connection")), (200, "close"));
    assert!(wire.is_closed().await);
    assert!(gate.process.exit().await.success());
}

/// RFC 9113 section 10.5: `ENHANCE_YOUR_CALM` is 0xb.
#[tokio::test]
async fn a_flood_of_http2_frames_ends_in_go_away_and_others_are_served() {
    let origin = Origin::counting().await;
    let config = format!(
        "server: {{listen: [{{address: '127.0.0.1:0', http2: true}}], request: {{head_timeout: 500ms}}}}\n\
         admin: {{listen: '127.0.0.1:0'}}\nupstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]",
        origin.address()
    );
    let gate = Gate::start_with(&config).await;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let open = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    let headers = |stream| frame(1, 5, stream, b"\x82\x86\x84\x41\x01a");
    let resets: Vec<u8> = (0..127)
        .flat_map(|at| [headers(at * 2 + 1), frame(3, 0, at * 2 + 1, &[0, 0, 0, 8])].concat())
        .collect();
    let floods = [
        ("reset", resets),
        ("settings", frame(4, 0, 0, &[]).repeat(200)),
        ("ping", frame(6, 0, 0, &[0; 8]).repeat(2_000)),
        ("continuation", [frame(1, 0, 1, b"\x82"), frame(9, 0, 1, &[]).repeat(40)].concat()),
        ("empty-data", [frame(1, 4, 1, b"\x83\x86\x84\x41\x01a"), frame(0, 0, 1, &[]).repeat(200)].concat()),
    ];
    for (name, flood) in floods {
        let mut stream = TcpStream::connect(gate.http).await.expect("somebody listens");
        stream.write_all(&open).await.expect("sent");
        drop(stream.write_all(&flood).await);
        let mut said = Vec::new();
        drop(stream.read_to_end(&mut said).await);
        let last = [&[0, 0, 0, 0xb][..], name.as_bytes()].concat();
        assert!(said.ends_with(&last), "{name}: {}", said.escape_ascii());
        let url = format!("http://{}/", gate.http);
        assert_eq!(web::client_http2().get(url).fetch().await.status, 200, "{name}");
    }
    for begun in [frame(1, 0, 1, b"\x82"), frame(1, 4, 1, &[0; 40])[..20].to_vec()] {
        let mut stream = TcpStream::connect(gate.http).await.expect("somebody listens");
        stream.write_all(&[&open[..], &begun].concat()).await.expect("sent");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.expect("it is ended in time");
    }
}
