//! Targets and hosts that look alike: two requests share an answer only if no backend could tell them apart.

use super::{ALL, Arena, DEFAULTS, LOOSE, PUBLIC, TENANT, bearer, reflect, request};
use crate::support::{Reply, Seen};

/// c10, c12.
#[tokio::test]
async fn the_host_is_keyed() {
    let arena = Arena::start(reflect).await;
    for (token, path) in [("", "/a"), (&format!("{}\r\n", bearer("ada", "acme")), "/b")] {
        let ask = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{token}\r\n");
        for target in [&format!("http://evil.example{path}"), path] {
            let evil = arena.raw(ask(target, "evil.example")).await.expect("an answer");
            assert!(evil.text().contains("evil.example"));
        }
        let good = arena.raw(ask(path, "good.example")).await.expect("an answer");
        assert_ne!(good.cache(), "HIT");
        assert!(!good.text().contains("evil"), "{}", good.text());
        let port = arena.raw(ask(path, "good.example:8080")).await.expect("an answer");
        assert_ne!(port.cache(), "HIT");
    }
}

/// c12: the target's authority and `Host` are one, or the request is refused.
#[tokio::test]
async fn a_target_of_another_host_is_refused() {
    let arena = Arena::start(reflect).await;
    for target in ["http://evil.example/b", "https://evil.example/b", "http://evil@public.test/b"] {
        assert_eq!(arena.get(PUBLIC, target, &[]).await.status, 400, "{target}");
    }
    let same = arena.get(PUBLIC, "http://public.test/b", &[]).await;
    assert_eq!((same.status, same.cache()), (200, "MISS"));
    let clean = arena.get(PUBLIC, "/b", &[]).await;
    assert_eq!(clean.cache(), "HIT");
    assert!(!clean.text().contains("evil"), "{}", clean.text());
}

/// c11, c13.
#[tokio::test]
async fn there_is_exactly_one_host() {
    let arena = Arena::start(reflect).await;
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a\r\n Host: b\r\n",
        "Host : a\r\n",
        "Host:\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a/b\r\n",
        "Host: a:80:80\r\n",
    ] {
        let answer = arena.raw(format!("GET /c HTTP/1.1\r\n{hosts}\r\n")).await;
        assert_eq!(answer.map(|answer| answer.status), Some(400), "{hosts:?}");
    }
    assert_eq!(arena.origin.count(), 0);
}

#[tokio::test]
async fn spellings_of_one_host_share_an_entry() {
    let arena = Arena::start(reflect).await;
    for host in ["good.example", "GOOD.example", "good.example:80", "good.example."] {
        let answer = arena.raw(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200), "{host}");
    }
    assert_eq!(arena.origin.count(), 1);
}

/// c14.
#[tokio::test]
async fn a_get_with_a_body_is_neither_stored_nor_answered_from_the_cache() {
    let arena =
        Arena::start(|seen| Reply::ok(&seen.body).header("Cache-Control", "public, max-age=60")).await;
    for profile in ALL {
        let fat = |framing: &str, body: &str| {
            let form = "Content-Type: application/x-www-form-urlencoded";
            request(profile, "/", &[form, framing]) + body
        };
        for bytes in
            [fat("Content-Length: 4", "evil"), fat("Transfer-Encoding: chunked", "4\r\nevil\r\n0\r\n\r\n")]
        {
            let before = arena.origin.count();
            for _ in 0..2 {
                let attacker = arena.raw(&bytes).await.expect("an answer");
                assert_eq!(
                    (attacker.cache(), attacker.text().as_str()),
                    ("BYPASS", "evil"),
                    "{}",
                    profile.host
                );
            }
            assert_eq!(arena.origin.count(), before + 2);
        }
        let victim = arena.get(profile, "/", &[]).await;
        assert_eq!((victim.cache(), victim.text().as_str()), ("MISS", ""));
        assert_eq!(arena.get(profile, "/", &[]).await.cache(), "HIT");
        let attacker = arena.raw(fat("Content-Length: 4", "evil")).await.expect("an answer");
        assert_eq!(attacker.text(), "evil", "a stored answer is none to another question");
    }
}

/// c15–c20.
#[tokio::test]
async fn different_targets_are_different_entries() {
    let arena = Arena::start(reflect).await;
    let targets = [
        "/?a=1&a=2",
        "/?a=2&a=1",
        "/?b=1&a=1",
        "/?a=1&b=1",
        "/?a=1;utm_x=evil",
        "/?a=1",
        "/?a=1&utm_content=evil",
        "/?a=1:b=2",
        "/?a=1&b=2",
        "/?A=1",
        "/?",
        "/",
        "/ABC",
        "/abc",
        "/a?b",
        "/a%3Fb",
        "/a/b?c",
        "/a/b/?c",
        "/a/b",
        "/a:b",
        "/?a=%31",
        "/?%61=1",
        "/?a=1%26b=2",
        "/?a=1#".trim_end_matches('#'),
    ];
    let mut distinct = targets.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    for profile in ALL {
        let before = arena.origin.count();
        for round in ["MISS", "HIT"] {
            for target in &distinct {
                let answer = arena.get(profile, target, &[]).await;
                assert_eq!((answer.status, answer.cache()), (200, round), "{} {target}", profile.host);
                let asked = answer.text().split(' ').nth(1).unwrap_or("").to_owned();
                assert_eq!(asked, *target, "the backend was asked for what the client asked for");
            }
        }
        assert_eq!(arena.origin.count(), before + distinct.len());
    }
}

/// c15–c18 where the operator keys some parameters: what any backend could read as one of them is keyed too.
#[tokio::test]
async fn a_parameter_cannot_hide_from_a_list_of_keyed_ones() {
    let sections =
        "cache: {namespaces: {all: {scope: public, query: [a, b]}}}\nroutes: [{path: /, cache: all}]";
    let arena = Arena::with(sections, reflect).await;
    let targets = [
        "/?a=1",
        "/?a=2",
        "/?a=1&a=2",
        "/?a=2&a=1",
        "/?a=1&b=2",
        "/?b=2&a=1",
        "/?a=1:b=2",
        "/?a=1&utm_x=1;a=evil",
        "/?a=1;b=evil",
        "/?a=1&%62=evil",
        "/?a=1&B=evil",
        "/?a=1&b[]=evil",
        "/?a=1&b%00=evil",
        "/?a=1&b.=evil;",
        "/?a=1&+b=evil",
        "/?a=1&&b=evil",
        "/?a=1%26b=evil",
        "/?a",
        "/?a=",
        "/",
    ];
    for target in targets {
        let answer = arena.get(PUBLIC, target, &[]).await;
        assert_eq!((answer.status, answer.cache()), (200, "MISS"), "{target}");
    }
}

/// c19: `%2F` is no separator; where it is let through, it is another path, and a rule on `/x/` does not cover it.
#[tokio::test]
async fn an_encoded_slash_is_refused_or_another_path() {
    let arena = Arena::start(reflect).await;
    for profile in DEFAULTS {
        assert_eq!(arena.get(profile, "/x%2Fy", &[]).await.problem().0, 400);
    }
    let sections =
        "cache: {namespaces: {all: {scope: public}}}\nroutes: [{path: /, cache: all}, {path: /x/}]";
    let change = |setup: crate::support::Setup| setup.server("request: {encoded_slash: keep}").with(sections);
    let arena = Arena::of(change, reflect).await;
    let encoded = arena.get(PUBLIC, "/x%2fy", &[]).await;
    assert_eq!((encoded.cache(), arena.origin.last().target.as_str()), ("MISS", "/x%2Fy"));
    assert_eq!(arena.get(PUBLIC, "/x%2Fy", &[]).await.cache(), "HIT");
    assert_eq!(arena.get(PUBLIC, "/x/y", &[]).await.cache(), "");
    for target in ["/z%2F..%2Fx/y", "/z/..%2Fx/y", "/z%2F%2e%2e/x/y"] {
        assert_eq!(arena.get(PUBLIC, target, &[]).await.problem().0, 400, "{target}");
    }
}

/// c21.
#[tokio::test]
async fn a_head_never_stands_in_for_a_get() {
    let script = |_: &Seen| Reply::ok("the whole body").header("Cache-Control", "public, max-age=60");
    let arena = Arena::start(script).await;
    for profile in ALL {
        let head = request(profile, "/", &["Connection: close"]).replacen("GET", "HEAD", 1);
        for _ in 0..2 {
            let mut wire = crate::support::Wire::connect(arena.gate.http).await;
            wire.send(&head).await;
            let answer = wire.answer_to("HEAD").await.expect("an answer");
            assert_eq!((answer.status, answer.number("content-length")), (200, 14));
            assert!(wire.is_closed().await, "not a byte of a body");
        }
        for _ in 0..2 {
            assert_eq!(arena.get(profile, "/", &[]).await.text(), "the whole body", "{}", profile.host);
        }
    }
}

/// c10, c15–c20: a namespace's name, a tenant's and a path's cannot slide into each other.
#[tokio::test]
async fn profiles_of_one_backend_share_nothing() {
    let arena = Arena::start(reflect).await;
    for profile in [PUBLIC, TENANT, LOOSE] {
        assert_eq!(arena.get(profile, "/same", &[]).await.cache(), "MISS", "{}", profile.host);
    }
}
