//! Attacks on a shared cache: what one client sends never shows in what another gets.
//!
//! c1–c62 are the cases of the cache's attack list; those about framing stand in `messages` and `responses`.

use crate::support::tokens::HS256;
use crate::support::{Answer, Fetch, Gate, Origin, Reply, Seen, Setup, Wire, eventually, token};

/// Everything is cached for everybody: the profile with the most to lose.
const PUBLIC: &str = "cache: {namespaces: {all: {scope: public, ttl: 5m}}}\nroutes: [{path: /, cache: all}]";
/// The same by tenant.
const TENANT: &str = "cache: {namespaces: {all: {ttl: 5m}}}\nroutes: [{path: /, cache: all}]";

async fn gate(sections: &str, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Origin, Gate) {
    let origin = Origin::start(script).await;
    let gate = Gate::start(&Setup::new(origin.address()).with(HS256).with(sections)).await;
    (origin, gate)
}

/// A backend that repeats every field that frameworks let decide about an answer, and the whole request line.
fn reflect(seen: &Seen) -> Reply {
    Reply::ok(&seen.head).header("Cache-Control", "public, max-age=60")
}

async fn raw(gate: &Gate, request: &str) -> Answer {
    Wire::exchange(gate.http, request).await.expect("an answer")
}

/// c1–c8.
#[tokio::test]
async fn fields_that_could_change_the_answer_do_not_reach_the_backend() {
    let (_origin, gate) = gate(PUBLIC, reflect).await;
    let fields = [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-For",
        "X-Host",
    ];
    for (number, name) in fields.into_iter().enumerate() {
        let path = format!("/c{number}");
        let attacker = gate.get(&path).header(name, "evil.example").fetch().await;
        let victim = gate.get(&path).fetch().await;
        assert!(!victim.text().contains("evil"), "{name}: {}", victim.text());
        assert_eq!((attacker.status, victim.status), (200, 200), "{name}");
    }
}

/// c9, c36.
#[tokio::test]
async fn a_request_with_cookies_fills_nothing() {
    let (origin, gate) = gate(PUBLIC, reflect).await;
    let attacker = gate.get("/").header("Cookie", "id=evil").fetch().await;
    assert_eq!(attacker.cache(), "BYPASS");
    assert!(attacker.header("cache-status").contains("detail=cookie"), "{attacker:?}");
    let victim = gate.get("/").fetch().await;
    assert!(!victim.text().contains("evil"));
    assert_eq!(origin.count(), 2);
}

/// c10, c12.
#[tokio::test]
async fn the_host_is_keyed() {
    let (_origin, gate) = gate(PUBLIC, reflect).await;
    let evil = raw(&gate, "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    let good = raw(&gate, "GET /a HTTP/1.1\r\nHost: good.example\r\n\r\n").await;
    assert!(evil.text().contains("evil.example") && !good.text().contains("evil"), "{}", good.text());
    let mixed = raw(&gate, "GET http://evil.example/b HTTP/1.1\r\nHost: good.example\r\n\r\n").await;
    let clean = raw(&gate, "GET /b HTTP/1.1\r\nHost: good.example\r\n\r\n").await;
    assert!(matches!(mixed.status, 200 | 400));
    assert!(!clean.text().contains("evil"), "{}", clean.text());
}

#[tokio::test]
async fn spellings_of_one_host_share_an_entry() {
    let (origin, gate) = gate(PUBLIC, reflect).await;
    for host in ["good.example", "GOOD.example", "good.example:80", "good.example."] {
        let answer = raw(&gate, &format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    assert_eq!(origin.count(), 1);
}

/// c14.
#[tokio::test]
async fn a_get_with_a_body_is_neither_stored_nor_answered_from_the_cache() {
    let (origin, gate) =
        gate(PUBLIC, |seen| Reply::ok(&seen.body).header("Cache-Control", "max-age=60")).await;
    let fat = "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nevil";
    assert_eq!(raw(&gate, fat).await.cache(), "BYPASS");
    let clean = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(raw(&gate, clean).await.text(), "");
    assert_eq!(raw(&gate, clean).await.cache(), "HIT");
    assert_eq!(raw(&gate, fat).await.cache(), "BYPASS");
    assert_eq!(origin.count(), 3);
}

/// c15–c20: targets that look alike and are not.
#[tokio::test]
async fn different_targets_are_different_entries() {
    let (origin, gate) = gate(PUBLIC, reflect).await;
    let targets = [
        "/?a=1&a=2",
        "/?a=2&a=1",
        "/?a=1;x=evil",
        "/?a=1",
        "/?a=1:b=2",
        "/?a=1&b=2",
        "/?",
        "/",
        "/ABC",
        "/abc",
        "/a?b",
        "/a%3Fb",
        "/a/b?c",
        "/?a=%31",
    ];
    for round in ["MISS", "HIT"] {
        for target in targets {
            let answer = raw(&gate, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            assert_eq!(answer.status, 200, "{target}");
            assert_eq!(answer.cache(), round, "{target}");
            let asked = answer.text().split(' ').nth(1).unwrap_or("").to_owned();
            assert_eq!(asked, target, "the backend was asked for what the client asked for");
        }
    }
    assert_eq!(origin.count(), targets.len());
}

/// c22–c28: whether something is stored never depends on how a path ends.
#[tokio::test]
async fn a_path_that_looks_static_deceives_nobody() {
    let script = |seen: &Seen| Reply::ok(format!("for {}", seen.header("x-user-id")));
    let (_origin, gate) = gate(TENANT, script).await;
    let paths = [
        "/me/x.css",
        "/me;x.css",
        "/me%3Bx.css",
        "/me?x.css",
        "/me%23x.css",
        "/static/..%5Cme",
        "/static/../me",
        "/me/.css",
        "/me%0Ax.css",
    ];
    for path in paths {
        let bearer = format!("Authorization: Bearer {}", token("victim", "acme"));
        raw(&gate, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n")).await;
        let attacker = raw(&gate, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(!attacker.text().contains("victim"), "{path}: {}", attacker.text());
    }
}

/// c29: one canonical path is matched, keyed and forwarded.
#[tokio::test]
async fn dot_segments_cannot_borrow_a_cached_route() {
    let sections = "cache: {namespaces: {static: {scope: public, ttl: 5m}}}\n\
        routes:\n  - {path: /static/, cache: static}\n  - {path: /}";
    let (origin, gate) = gate(sections, reflect).await;
    for path in ["/static/../me", "/static/%2e%2e/me", "/static/./../me", "/static//../../me"] {
        let answer = raw(&gate, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.cache()), (200, ""), "{path}");
        assert_eq!(origin.last().target, "/me", "{path}");
    }
    for path in ["/static/..%2Fme", "/static/..%5cme", "/static/..\\me", "/static/%00/../me"] {
        let answer = raw(&gate, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(origin.count(), 4);
}

/// c30–c32.
#[tokio::test]
async fn an_answer_to_credentials_is_not_shared_in_scope_public() {
    let script = |seen: &Seen| {
        let reply = Reply::ok(seen.header("authorization")).header("Cache-Control", "max-age=60");
        if seen.target == "/varying" {
            reply.header("Cache-Control", "public").header("Vary", "Authorization")
        } else {
            reply
        }
    };
    let (_origin, gate) = gate(PUBLIC, script).await;
    for path in ["/plain", "/varying"] {
        let basic = |name: &str| gate.get(path).header("Authorization", format!("Basic {name}"));
        assert_eq!(basic("victim").fetch().await.text(), "Basic victim");
        assert_eq!(gate.get(path).fetch().await.text(), "", "{path}: anonymous");
        assert!(!basic("eve").fetch().await.text().contains("victim"), "{path}: another user");
        let ada = gate.get(path).bearer_auth(token("ada", "acme")).fetch().await.text();
        assert!(!ada.contains("victim") && !ada.contains("eve"), "{path}: {ada}");
    }
}

/// c33–c35.
#[tokio::test]
async fn a_cookie_is_never_replayed() {
    let script = |seen: &Seen| {
        let reply = Reply::ok("x").header("Set-Cookie", "id=victim");
        match seen.target.as_str() {
            "/plain" => reply.header("Cache-Control", "max-age=60"),
            "/public" => reply.header("Cache-Control", "public, max-age=60"),
            "/private" => reply.header("Cache-Control", "private, max-age=60"),
            _ => reply.header("Cache-Control", "max-age=60, private=\"Set-Cookie\""),
        }
    };
    let (origin, gate) = gate(PUBLIC, script).await;
    for path in ["/plain", "/public", "/private", "/field"] {
        gate.get(path).fetch().await;
        let second = gate.get(path).fetch().await;
        let is_replayed = second.cache() == "HIT" && second.headers.contains_key("set-cookie");
        assert!(!is_replayed, "{path}: {second:?}");
    }
    assert!(origin.count() >= 7);
}

/// c36–c38.
#[tokio::test]
async fn vary_star_is_never_reused() {
    let script = |seen: &Seen| {
        let vary = if seen.target == "/star" { "*" } else { "Accept, *" };
        Reply::ok("x").header("Vary", vary).header("Cache-Control", "max-age=60")
    };
    let (origin, gate) = gate(PUBLIC, script).await;
    for path in ["/star", "/star", "/list", "/list"] {
        assert_ne!(gate.get(path).fetch().await.cache(), "HIT", "{path}");
    }
    assert_eq!(origin.count(), 4);
}

/// c42–c43.
#[tokio::test]
async fn a_partial_or_unchanged_answer_never_becomes_the_object() {
    let script = |seen: &Seen| {
        let reply = if !seen.header("range").is_empty() {
            Reply::status(206, "0").header("Content-Range", "bytes 0-0/10")
        } else if seen.header("if-none-match").is_empty() {
            Reply::ok("0123456789")
        } else {
            Reply::status(304, "")
        };
        reply.header("Cache-Control", "max-age=60").header("ETag", "\"e\"")
    };
    let (_origin, gate) = gate(PUBLIC, script).await;
    gate.get("/range").header("Range", "bytes=0-0").fetch().await;
    gate.get("/match").header("If-None-Match", "\"e\"").fetch().await;
    for path in ["/range", "/match"] {
        let victim = gate.get(path).fetch().await;
        assert_eq!((victim.status, victim.text().as_str()), (200, "0123456789"), "{path}");
    }
}

/// c48.
#[tokio::test]
async fn a_compressed_variant_goes_only_to_who_accepts_it() {
    let script = |seen: &Seen| {
        let reply =
            Reply::ok("zipped?").header("Vary", "Accept-Encoding").header("Cache-Control", "max-age=60");
        if seen.header("accept-encoding").contains("gzip") {
            reply.header("Content-Encoding", "gzip")
        } else {
            reply
        }
    };
    let (_origin, gate) = gate(PUBLIC, script).await;
    gate.get("/").header("Accept-Encoding", "gzip").fetch().await;
    assert_eq!(gate.get("/").fetch().await.header("content-encoding"), "");
}

/// c61.
#[tokio::test]
async fn hop_by_hop_fields_of_an_answer_are_neither_forwarded_nor_stored() {
    let script = |_: &Seen| {
        Reply::ok("x")
            .header("Connection", "X-Internal")
            .header("X-Internal", "secret")
            .header("Keep-Alive", "timeout=9")
            .header("Cache-Control", "max-age=60")
    };
    let (_origin, gate) = gate(PUBLIC, script).await;
    for round in ["MISS", "HIT"] {
        let answer = gate.get("/").fetch().await;
        assert_eq!(answer.cache(), round);
        assert!(!answer.headers.contains_key("x-internal"), "{answer:?}");
        assert_ne!(answer.header("keep-alive"), "timeout=9", "{answer:?}");
    }
}

/// The renewal of a stale answer is the request that found it: same sender, same scheme, whatever the client writes.
#[tokio::test]
async fn the_renewal_of_a_stale_answer_has_the_sender_of_its_request() {
    let origin =
        Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=0, stale-while-revalidate=600"))
            .await;
    let sections = "cache: {namespaces: {all: {scope: public}}}\nroutes: [{path: /, cache: all}]";
    let setup = Setup::new(origin.address()).server("trusted_proxies: [127.0.0.0/8]").with(sections);
    let gate = Gate::start(&setup).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
        X-Tidegate-Origin: http 203.0.113.9\r\n\r\n";
    assert_eq!(raw(&gate, request).await.cache(), "MISS");
    assert_eq!(raw(&gate, request).await.cache(), "STALE");
    eventually("it is renewed", async || origin.count() == 2).await;
    let seen = origin.last();
    assert_eq!(
        (seen.header("x-forwarded-for"), seen.header("x-forwarded-proto")),
        ("192.0.2.7, 127.0.0.1", "https")
    );
}
