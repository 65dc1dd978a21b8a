//! `Vary` and codings: a stored answer goes only to requests that the backend would have answered alike.

use super::{ALL, Arena, PUBLIC};
use crate::support::{Reply, Seen};

/// c37, c38.
#[tokio::test]
async fn vary_star_is_never_reused() {
    let script = |seen: &Seen| {
        let reply = Reply::ok("x").header("Cache-Control", "public, max-age=60");
        match seen.target.as_str() {
            "/star" => reply.header("Vary", "*"),
            "/list" => reply.header("Vary", "Accept, *"),
            "/first" => reply.header("Vary", "*, Accept"),
            "/lines" => reply.header("Vary", "Accept").header("Vary", "*"),
            "/unreadable" => reply.header("Vary", "Accept Language"),
            _ => reply.header("Vary", "Acc\u{e9}pt"),
        }
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for target in ["/star", "/list", "/first", "/lines", "/unreadable", "/foreign"] {
            for _ in 0..2 {
                assert_eq!(
                    arena.get(profile, target, &[]).await.cache(),
                    "MISS",
                    "{} {target}",
                    profile.host
                );
            }
        }
    }
}

/// c48.
#[tokio::test]
async fn a_compressed_answer_goes_only_to_who_accepts_it() {
    let script = |seen: &Seen| {
        let reply = Reply::ok("zipped?").header("Vary", "Accept-Encoding");
        let reply = reply.header("Cache-Control", "public, max-age=60");
        let is_asked = seen.header("accept-encoding").contains("gzip");
        if is_asked { reply.header("Content-Encoding", "gzip") } else { reply }
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        let attacker = arena.get(profile, "/", &["Accept-Encoding: gzip"]).await;
        assert_eq!(attacker.header("content-encoding"), "gzip");
        for fields in
            [&[][..], &["Accept-Encoding: br"], &["Accept-Encoding: identity"], &["Accept-Encoding: "]]
        {
            let victim = arena.get(profile, "/", fields).await;
            assert_eq!(victim.header("content-encoding"), "", "{} {fields:?}", profile.host);
        }
        assert_eq!(arena.get(profile, "/", &["Accept-Encoding: gzip"]).await.cache(), "HIT");
    }
}

/// c48 for any field, and for a backend that names it only now and then.
#[tokio::test]
async fn an_absent_field_matches_only_an_absent_field() {
    let script = |seen: &Seen| {
        let origin = seen.header("origin");
        let reply = Reply::ok(origin).header("Cache-Control", "public, max-age=60");
        if origin.is_empty() { reply } else { reply.header("Vary", "Origin") }
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for origin in ["https://evil.example", "", "https://good.example", "https://evil.example", ""] {
            let line = format!("Origin: {origin}");
            let fields: &[&str] = if origin.is_empty() { &[] } else { &[&line] };
            let answer = arena.get(profile, "/", fields).await;
            assert_eq!(answer.text(), origin, "{}", profile.host);
        }
    }
}

/// c48: more variants than are kept cost their sender nothing but a miss.
#[tokio::test]
async fn a_flood_of_variants_changes_nobodys_answer() {
    let script = |seen: &Seen| {
        Reply::ok(seen.header("accept"))
            .header("Vary", "Accept")
            .header("Cache-Control", "public, max-age=60")
    };
    let arena = Arena::start(script).await;
    assert_eq!(arena.get(PUBLIC, "/", &["Accept: text/html"]).await.cache(), "MISS");
    for number in 0..40 {
        let answer = arena.get(PUBLIC, "/", &[&format!("Accept: evil/{number}")]).await;
        assert_eq!(answer.text(), format!("evil/{number}"));
    }
    let victim = arena.get(PUBLIC, "/", &["Accept: text/html"]).await;
    assert_eq!((victim.cache(), victim.text().as_str()), ("HIT", "text/html"));
}
