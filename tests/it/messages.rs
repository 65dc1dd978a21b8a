//! Messages on the wire: what is refused before anything is counted or forwarded, and what the backend gets instead.

use crate::support::{Answer, Gate, Origin, Reply, Setup, Wire, eventually};

const ROUTES: &str = "routes: [{path: /}]";

async fn gate() -> (Origin, Gate) {
    let origin = Origin::counting().await;
    let gate = Gate::start(&Setup::new(origin.address()).with(ROUTES)).await;
    (origin, gate)
}

/// Requests by name, each with the statuses that refuse it. A second request is smuggled behind each.
const REFUSED: &[(&str, &str, &[u16])] = &[
    ("host.missing", "GET / HTTP/1.1\r\n\r\n", &[400]),
    ("host.empty-list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
    ("host.twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("host.twice-same", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    ("host.space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
    ("host.slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
    ("host.port-text", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", &[400]),
    ("host.port-range", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", &[400]),
    ("host.userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", &[400]),
    ("target.authority-form", "GET good.example:80 HTTP/1.1\r\nHost: good.example\r\n\r\n", &[400]),
    ("target.asterisk-get", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.relative", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.space", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.nul", "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.encoded-nul", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.encoded-slash", "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.bad-escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("target.control", "GET /a%0d%0ab HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (
        "cl.two-different",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        &[400],
    ),
    ("cl.two-same", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", &[400]),
    ("cl.list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab", &[400]),
    ("cl.plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab", &[400]),
    ("cl.minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\nab", &[400]),
    ("cl.hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab", &[400]),
    ("cl.empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", &[400]),
    ("cl.huge", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", &[400, 413]),
    (
        "cl+te",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "te+cl",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("te.unknown", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    (
        "te.gzip",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "te.twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    ("te.identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", &[400, 501]),
    ("te.tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    ("te.http10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("field.space-before-colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", &[400]),
    ("field.fold", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", &[400]),
    ("field.no-name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", &[400]),
    ("field.no-colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n", &[400]),
    ("field.nul", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", &[400]),
    ("field.bare-cr", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n", &[400]),
    ("field.bad-name", "GET / HTTP/1.1\r\nHost: a\r\nX(A): b\r\n\r\n", &[400]),
    ("line.no-version", "GET /\r\nHost: a\r\n\r\n", &[400]),
    ("line.version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", &[400, 505]),
    ("line.version-2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[400, 505]),
    ("line.lower-case", "GET / http/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("line.method", "G{T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("method.trace", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", &[405, 501]),
    ("method.connect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", &[400, 405, 501]),
    ("expect.unknown", "GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", &[417]),
];

#[tokio::test]
async fn malformed_requests_are_refused_and_the_connection_closed() {
    let (origin, gate) = gate().await;
    let mut faults = Vec::new();
    for (name, request, statuses) in REFUSED {
        let mut wire = Wire::connect(gate.http).await;
        wire.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        match wire.answer().await {
            // Closing without a word is safe as well, but an answer is kinder; only the parser itself may.
            None => faults.push(format!("{name}: closed without an answer")),
            Some(answer) if !statuses.contains(&answer.status) => {
                faults.push(format!("{name}: {} instead of {statuses:?}", answer.status));
            }
            Some(_) if !wire.is_closed().await => faults.push(format!("{name}: left open")),
            Some(_) => {}
        }
        if let Some(seen) = origin.seen().get(faults_seen(&faults)..).and_then(<[_]>::first) {
            faults.push(format!("{name}: the backend got {:?}", String::from_utf8_lossy(&seen.head)));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// How many requests at the backend were reported already.
fn faults_seen(faults: &[String]) -> usize {
    faults.iter().filter(|fault| fault.contains("the backend got")).count()
}

#[tokio::test]
async fn a_refusal_of_a_message_is_a_problem_document() {
    let (_origin, gate) = gate().await;
    let answer =
        Wire::exchange(gate.http, "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("an answer");
    let (status, kind) = answer.problem();
    assert_eq!(status, 400);
    assert!(kind.starts_with("https://"), "{kind}");
    assert!(!answer.json()["detail"].as_str().unwrap_or("").is_empty(), "it says what is wrong: {answer:?}");
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn oversized_heads_and_bodies_are_refused() {
    let origin = Origin::counting().await;
    let bounds = "request: {head_bytes: 16KiB, line_bytes: 8KiB, fields: 50, body_bytes: 1KiB}";
    let gate = Gate::start(&Setup::new(origin.address()).server(bounds).with(ROUTES)).await;
    let field = |bytes: usize| format!("X-A: {}\r\n", "a".repeat(bytes));
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let cases = [
        ("long line", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8_200)), 414),
        ("long field", head(&field(8_300)), 431),
        ("many fields", head(&"X-A: b\r\n".repeat(60)), 431),
        ("large head", head(&field(6_000).repeat(3)), 431),
        ("large body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n".to_owned(), 413),
    ];
    for (name, request, status) in cases {
        let answer = Wire::exchange(gate.http, request).await;
        assert_eq!(answer.map(|answer| answer.problem().0), Some(status), "{name}");
    }
    assert_eq!(origin.count(), 0);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8_000));
    assert_eq!(
        Wire::exchange(gate.http, long).await.map(|answer| answer.status),
        Some(200),
        "RFC 9112 section 3"
    );
}

#[tokio::test]
async fn a_chunked_body_is_bounded_while_it_arrives() {
    let origin = Origin::counting().await;
    let bounds = "request: {body_bytes: 1KiB}";
    let gate = Gate::start(&Setup::new(origin.address()).server(bounds).with(ROUTES)).await;
    let chunk = format!("400\r\n{}\r\n", "a".repeat(0x400));
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let answer = Wire::exchange(gate.http, request).await;
    assert_eq!(answer.map(|answer| answer.problem().0), Some(413));
    assert_eq!(origin.count(), 0, "the backend never got a whole request");
}

#[tokio::test]
async fn a_silent_client_is_ended_by_the_total_deadline_of_the_head() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).server("request: {head_timeout: 500ms}").with(ROUTES);
    let gate = Gate::start(&setup).await;
    let mut silent = Wire::connect(gate.http).await;
    silent.send("GET / HTTP/1.1\r\nHo").await;
    let answer = silent.answer().await;
    assert!(answer.is_none_or(|answer| answer.status == 408) && silent.is_closed().await);
    // A field line per poll: each read is quick, the head never ends.
    let mut dripping = Wire::connect(gate.http).await;
    dripping.send("GET / HTTP/1.1\r\n").await;
    let dripping = parking_lot::Mutex::new(dripping);
    eventually("a dripping client is ended as well", async || {
        let mut wire = dripping.lock();
        wire.send("X-A: b\r\n").await;
        wire.is_ended()
    })
    .await;
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn the_backend_gets_the_canonical_target() {
    let (origin, gate) = gate().await;
    for (sent, got) in [
        ("/a/./b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("//a///b", "/a/b"),
        ("/%7Euser/%41", "/~user/A"),
        ("/%c3%a4", "/%C3%A4"),
        ("/a?b=/../c&d=%7E", "/a?b=/../c&d=%7E"),
        ("/a/%2e%2e/b", "/b"),
        ("http://a/b/../c?d", "/c?d"),
        ("/a/..", "/"),
    ] {
        let request = format!("GET {sent} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(Wire::exchange(gate.http, request).await.map(|answer| answer.status), Some(200), "{sent}");
        assert_eq!(origin.last().target, got, "{sent}");
    }
}

#[tokio::test]
async fn encoded_slashes_are_kept_where_configured() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).server("request: {encoded_slash: keep}").with(ROUTES);
    let gate = Gate::start(&setup).await;
    let answer = Wire::exchange(gate.http, "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.map(|answer| answer.status), origin.last().target.as_str()), (Some(200), "/a%2Fb"));
}

/// c59, c60.
#[tokio::test]
async fn hop_by_hop_fields_of_a_request_end_at_the_gate() {
    let (origin, gate) = gate().await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, X-Forwarded-For, X-User-Id\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n\
        X-Forwarded-For: 6.6.6.6\r\nX-Kept: yes\r\n\r\n";
    assert_eq!(Wire::exchange(gate.http, request).await.map(|answer| answer.status), Some(200));
    let seen = origin.last();
    for name in ["x-hop", "keep-alive", "proxy-connection", "te"] {
        assert!(!seen.headers.contains_key(name), "{name} reached the backend");
    }
    assert_eq!((seen.header("x-kept"), seen.header("x-forwarded-for")), ("yes", "127.0.0.1"));
    assert!(seen.header("via").contains("tidegate"), "{seen:?}");
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer: Option<Answer> = Wire::exchange(gate.http, upgrade).await;
    assert!(answer.is_some_and(|answer| answer.status != 101));
    assert!(
        !origin.last().headers.contains_key("upgrade")
            && !origin.last().headers.contains_key("http2-settings")
    );
}

#[tokio::test]
async fn a_request_id_is_made_and_handed_on() {
    let (origin, gate) = gate().await;
    let with_id = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: chosen-by-client\r\n\r\n";
    let answer = Wire::exchange(gate.http, with_id).await.expect("an answer");
    let id = answer.header("x-request-id").to_owned();
    assert!(!id.is_empty() && id != "chosen-by-client", "strangers choose no ids: {id}");
    assert_eq!(origin.last().header("x-request-id"), id);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {trace}\r\n\r\n");
    Wire::exchange(gate.http, traced).await.expect("an answer");
    assert_eq!(origin.last().header("traceparent"), trace);
}

#[tokio::test]
async fn max_forwards_zero_is_answered_here() {
    let (origin, gate) = gate().await;
    let request = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    let answer = Wire::exchange(gate.http, request).await.expect("an answer");
    assert!((200..300).contains(&answer.status), "{answer:?}");
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let (origin, gate) = gate().await;
    let mut wire = Wire::connect(gate.http).await;
    for number in 1..=3 {
        wire.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
        let answer = wire.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, format!("answer {number}")));
    }
    wire.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(wire.answer().await.is_some() && wire.is_closed().await);
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn an_unknown_host_or_path_is_404_where_no_route_takes_it() {
    let origin = Origin::start(|_| Reply::ok("x")).await;
    let sections = "routes: [{host: good.example, path: /api/}]";
    let gate = Gate::start(&Setup::new(origin.address()).with(sections)).await;
    for (host, path, status) in [
        ("good.example", "/api/x", 200),
        ("GOOD.EXAMPLE:8080", "/api", 200),
        ("good.example", "/other", 404),
        ("evil.example", "/api/x", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = Wire::exchange(gate.http, request).await.expect("an answer");
        assert_eq!(answer.status, status, "{host}{path}");
    }
    assert_eq!(origin.count(), 2);
}
