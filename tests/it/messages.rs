//! Malformed and ambiguous messages over raw sockets: refused at the door, the connection closed behind them.

use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Wire, eventually, http2, web};

async fn gate(origin: &Origin) -> Gate {
    Gate::start(&Setup::new(origin.address()).with("routes: [{path: /}]")).await
}

async fn raw(gate: &Gate, bytes: &str) -> Option<Answer> {
    Wire::exchange(gate.http, bytes).await
}

#[tokio::test]
async fn what_breaks_a_rule_never_reaches_the_backend() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    let host = "Host: a.example\r\n";
    let cases = [
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two hosts", format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400),
        ("bad host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned(), 400),
        ("bad port", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n".to_owned(), 400),
        ("another authority", format!("GET http://evil.example/ HTTP/1.1\r\n{host}\r\n"), 400),
        ("authority form", format!("GET a.example:80 HTTP/1.1\r\n{host}\r\n"), 400),
        ("asterisk", format!("GET * HTTP/1.1\r\n{host}\r\n"), 400),
        (
            "ten options",
            format!("GET / HTTP/1.1\r\n{host}Connection: a, b, c, d, e, f, g, h, i, j\r\n\r\n"),
            400,
        ),
        ("an option that is no token", format!("GET / HTTP/1.1\r\n{host}Connection: \"x-a\"\r\n\r\n"), 400),
        ("an option beyond ASCII", format!("GET / HTTP/1.1\r\n{host}Connection: é, x-api-key\r\n\r\n"), 400),
        ("trace", format!("TRACE / HTTP/1.1\r\n{host}\r\n"), 405),
        ("connect", "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n".to_owned(), 405),
        (
            "two equal lengths",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
            400,
        ),
        ("list of lengths", format!("POST / HTTP/1.1\r\n{host}Content-Length: 1, 1\r\n\r\nx"), 400),
        ("signed length", format!("POST / HTTP/1.1\r\n{host}Content-Length: +1\r\n\r\nx"), 400),
        (
            "two codings",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        (
            "unknown coding",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("folded line", format!("GET / HTTP/1.1\r\n{host}X-A: 1\r\n 2\r\n\r\n"), 400),
        ("space before colon", format!("GET / HTTP/1.1\r\n{host}X-A : 1\r\n\r\n"), 400),
        ("encoded slash", format!("GET /a%2Fb HTTP/1.1\r\n{host}\r\n"), 400),
        ("encoded NUL", format!("GET /a%00b HTTP/1.1\r\n{host}\r\n"), 400),
        ("backslash", format!("GET /a\\b HTTP/1.1\r\n{host}\r\n"), 400),
        ("encoded control", format!("GET /a%0d%0ab HTTP/1.1\r\n{host}\r\n"), 400),
        ("expectation", format!("GET / HTTP/1.1\r\n{host}Expect: magic\r\n\r\n"), 417),
        ("declared body", format!("POST / HTTP/1.1\r\n{host}Content-Length: 99999999\r\n\r\n"), 413),
        ("long target", format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(20_000)), 414),
        ("long field", format!("GET / HTTP/1.1\r\n{host}X-A: {}\r\n\r\n", "a".repeat(20_000)), 431),
        ("many fields", format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X-A: 1\r\n".repeat(120)), 431),
    ];
    for (name, bytes, status) in cases {
        let answer = raw(&gate, &bytes).await;
        assert_eq!(answer.map(|answer| answer.status), Some(status), "{name}");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn every_spelling_of_a_path_reaches_the_backend_as_one() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for spelling in ["/a/b", "//a///b", "/a/./b", "/x/../a/b", "/%61/b", "/a/c/%2e%2E/b", "/a/%62"] {
        let answer = raw(&gate, &format!("GET {spelling}?q=%2F HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(
            (answer.map(|answer| answer.status), origin.last().target.as_str()),
            (Some(200), "/a/b?q=%2F"),
            "{spelling}"
        );
    }
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_their_hop() {
    let origin = Origin::start(|_| {
        Reply::ok("x")
            .header("Connection", "X-Internal")
            .header("X-Internal", "1")
            .header("X-Kept", "1")
            .header("Keep-Alive", "timeout=5")
    })
    .await;
    let gate = gate(&origin).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let answer = raw(&gate, request).await.expect("an answer");
    assert_eq!(
        (answer.header("x-internal"), answer.header("x-kept"), answer.header("keep-alive")),
        ("", "1", "")
    );
    assert_eq!(answer.header("via"), "1.1 tidegate");
    let seen = origin.last();
    assert_eq!(
        (seen.header("x-secret"), seen.header("upgrade"), seen.header("via")),
        ("", "", "1.1 tidegate")
    );
    assert_eq!(answer.header("x-request-id"), seen.header("x-request-id"));
    assert_eq!(answer.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn a_backend_that_breaks_a_rule_is_a_502() {
    let bad = [
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "nonsense\r\n\r\n",
        "",
    ];
    for reply in bad {
        let origin = Origin::start(move |_| Reply::raw(reply).close()).await;
        let gate = gate(&origin).await;
        let answer = raw(&gate, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("an answer");
        assert_eq!(answer.problem().0, 502, "{reply:?}");
    }
}

#[tokio::test]
async fn an_old_client_gets_no_chunks() {
    let origin = Origin::start(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    })
    .await;
    let gate = gate(&origin).await;
    let answer = raw(&gate, "GET / HTTP/1.0\r\nHost: a\r\n\r\n").await.expect("an answer");
    assert_eq!((answer.header("transfer-encoding"), answer.text().as_str()), ("", "abc"));
}

/// RFC 9112 section 3.2.2, and one spelling for routing, keys and backend.
#[tokio::test]
async fn the_backend_gets_one_spelling_of_the_host() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    for head in ["GET / HTTP/1.1\r\nHost: A.Example:80", "GET http://a.example/ HTTP/1.1\r\nHost: a.example"]
    {
        let answer = raw(&gate, &format!("{head}\r\n\r\n")).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200), "{head:?}");
        let seen = origin.last();
        assert_eq!((seen.header("host"), seen.header("x-forwarded-host")), ("a.example", "a.example"));
    }
}

/// RFC 9110 section 7.6.2.
#[tokio::test]
async fn options_go_as_far_as_max_forwards_says() {
    let origin = Origin::counting().await;
    let gate = gate(&origin).await;
    let options = |value: &str| format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n");
    let answer = raw(&gate, &options("0")).await.expect("an answer");
    assert_eq!((answer.status, origin.count()), (200, 0));
    assert!(answer.header("allow").contains("OPTIONS"));
    assert_eq!(raw(&gate, &options("3")).await.map(|answer| answer.status), Some(200));
    assert_eq!(origin.last().header("max-forwards"), "2");
}

/// RFC 9110 section 15.2.
#[tokio::test]
async fn an_old_client_gets_no_interim_response() {
    let origin = Origin::start(|_| {
        Reply::raw(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        )
    })
    .await;
    let gate = gate(&origin).await;
    let answer = raw(&gate, "GET / HTTP/1.0\r\nHost: a\r\n\r\n").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
}

/// Of an HTTP/2 request pingora makes a background request that it cannot read itself.
#[tokio::test]
async fn a_stale_answer_is_renewed_behind_an_http2_client() {
    let origin =
        Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=0, stale-while-revalidate=600"))
            .await;
    let config = format!(
        "server: {{listen: [{{address: '127.0.0.1:0', http2: true}}]}}\nadmin: {{listen: '127.0.0.1:0'}}\n\
         upstreams: {{backend: '{}'}}\ncache: {{namespaces: {{all: {{scope: public}}}}}}\nroutes: [{{path: /, cache: all}}]",
        origin.address()
    );
    let gate = Gate::start_with(&config).await;
    let url = format!("http://{}//a/../b?c", gate.http);
    let client = web::client_http2();
    assert_eq!(client.get(&url).fetch().await.cache(), "MISS");
    assert_eq!(client.get(&url).fetch().await.cache(), "STALE");
    eventually("the stored answer is renewed", async || origin.count() >= 2).await;
    let seen = origin.last();
    let host = gate.http.to_string();
    assert_eq!((seen.target.as_str(), seen.header("host")), ("/b?c", host.as_str()));
}

/// Only GET may become a WebSocket (RFC 6455 section 4.1); any other request has a bounded body.
#[tokio::test]
async fn an_upgrade_does_not_lift_the_bound_of_a_body() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).server("request: {body_bytes: 10B}").with("routes: [{path: /}]");
    let gate = Gate::start(&setup).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    let answer =
        raw(&gate, &format!("{head}Transfer-Encoding: chunked\r\n\r\n14\r\n{}\r\n0\r\n\r\n", "x".repeat(20)))
            .await;
    assert_eq!(answer.map(|answer| answer.status), Some(413));
}

/// Of a handshake the upgrade alone passes; what `Connection` names beside it ends here.
#[tokio::test]
async fn a_websocket_handshake_keeps_its_upgrade_and_nothing_else() {
    let origin = Origin::start(|_| {
        Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade, X-B\r\nX-B: 1\r\n\r\n")
    })
    .await;
    let gate = gate(&origin).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, X-A\r\nUpgrade: websocket\r\nX-A: 1\r\nKeep-Alive: 9\r\n\r\n").await;
    assert!(wire.until("101").await.is_some());
    let seen = origin.last();
    assert!(seen.header("connection").eq_ignore_ascii_case("upgrade"), "{}", seen.header("connection"));
    assert_eq!(
        (seen.header("upgrade"), seen.header("x-a"), seen.header("keep-alive")),
        ("websocket", "", "")
    );
}

/// RFC 9113 section 8.2.3: an HTTP/2 client may send the pairs of a cookie in several fields, HTTP/1.1 has one.
#[tokio::test]
async fn the_crumbs_of_a_cookie_are_one_field_behind_an_http2_client() {
    let origin = Origin::counting().await;
    let config = format!(
        "server: {{listen: [{{address: '127.0.0.1:0', http2: true}}]}}\nadmin: {{listen: '127.0.0.1:0'}}\n\
         upstreams: {{backend: '{}'}}\nroutes: [{{path: /}}]",
        origin.address()
    );
    let gate = Gate::start_with(&config).await;
    http2::ask(gate.http, &[("cookie", "a=1"), ("x-else", "y"), ("cookie", "b=2; c=3")]).await;
    let seen = origin.wire().to_ascii_lowercase();
    let lines: Vec<&str> = seen.lines().filter(|line| line.starts_with("cookie:")).collect();
    assert_eq!(lines, ["cookie: a=1; b=2; c=3"]);
}
