//! Cache deception: a path that looks static to a cache and private to the backend.

use super::{Arena, DEFAULTS, LOOSE, LOOSE_TENANT, PUBLIC, TENANT, bearer, reflect};
use crate::support::tokens::HS256;
use crate::support::{Reply, Seen};

/// Paths under which some backend or framework serves `/me`.
const SUFFIXED: &[&str] = &[
    "/me/x.css",
    "/me;x.css",
    "/me%3Bx.css",
    "/me%00.css",
    "/me?x.css",
    "/me%23x.css",
    "/static/..%2Fme",
    "/static/..%5Cme",
    "/static/..;/me",
    "/static/../me",
    "/static/%2e%2e/me",
    "/me/.css",
    "/me/..%2Fx.css",
    "/me%0Ax.css",
    "/me%3Fx.css",
    "/me.css",
    "/me$x.css",
    "/me,x.css",
    "/me~x.css",
    "/robots.txt/../me",
];

/// A backend that knows its users by what the gate tells it or by their own credential, and says nothing of caching.
fn page_of_the_user(seen: &Seen) -> Reply {
    let (user, own) = (seen.header("x-user-id"), seen.header("authorization"));
    match (user, own) {
        ("", "") => Reply::ok("please log in"),
        _ => Reply::ok(format!("secrets of {user} {own}")),
    }
}

/// c22–c28.
#[tokio::test]
async fn whether_an_answer_is_stored_is_never_decided_by_how_a_path_ends() {
    let arena = Arena::start(page_of_the_user).await;
    for profile in [PUBLIC, TENANT, LOOSE, LOOSE_TENANT] {
        for path in SUFFIXED {
            // The victim shows a token that the gate knows, or a credential that only the backend knows.
            for credential in [bearer("victim", "acme"), "Authorization: Basic dmljdGltOng=".to_owned()] {
                let ask =
                    |fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", profile.host);
                let victim = arena.raw(ask(&format!("{credential}\r\n"))).await.expect("an answer");
                assert!(matches!(victim.status, 200 | 400), "{path}");
                let anonymous = arena.raw(ask("")).await.expect("an answer");
                assert!(
                    !anonymous.text().contains("secrets"),
                    "{} {path}: {}",
                    profile.host,
                    anonymous.text()
                );
                let other =
                    arena.raw(ask(&format!("{}\r\n", bearer("eve", "evil")))).await.expect("an answer");
                assert!(!other.text().contains("victim"), "{} {path}: {}", profile.host, other.text());
            }
        }
    }
}

/// c22–c28 with a session cookie, the credential of browsers.
#[tokio::test]
async fn a_page_of_a_session_is_stored_under_no_path() {
    let script = |seen: &Seen| match seen.header("cookie") {
        "" => Reply::ok("please log in"),
        cookie => Reply::ok(format!("secrets of {cookie}")).header("Cache-Control", "public, max-age=60"),
    };
    let sections = "cache: {namespaces: {all: {scope: public, ttl: 5m}, tenant: {ttl: 5m}}}\n\
        routes: [{path: /, cache: all}, {path: /, host: tenant.test, cache: tenant}]";
    let arena = Arena::with(sections, script).await;
    for profile in DEFAULTS {
        for path in SUFFIXED {
            arena.get(profile, path, &["Cookie: session=victim"]).await;
            let attacker = arena.get(profile, path, &[]).await;
            assert!(!attacker.text().contains("victim"), "{} {path}: {}", profile.host, attacker.text());
        }
    }
}

/// c28, c29: one canonical path is matched, keyed and forwarded.
#[tokio::test]
async fn dot_segments_cannot_borrow_a_cached_route() {
    let sections = "cache: {namespaces: {static: {scope: public, ttl: 5m, cookies: ignore}}}\n\
        routes:\n  - {path: /static/, cache: static}\n  - {path: /}";
    for slash in ["reject", "keep"] {
        let change = |setup: crate::support::Setup| {
            let keep = format!("request: {{encoded_slash: {slash}}}");
            setup.server(&keep).with(HS256).with(sections)
        };
        let arena = Arena::of(change, reflect).await;
        for path in
            ["/static/../me", "/static/%2e%2e/me", "/static/./../me", "/static//../../me", "//static/..//me"]
        {
            let answer = arena.get(PUBLIC, path, &[]).await;
            assert_eq!((answer.status, answer.cache()), (200, ""), "{path}");
            assert_eq!(arena.origin.last().target, "/me", "{path}");
        }
        let before = arena.origin.count();
        for path in [
            "/static/..%2Fme",
            "/static/..%5cme",
            "/static/..\\me",
            "/static/%00/../me",
            "/static/..;/me",
            "/static/..;x=1/me",
            "/static/%2e%2e;/me",
            "/static/..%2f..%2fme",
            "/static/x%2F../../me%2F..",
            "/static/..%00/me",
            "/static/..%0a/me",
        ] {
            assert_eq!(arena.get(PUBLIC, path, &[]).await.problem().0, 400, "{slash} {path}");
        }
        assert_eq!(arena.origin.count(), before);
    }
}
