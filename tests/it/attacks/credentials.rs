//! Answers to somebody: what is given to one credential is not given to another, nor to nobody.

use super::{ALL, Arena, DEFAULTS, LOOSE, PUBLIC, Profile, SECTIONS, bearer};
use crate::support::tokens::HS256;
use crate::support::{Reply, Seen, eventually};
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A backend that answers with the credential that it was shown.
fn owner(seen: &Seen) -> String {
    format!("of {} {}", seen.header("authorization"), seen.header("x-user-id"))
}

fn with_age(seen: &Seen) -> Reply {
    Reply::ok(owner(seen)).header("Cache-Control", "max-age=60")
}

/// The bytes of a GET with this credential and no other.
fn ask(profile: Profile, target: &str, credential: &str) -> String {
    let line = if credential.is_empty() { String::new() } else { format!("{credential}\r\n") };
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{line}\r\n", profile.host)
}

/// Everybody asks twice, the victim first; nobody but the victim may see the victim's answer.
async fn nobody_sees_the_victims(arena: &Arena, profile: Profile, target: &str) {
    let mut everybody = vec![
        "Authorization: Basic dmljdGltOng=".to_owned(),
        bearer("victim", "acme"),
        String::new(),
        "Authorization: Basic ZXZlOng=".to_owned(),
        "Authorization: Bearer".to_owned(),
        "Authorization: Bearer x.y.z".to_owned(),
        bearer("eve", "evil"),
    ];
    everybody.extend_from_within(..);
    for credential in &everybody {
        let answer = arena.raw(ask(profile, target, credential)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{credential}");
        let text = answer.text();
        let is_victim = [&everybody[0], &everybody[1]].contains(&credential);
        let is_told = text.contains("victim") || text.contains("dmljdGlt");
        assert!(is_victim || !is_told, "{} {target} {credential:?}: {text}", profile.host);
    }
}

/// c30, c31.
#[tokio::test]
async fn an_answer_to_credentials_is_not_shared() {
    let arena = Arena::start(with_age).await;
    for profile in ALL {
        nobody_sees_the_victims(&arena, profile, "/").await;
    }
}

/// c30, c31 where only a stale answer is there, and where the backend names no lifetime.
#[tokio::test]
async fn neither_stale_answers_nor_our_own_ttl_are_shared() {
    let script = |seen: &Seen| match seen.target.as_str() {
        "/stale" => with_age(seen).header("Cache-Control", "stale-while-revalidate=600").header("Age", "61"),
        "/expires" => Reply::ok(owner(seen)).header("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
        "/heuristic" => Reply::ok(owner(seen)).header("Last-Modified", "Fri, 01 Jan 1999 00:00:00 GMT"),
        "/targeted" => Reply::ok(owner(seen)).header("CDN-Cache-Control", "max-age=60"),
        _ => Reply::ok(owner(seen)),
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for target in ["/stale", "/expires", "/heuristic", "/targeted", "/nothing"] {
            nobody_sees_the_victims(&arena, profile, target).await;
        }
    }
}

/// c32.
#[tokio::test]
async fn public_answers_that_vary_on_the_credential_are_kept_apart() {
    let script = |seen: &Seen| {
        Reply::ok(owner(seen)).header("Cache-Control", "public, max-age=60").header("Vary", "Authorization")
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        nobody_sees_the_victims(&arena, profile, "/").await;
    }
    let again = arena.raw(ask(PUBLIC, "/", "Authorization: Basic dmljdGltOng=")).await.expect("an answer");
    assert_eq!(
        (again.cache(), again.text().trim()),
        ("HIT", "of Basic dmljdGltOng="),
        "and each has its own"
    );
}

/// c32: the backend knows its users by fields that we write and no client sends; whoever varies on them is heard.
#[tokio::test]
async fn answers_that_vary_on_a_verified_fact_are_kept_apart() {
    let script = |seen: &Seen| {
        let facts = ["x-user-id", "x-organization-id", "x-forwarded-for", "x-forwarded-host", "x-request-id"];
        let facts = facts.map(|name| seen.header(name)).join(" ");
        Reply::ok(facts)
            .header("Cache-Control", "public, max-age=60")
            .header("Vary", seen.target.trim_start_matches('/'))
    };
    let arena = Arena::start(script).await;
    let (victim, eve) = (bearer("victim", "acme"), bearer("eve", "acme"));
    for profile in ALL {
        for target in ["/X-User-Id", "/x-user-id,Accept", "/X-Request-Id"] {
            for (credential, user) in
                [(&victim, "victim"), (&eve, "eve"), (&String::new(), ""), (&victim, "victim")]
            {
                let answer = arena.raw(ask(profile, target, credential)).await.expect("an answer");
                let text = answer.text();
                assert_eq!(text.split(' ').next(), Some(user), "{} {target}: {text}", profile.host);
            }
        }
    }
    for (credential, tenant) in [(victim, "acme"), (bearer("eve", "evil"), "evil"), (String::new(), "")] {
        let answer = arena.raw(ask(PUBLIC, "/X-Organization-Id", &credential)).await.expect("an answer");
        assert_eq!(answer.text().split(' ').nth(1), Some(tenant), "{answer:?}");
    }
}

/// c32: a client that writes such a field itself chooses nothing by it.
#[tokio::test]
async fn a_forged_fact_selects_nothing() {
    let script = |seen: &Seen| {
        Reply::ok(owner(seen)).header("Cache-Control", "public, max-age=60").header("Vary", "X-User-Id")
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        arena.raw(ask(profile, "/", &bearer("victim", "acme"))).await.expect("an answer");
        let forged = format!("{}\r\nX-User-Id: victim", bearer("eve", "acme"));
        let eve = arena.raw(ask(profile, "/", &forged)).await.expect("an answer");
        assert!(eve.text().ends_with("eve"), "{}: {}", profile.host, eve.text());
        let victim = arena.raw(ask(profile, "/", &bearer("victim", "acme"))).await.expect("an answer");
        assert!(victim.text().ends_with("victim"), "{}: {}", profile.host, victim.text());
    }
}

/// c30: a tenant that a trusted proxy names is a credential as much as a token is.
#[tokio::test]
async fn an_answer_to_a_tenant_named_by_a_trusted_proxy_is_not_public() {
    let script = |seen: &Seen| {
        Reply::ok(format!("of {}", seen.header("x-organization-id"))).header("Cache-Control", "max-age=60")
    };
    let change = |setup: crate::support::Setup| {
        let identity = HS256.replace("{jwt", "{tenant_header: X-Tenant, jwt");
        setup.server("trusted_proxies: [127.0.0.0/8]").with(&identity).with(SECTIONS)
    };
    let arena = Arena::of(change, script).await;
    for profile in [PUBLIC, LOOSE] {
        let victim = arena.get(profile, "/", &["X-Tenant: victim"]).await;
        assert_eq!(victim.text(), "of victim");
        for fields in [&[][..], &["X-Tenant: evil"]] {
            let answer = arena.get(profile, "/", fields).await;
            assert!(!answer.text().contains("victim"), "{} {fields:?}: {answer:?}", profile.host);
        }
    }
}

/// c31 at once: who waits for another's answer gets it only if it may be shared.
#[tokio::test]
async fn simultaneous_requests_do_not_share_what_is_not_stored() {
    let door = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&door);
    let arena = Arena::start(move |seen| with_age(seen).when(&waiting)).await;
    for profile in [PUBLIC, LOOSE] {
        let before = arena.origin.count();
        let credentials: Vec<String> =
            (0..8).map(|number| format!("Authorization: Basic user{number}")).collect();
        let asked = join_all(credentials.iter().map(|credential| arena.raw(ask(profile, "/", credential))));
        let opened = async {
            eventually("one asks", async || arena.origin.count() > before).await;
            door.add_permits(1);
            eventually("all ask", async || arena.origin.count() == before + 8).await;
            door.add_permits(7);
        };
        let (answers, ()) = futures_util::join!(asked, opened);
        for (number, answer) in answers.into_iter().enumerate() {
            let text = answer.expect("an answer").text();
            assert!(text.contains(&format!("user{number}")), "{number}: {text}");
        }
    }
}

/// c36.
#[tokio::test]
async fn answers_that_vary_on_cookies_are_kept_apart() {
    let script = |seen: &Seen| {
        Reply::ok(seen.header("cookie"))
            .header("Vary", "Cookie")
            .header("Cache-Control", "public, max-age=60")
    };
    let arena = Arena::start(script).await;
    for profile in ALL {
        for _ in 0..2 {
            for cookie in ["id=victim", "id=evil", "", "id=victim; id=evil", "ID=victim"] {
                let line = format!("Cookie: {cookie}");
                let fields: &[&str] = if cookie.is_empty() { &[] } else { &[&line] };
                let answer = arena.get(profile, "/", fields).await;
                assert_eq!(answer.text(), cookie, "{}", profile.host);
            }
        }
    }
}

/// c30 with an API key, known or not: both are credentials.
#[tokio::test]
async fn an_answer_to_an_api_key_is_not_public() {
    let script = |seen: &Seen| {
        Reply::ok(format!("of {}", seen.header("x-api-key"))).header("Cache-Control", "max-age=60")
    };
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("keys.yaml");
    // SHA-256 of `victim-key`.
    let digest = "79545151ff56b3499fcd35335796b0f0a82d0b4d04bbfe6f235727129229619e";
    std::fs::write(&file, format!("- {{sha256: {digest}, name: victim}}\n")).expect("a folder of ours");
    let keys = format!("identity: {{api_keys: {{file: {}}}}}", file.display());
    let arena = Arena::of(|setup| setup.with(&keys).with(SECTIONS), script).await;
    for profile in DEFAULTS.into_iter().chain([LOOSE]) {
        for key in ["victim-key", "unknown-victim-key"] {
            let (line, target) = (format!("X-API-Key: {key}"), format!("/{key}"));
            for _ in 0..2 {
                let victim = arena.raw(ask(profile, &target, &line)).await.expect("an answer");
                assert_eq!(victim.text(), format!("of {key}"), "{}", profile.host);
            }
            for other in ["", "X-API-Key: eve"] {
                let answer = arena.raw(ask(profile, &target, other)).await.expect("an answer");
                assert!(!answer.text().contains("victim"), "{} {key}: {answer:?}", profile.host);
            }
        }
    }
}
