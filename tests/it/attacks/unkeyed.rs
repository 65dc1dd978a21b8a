//! Parts of a request that change the answer and are in no key: they do not reach the backend, or they keep the
//! request out of the cache.

use super::{ALL, Arena, DEFAULTS, LOOSE, LOOSE_TENANT, PUBLIC, SECTIONS, TENANT, reflect, request};
use crate::support::tokens::HS256;
use crate::support::{Reply, Seen, eventually};

/// Fields from which frameworks take another host, scheme, path, method or address than the message has.
const OVERRIDES: &[&str] = &[
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "Forwarded",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Forwarded-For",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Host",
    "X-Real-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-User-Id",
    "X-Organization-Id",
    "X-Original-Host",
    "X-Original-URI",
    "X-HTTP-Host-Override",
    "X-Scheme",
    "X-URL-Scheme",
    "X-Script-Name",
    "X-Envoy-Original-Path",
    "Front-End-Https",
    "Proxy",
];

/// c1–c8, in the spelling of CGI too, in which `X_Host` is `X-Host`.
#[tokio::test]
async fn a_field_that_overrides_the_request_stays_with_its_sender() {
    let arena = Arena::start(reflect).await;
    let mut faults = Vec::new();
    for profile in ALL {
        for name in OVERRIDES {
            for (number, name) in [(*name).to_owned(), name.replace('-', "_")].iter().enumerate() {
                let target = format!("/{number}{name}");
                let attacker = arena.get(profile, &target, &[&format!("{name}: evil.example")]).await;
                assert_eq!((attacker.status, attacker.cache()), (200, "MISS"), "{name}");
                let victim = arena.get(profile, &target, &[]).await;
                // A miss would say nothing: what the attacker got must be what the victim gets.
                assert_eq!((victim.status, victim.cache()), (200, "HIT"), "{name}");
                if victim.text().contains("evil") {
                    faults.push(format!("{} {name}", profile.host));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

/// c1–c3, c8: the backend learns host, scheme and sender from us, in one line each.
#[tokio::test]
async fn forwarding_fields_are_written_anew() {
    let arena = Arena::start(reflect).await;
    let forged = ["X-Forwarded-Host: evil", "X-Forwarded-Proto: evil", "X-Forwarded-For: 192.0.2.1"];
    arena.get(PUBLIC, "/", &[forged, forged].concat()).await;
    let seen = arena.origin.last();
    for (name, value) in
        [("x-forwarded-host", PUBLIC.host), ("x-forwarded-proto", "http"), ("x-forwarded-for", "127.0.0.1")]
    {
        let lines: Vec<_> = seen.headers.get_all(name).iter().collect();
        assert_eq!(lines, [value], "{name}");
    }
}

/// c1–c7 behind a trusted proxy: what it may say is who asked and how; host, path and method it cannot change.
#[tokio::test]
async fn a_trusted_proxy_cannot_override_the_request_either() {
    let arena =
        Arena::of(|setup| setup.server("trusted_proxies: [127.0.0.0/8]").with(HS256).with(SECTIONS), reflect)
            .await;
    for name in OVERRIDES.iter().filter(|name| **name != "X-Forwarded-For") {
        let target = format!("/{name}");
        arena.get(PUBLIC, &target, &[&format!("{name}: evil.example")]).await;
        let victim = arena.get(PUBLIC, &target, &[]).await;
        assert_eq!(victim.cache(), "HIT", "{name}");
        assert!(!victim.text().contains("evil"), "{name}: {}", victim.text());
    }
    let https = arena.get(PUBLIC, "/scheme", &["X-Forwarded-Proto: https"]).await;
    let http = arena.get(PUBLIC, "/scheme", &[]).await;
    assert_eq!((https.cache(), http.cache()), ("MISS", "MISS"), "the scheme is keyed");
}

/// c9.
#[tokio::test]
async fn a_request_with_a_cookie_fills_nothing() {
    let arena = Arena::start(reflect).await;
    for profile in DEFAULTS {
        let attacker = arena.get(profile, "/", &["Cookie: id=evil"]).await;
        assert_eq!(attacker.cache(), "BYPASS");
        assert!(attacker.header("cache-status").contains("detail=cookie"), "{attacker:?}");
        let victim = arena.get(profile, "/", &[]).await;
        assert_eq!(victim.cache(), "MISS");
        assert!(!victim.text().contains("evil"));
        assert_eq!(arena.get(profile, "/", &["Cookie: id=evil"]).await.cache(), "BYPASS", "nor is answered");
    }
}

/// c9 with `cookies: {key: …}`: every way to write the cookie twice is another key.
#[tokio::test]
async fn keyed_cookies_are_kept_apart() {
    let sections = "cache: {namespaces: {all: {scope: public, cookies: {key: [id]}}}}\n\
        routes: [{path: /, cache: all}]";
    let arena = Arena::with(sections, reflect).await;
    let cookies: [&[&str]; 7] = [
        &[],
        &["Cookie: id=a"],
        &["Cookie: id=b"],
        &["Cookie: id=a; id=b"],
        &["Cookie: id=b; id=a"],
        &["Cookie: id=a", "Cookie: id=b; id=a"],
        &["Cookie: id="],
    ];
    for round in ["MISS", "HIT"] {
        for fields in cookies {
            let answer = arena.get(PUBLIC, "/", fields).await;
            assert_eq!(answer.cache(), round, "{fields:?}");
            for field in fields {
                assert!(
                    answer.text().contains(field.trim_start_matches("Cookie: ")),
                    "{fields:?}: {answer:?}"
                );
            }
        }
    }
}

/// c60, with every field that carries a fact.
#[tokio::test]
async fn naming_a_field_in_connection_does_not_take_it_from_the_backend() {
    let arena = Arena::start(reflect).await;
    for name in ["X-Organization-Id", "X-User-Id", "Forwarded", "X-Real-IP", "X-Request-Id"] {
        let fields = [format!("Connection: close, {name}"), format!("{name}: 192.0.2.66")];
        let target = format!("/{name}");
        let answer = arena.get(TENANT, &target, &[&fields[0], &fields[1]]).await;
        assert_eq!(answer.status, 200, "{name}");
        let seen = arena.origin.last();
        assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1", "{name}");
        assert_eq!(seen.header("x-forwarded-host"), TENANT.host, "{name}");
        assert_eq!((seen.header("x-organization-id"), seen.header("x-user-id")), ("acme", "ada"), "{name}");
        assert_eq!(seen.header("connection"), "", "{name}");
    }
    let before = arena.origin.count();
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Authorization",
        "Cookie",
        "Host",
        "Cache-Control",
        "Content-Length",
        "X-API-Key",
    ] {
        let forged = [format!("Connection: close, {name}"), "X-Forwarded-For: 192.0.2.66".to_owned()];
        let refused = arena.raw(request(TENANT, "/", &[&forged[0], &forged[1]])).await;
        assert_eq!(refused.map(|answer| answer.problem().0), Some(400), "{name}");
    }
    assert_eq!(arena.origin.count(), before);
}

/// c60: what `Connection` names never gets there, so it must not choose the stored answer either.
#[tokio::test]
async fn a_field_that_ends_here_selects_nothing() {
    let sections = "cache: {namespaces: {all: {scope: public}, keyed: {scope: public, headers: [X-Plan]}}}\n\
        routes: [{path: /, cache: all}, {path: /keyed/, cache: keyed}]";
    let script = |seen: &Seen| {
        Reply::ok(format!("plan {}", seen.header("x-plan")))
            .header("Cache-Control", "max-age=60")
            .header("Vary", "X-Plan")
    };
    let arena = Arena::with(sections, script).await;
    for target in ["/varied", "/keyed/"] {
        let attacker = arena.get(PUBLIC, target, &["Connection: X-Plan", "X-Plan: gold"]).await;
        assert_eq!(attacker.text(), "plan ", "{target}");
        let victim = arena.get(PUBLIC, target, &["X-Plan: gold"]).await;
        assert_eq!(victim.text(), "plan gold", "{target}: {victim:?}");
    }
}

/// c62: whoever may send `no-cache` may make the backend work.
#[tokio::test]
async fn a_client_cannot_order_the_backend_to_work() {
    let arena = Arena::start(reflect).await;
    let orders =
        ["no-cache", "no-store", "max-age=0", "min-fresh=9999"].map(|word| format!("Cache-Control: {word}"));
    for profile in DEFAULTS {
        arena.get(profile, "/", &[]).await;
        for order in &orders {
            assert_eq!(arena.get(profile, "/", &[order]).await.cache(), "HIT", "{order}");
        }
        assert_eq!(arena.get(profile, "/", &["Pragma: no-cache"]).await.cache(), "HIT");
    }
    // Where the operator lets clients decide, they decide for themselves only.
    for profile in [LOOSE, LOOSE_TENANT] {
        arena.get(profile, "/", &[]).await;
        assert_eq!(arena.get(profile, "/", &["Cache-Control: no-store"]).await.cache(), "BYPASS");
        assert_eq!(arena.get(profile, "/", &[]).await.cache(), "HIT");
    }
}

/// c1, c2, c8: the renewal of a stale answer is the request that found it, whatever the client writes.
#[tokio::test]
async fn the_renewal_of_a_stale_answer_has_the_sender_of_its_request() {
    let script = |_: &Seen| Reply::ok("x").header("Cache-Control", "max-age=0, stale-while-revalidate=600");
    let arena =
        Arena::of(|setup| setup.server("trusted_proxies: [127.0.0.0/8]").with(SECTIONS).with(HS256), script)
            .await;
    let fields = [
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Tidegate-Origin: http 203.0.113.9",
    ];
    assert_eq!(arena.get(PUBLIC, "/", &fields).await.cache(), "MISS");
    assert_eq!(arena.get(PUBLIC, "/", &fields).await.cache(), "STALE");
    eventually("it is renewed", async || arena.origin.count() == 2).await;
    let seen = arena.origin.last();
    assert_eq!(
        (seen.header("x-forwarded-for"), seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
        ("192.0.2.7, 127.0.0.1", "https", PUBLIC.host)
    );
}

/// c1–c8 in a renewal: an attacker who finds the answer stale renews it for all.
#[tokio::test]
async fn the_renewal_of_a_stale_answer_takes_nothing_from_who_found_it() {
    let script = |seen: &Seen| {
        Reply::ok(&seen.head).header("Cache-Control", "public, max-age=0, stale-while-revalidate=600")
    };
    let arena = Arena::start(script).await;
    arena.get(PUBLIC, "/", &[]).await;
    let evil: Vec<String> = OVERRIDES.iter().map(|name| format!("{name}: evil.example")).collect();
    let evil: Vec<&str> = evil.iter().map(String::as_str).collect();
    let attacker = request(PUBLIC, "/", &evil);
    assert_eq!(arena.raw(&attacker).await.map(|answer| answer.cache().to_owned()).as_deref(), Some("STALE"));
    eventually("it is renewed", async || arena.origin.count() == 2).await;
    assert!(!String::from_utf8_lossy(&arena.origin.last().head).contains("evil"));
}
