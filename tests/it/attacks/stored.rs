//! What must not become everybody's answer: cookies, private fields, errors, parts, halves, leftovers.

use super::{ALL, Arena, DEFAULTS, LOOSE, LOOSE_TENANT, PUBLIC, Profile, TENANT, reflect};
use crate::support::{Reply, Seen, eventually};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// c33, c35.
#[tokio::test]
async fn a_cookie_is_never_replayed() {
    let script = |seen: &Seen| {
        let reply = Reply::ok("x").header("Set-Cookie", "id=victim").header("X-Private", "victim");
        match seen.target.as_str() {
            "/plain" => reply.header("Cache-Control", "max-age=60"),
            "/public" => reply.header("Cache-Control", "public, s-maxage=60"),
            "/private" => reply.header("Cache-Control", "private, max-age=60"),
            "/field" => reply.header("Cache-Control", "max-age=60, private=\"Set-Cookie, X-Private\""),
            "/no-cache" => reply.header("Cache-Control", "max-age=60, no-cache=\"set-cookie\""),
            _ => reply,
        }
    };
    let sections = "cache:\n  namespaces:\n    public: {scope: public, ttl: 5m}\n    tenant: {ttl: 5m}\n    \
        strip: {scope: public, ttl: 5m, set_cookie: strip}\n\
        routes: [{path: /, cache: public}, {path: /, host: tenant.test, cache: tenant}, \
        {path: /, host: strip.test, cache: strip}]";
    let arena = Arena::with(sections, script).await;
    for profile in [PUBLIC, TENANT, Profile { host: "strip.test", has_tenant: false }] {
        for target in ["/plain", "/public", "/private", "/field", "/no-cache", "/nothing"] {
            arena.get(profile, target, &[]).await;
            let second = arena.get(profile, target, &[]).await;
            let is_replayed = second.cache() == "HIT" && second.headers.contains_key("set-cookie");
            assert!(!is_replayed, "{} {target}: {second:?}", profile.host);
        }
        let field = arena.get(profile, "/field", &[]).await;
        assert_eq!((field.cache(), field.header("x-private")), ("HIT", ""), "{}", profile.host);
    }
}

/// c34, c35 with everything loosened: what the backend forbids stays forbidden.
#[tokio::test]
async fn no_setting_shares_what_the_backend_keeps_private() {
    let script = |seen: &Seen| {
        let reply =
            Reply::ok("of the victim").header("Set-Cookie", "id=victim").header("X-Private", "victim");
        match seen.target.as_str() {
            "/private" => reply.header("Cache-Control", "private"),
            "/aged" => reply.header("Cache-Control", "private, max-age=60, s-maxage=60"),
            "/lines" => reply.header("Cache-Control", "max-age=60").header("Cache-Control", "Private"),
            "/no-store" => reply.header("Cache-Control", "public, max-age=60, no-store"),
            "/targeted" => reply.header("Cache-Control", "max-age=60").header("CDN-Cache-Control", "private"),
            _ => reply.header("Cache-Control", "max-age=60, private=\"Set-Cookie, X-Private\""),
        }
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for target in ["/private", "/aged", "/lines", "/no-store", "/targeted"] {
            for _ in 0..2 {
                assert_eq!(
                    arena.get(profile, target, &[]).await.cache(),
                    "MISS",
                    "{} {target}",
                    profile.host
                );
            }
        }
        arena.get(profile, "/field", &[]).await;
        let field = arena.get(profile, "/field", &[]).await;
        assert_eq!((field.header("x-private"), field.header("set-cookie")), ("", ""), "{}", profile.host);
    }
}

/// c39–c41: a request that only the backend dislikes.
#[tokio::test]
async fn an_error_that_one_client_provokes_is_nobody_elses_answer() {
    let script = |seen: &Seen| {
        let is_bad = seen.header("x-big").len() > 7_000 || !seen.header("x-bad").is_empty();
        let status = seen.header("x-bad").parse().unwrap_or(400);
        let reply = if is_bad { Reply::status(status, "bad") } else { Reply::ok("good") };
        reply.header("Cache-Control", "public, max-age=60")
    };
    let arena = Arena::start(script).await;
    for profile in DEFAULTS {
        let big = format!("X-Big: {}", "a".repeat(7_168));
        let provocations = [
            "400", "401", "403", "405", "406", "409", "413", "414", "415", "422", "429", "431", "500", "501",
        ];
        let lines = provocations.map(|status| format!("X-Bad: {status}"));
        for (number, line) in lines.iter().chain([&big]).enumerate() {
            let target = format!("/{number}");
            let attacker = arena.get(profile, &target, &[line]).await;
            assert!(attacker.status >= 400, "{attacker:?}");
            assert!(!attacker.header("cache-status").contains("stored"), "{attacker:?}");
            let victim = arena.get(profile, &target, &[]).await;
            assert_eq!((victim.status, victim.text().as_str()), (200, "good"), "{}", profile.host);
        }
    }
}

/// c40: the door refuses what the backend could only dislike.
#[tokio::test]
async fn a_control_character_gets_no_further_than_the_door() {
    let arena = Arena::start(reflect).await;
    for profile in ALL {
        for octet in ["\u{0}", "\u{1}", "\u{8}", "\u{b}", "\u{1f}", "\u{7f}", "\r", "\u{1b}"] {
            let line = format!("X-Meta: a{octet}b");
            let attacker = arena.get(profile, "/", &[&line]).await;
            assert_eq!(attacker.status, 400, "{octet:?}");
        }
        assert_eq!(arena.get(profile, "/", &[]).await.status, 200);
    }
    assert!(arena.origin.seen().iter().all(|seen| seen.header("x-meta").is_empty()));
}

/// c41: "not there" is stored for a short time only, and only what the backend says of the real request.
#[tokio::test]
async fn a_method_override_provokes_no_stored_404() {
    let script = |seen: &Seen| {
        let overrides = ["x-http-method-override", "x-http-method", "x-method-override"];
        let is_overridden = overrides.iter().any(|name| seen.headers.contains_key(*name));
        if is_overridden { Reply::status(404, "no") } else { Reply::ok("good") }
            .header("Cache-Control", "max-age=60")
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"]
        {
            let target = format!("/{name}");
            arena.get(profile, &target, &[&format!("{name}: POST")]).await;
            assert_eq!(arena.get(profile, &target, &[]).await.status, 200, "{} {name}", profile.host);
        }
    }
}

/// c42, c43.
#[tokio::test]
async fn a_partial_or_unchanged_answer_never_becomes_the_object() {
    let script = |seen: &Seen| {
        let has = |name: &str| !seen.header(name).is_empty();
        let reply = if has("range") {
            Reply::status(206, "0").header("Content-Range", "bytes 0-0/10")
        } else if has("if-none-match") || has("if-modified-since") {
            Reply::status(304, "")
        } else if has("if-match") || has("if-unmodified-since") {
            Reply::status(412, "no")
        } else {
            Reply::ok("0123456789")
        };
        reply.header("Cache-Control", "public, max-age=60").header("ETag", "\"e\"")
    };
    let arena = Arena::start(script).await;
    let conditions = [
        "Range: bytes=0-0",
        "Range: bytes=5-",
        "Range: bytes=0-0,2-2",
        "Range: bytes=99-",
        "If-None-Match: \"e\"",
        "If-None-Match: *",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
        "If-Match: \"other\"",
        "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    ];
    for profile in ALL {
        for (number, condition) in conditions.iter().enumerate() {
            let target = format!("/{number}");
            arena.get(profile, &target, &[condition]).await;
            for _ in 0..2 {
                let victim = arena.get(profile, &target, &[]).await;
                let got = (victim.status, victim.text());
                assert_eq!(got, (200, "0123456789".to_owned()), "{} {condition}", profile.host);
            }
        }
    }
}

/// c44.
#[tokio::test]
async fn an_error_without_freshness_is_never_stored() {
    let script = |seen: &Seen| Reply::status(if seen.header("x-first").is_empty() { 200 } else { 500 }, "x");
    let arena = Arena::start(script).await;
    for profile in ALL {
        assert_eq!(arena.get(profile, "/", &["X-First: 1"]).await.status, 500);
        assert_eq!(arena.get(profile, "/", &[]).await.status, 200, "{}", profile.host);
    }
}

/// c45, c46.
#[tokio::test]
async fn half_an_answer_reaches_its_client_as_half_and_is_not_stored() {
    let cut = |seen: &Seen| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\n";
        let rest = match seen.target.as_str() {
            "/length" => "Content-Length: 10\r\n\r\n01234",
            "/chunks" => "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
            "/chunk" => "Transfer-Encoding: chunked\r\n\r\n9\r\n01234",
            "/size" => "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nzz\r\n",
            _ => "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n",
        };
        Reply::raw(format!("{head}{rest}")).close()
    };
    let arena = Arena::start(cut).await;
    for profile in ALL {
        for target in ["/length", "/chunks", "/chunk", "/size", "/last"] {
            let before = arena.origin.count();
            for _ in 0..2 {
                // The reader of the wire gives no answer whose body ends before its framing does.
                let answer = arena.raw(super::request(profile, target, &[])).await;
                let is_whole = answer.as_ref().is_some_and(|answer| answer.status == 200);
                assert!(!is_whole, "{} {target}: half looked whole: {answer:?}", profile.host);
            }
            assert!(arena.origin.count() >= before + 2, "{} {target}: the half was stored", profile.host);
        }
    }
}

/// c47: bytes behind an answer, at once or when its connection rests, are thrown away with the connection.
#[tokio::test]
async fn surplus_bytes_are_never_the_next_answer() {
    const EVIL: &str =
        "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Length: 4\r\n\r\nevil";
    let door = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&door);
    let script = move |seen: &Seen| {
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
        match seen.target.as_str() {
            "/at-once" => Reply::raw(format!("{good}{EVIL}")),
            "/chunked" => Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n{EVIL}"
            )),
            "/empty" => Reply::raw(format!("HTTP/1.1 204 No Content\r\n\r\n{EVIL}")),
            "/not-modified" => Reply::raw(format!("HTTP/1.1 304 Not Modified\r\n\r\n{EVIL}")),
            "/later" => Reply::ok("good").then(&waiting, EVIL),
            _ => Reply::ok("good"),
        }
    };
    let arena = Arena::start(script).await;
    for profile in [PUBLIC, TENANT, LOOSE, LOOSE_TENANT] {
        for target in ["/at-once", "/chunked", "/empty", "/not-modified", "/later"] {
            drop(arena.raw(super::request(profile, target, &[])).await);
            if target == "/later" {
                let before = arena.origin.sent();
                door.add_permits(1);
                eventually("the surplus is sent", async || arena.origin.sent() > before).await;
            }
            let victim = arena.get(profile, &format!("/victim{target}"), &[]).await;
            assert_eq!((victim.status, victim.text().as_str()), (200, "good"), "{} {target}", profile.host);
        }
    }
}

/// c61.
#[tokio::test]
async fn a_field_of_one_hop_is_neither_forwarded_nor_stored() {
    let script = |_: &Seen| {
        Reply::ok("x")
            .header("Connection", "X-Internal, keep-alive, x-other")
            .header("X-Internal", "secret")
            .header("X-Other", "secret")
            .header("Keep-Alive", "timeout=9")
            .header("Proxy-Authenticate", "Basic realm=secret")
            .header("Cache-Control", "public, max-age=60")
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for round in ["MISS", "HIT"] {
            let answer = arena.get(profile, "/", &[]).await;
            assert_eq!(answer.cache(), round, "{}", profile.host);
            for name in ["x-internal", "x-other", "proxy-authenticate", "keep-alive"] {
                assert_eq!(answer.header(name), "", "{} {name}", profile.host);
            }
        }
    }
}
