//! Never the wrong tenant's bytes: identities that nearly fit, and answers that depend on more than the tenant.

use super::{Arena, bearer};
use crate::support::stores::on_both_stores;
use crate::support::tokens::{HS256, in_seconds, signed};
use crate::support::{Answer, Gate, Origin, Redis, Reply, Seen, Setup, Store, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_stores!(
    two_tenants_have_two_entries_of_one_url,
    a_client_sent_tenant_opens_nothing,
    a_rejected_token_is_never_looked_up,
    a_token_without_tenant_goes_past_the_cache,
    names_do_not_run_together,
    a_refused_token_gets_401_although_the_entry_is_fresh,
    answers_that_depend_on_a_role_are_keyed_by_it,
    answers_for_a_user_are_for_no_other,
    preflights_and_methods_do_not_mix,
    refusals_are_never_stored,
    a_purge_of_one_tenant_leaves_the_others_their_entries,
);

const SECTIONS: &str = "cache:
  namespaces:
    bc: {ttl: 5m}
    c: {ttl: 5m}
    roles: {ttl: 5m, vary_claims: [role]}
    user: {ttl: 5m, scope: user}
    loose: {ttl: 5m, mode: override, error_statuses: true, negative_ttl: 30s, cookies: ignore, set_cookie: store,
      client_directives: obey, heuristic: true}
routes:
  - {path: /bc/, cache: bc}
  - {path: /c/, cache: c}
  - {path: /roles/, cache: roles}
  - {path: /user/, cache: user}
  - {path: /loose/, cache: loose}
  - {path: /}";

/// The routes of a tenant's cache, from the default to the loosest.
const TENANT_PATHS: [&str; 2] = ["/c/x", "/loose/x"];

/// A backend that answers with whom it takes the sender for.
async fn arena(store: &Store, identity: &str) -> Arena {
    let script = |seen: &Seen| {
        let tenant = seen.header("x-organization-id");
        Reply::ok(format!("for {tenant}")).header("Cache-Control", "max-age=300")
    };
    Arena::of(|setup| setup.store(store).with(identity).with(SECTIONS), script).await
}

/// A GET of `path` with these whole lines.
async fn get(arena: &Arena, path: &str, lines: &[&str]) -> Answer {
    let lines: String = lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
    arena.raw(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n")).await.expect("an answer")
}

/// The field with a token of these claims that is valid for a while.
fn valid(claims: Value) -> String {
    let mut claims = claims;
    claims["exp"] = json!(in_seconds(600));
    format!("Authorization: Bearer {}", signed(&claims))
}

/// The field with a token that ended long ago.
fn expired(user: &str, tenant: &str) -> String {
    let claims = json!({"sub": user, "organization_id": tenant, "exp": in_seconds(-600)});
    format!("Authorization: Bearer {}", signed(&claims))
}

/// t1.
async fn two_tenants_have_two_entries_of_one_url(store: Store) {
    let arena = arena(&store, HS256).await;
    for path in TENANT_PATHS {
        let before = arena.origin.count();
        for round in ["MISS", "HIT"] {
            for tenant in ["a", "b", "A", "a.", "a/", "ä", "a b", "a%20b", "*"] {
                let answer = get(&arena, path, &[&bearer("u", tenant)]).await;
                assert_eq!(answer.cache(), round, "{path} {tenant:?}");
                assert_eq!(answer.text().trim(), format!("for {tenant}"), "{path}");
            }
        }
        assert_eq!(arena.origin.count(), before + 9);
    }
}

/// t2.
async fn a_client_sent_tenant_opens_nothing(store: Store) {
    let arena = arena(&store, HS256).await;
    for path in TENANT_PATHS {
        get(&arena, path, &[&bearer("u", "victim")]).await;
        for forged in ["X-Organization-Id: victim", "X_Organization_Id: victim", "x-organization-ID: victim"]
        {
            let answer = get(&arena, path, &[forged, &bearer("eve", "evil"), forged]).await;
            assert_eq!(answer.text(), "for evil", "{path} {forged}");
            let nobody = get(&arena, path, &[forged, forged]).await;
            assert_eq!((nobody.cache(), nobody.text().as_str()), ("BYPASS", "for "), "{path} {forged}");
            let head = String::from_utf8_lossy(&arena.origin.last().head).to_lowercase();
            assert!(!head.contains("victim"), "{head}");
        }
        let victim = get(&arena, path, &[&bearer("u", "victim")]).await;
        assert_eq!((victim.cache(), victim.text().as_str()), ("HIT", "for victim"));
    }
}

/// t3.
async fn a_rejected_token_is_never_looked_up(store: Store) {
    let arena = arena(&store, HS256).await;
    let good = bearer("u", "a");
    let (head, _) = good.rsplit_once('.').expect("three parts");
    let bad = [
        expired("u", "a"),
        format!("{head}."),
        format!("{head}.AAAA"),
        format!("{good}x"),
        "Authorization: Bearer".to_owned(),
        good.replace("Bearer", "Basic"),
    ];
    for path in TENANT_PATHS {
        get(&arena, path, &[&good]).await;
        for line in &bad {
            let answer = get(&arena, path, &[line]).await;
            assert_eq!((answer.cache(), answer.text().as_str()), ("BYPASS", "for "), "{path} {line}");
            assert!(answer.header("cache-status").contains("fwd=bypass"), "{answer:?}");
        }
        let twice = arena.raw(format!(
            "GET {path} HTTP/1.1\r\nHost: a.test\r\n{good}\r\n{}\r\n\r\n",
            bearer("eve", "evil")
        ));
        assert_eq!(twice.await.expect("an answer").problem().0, 400, "two credentials are none");
    }
}

/// t4.
async fn a_token_without_tenant_goes_past_the_cache(store: Store) {
    let arena = arena(&store, HS256).await;
    let claims = [
        json!({"sub": "u"}),
        json!({"sub": "u", "organization_id": ""}),
        json!({"sub": "u", "organization_id": null}),
        json!({"sub": "u", "organization_id": {"name": "a"}}),
        json!({"sub": "u", "organization_id": ["a"]}),
    ];
    for path in TENANT_PATHS {
        for claims in claims.iter().chain(&claims) {
            let answer = get(&arena, path, &[&valid(claims.clone())]).await;
            assert_eq!(answer.cache(), "BYPASS", "{claims}");
            // A tenant that is no text makes the whole token unusable.
            let is_text = !claims["organization_id"].is_object() && !claims["organization_id"].is_array();
            let why = if is_text { "detail=no-tenant" } else { "detail=credential" };
            assert!(answer.header("cache-status").contains(why), "{answer:?}");
            assert_eq!(answer.text(), "for ", "{claims}");
        }
    }
    assert_eq!(arena.origin.count(), 20);
}

/// t5.
async fn names_do_not_run_together(store: Store) {
    let arena = arena(&store, HS256).await;
    for (tenant, path) in [("a", "/bc/x"), ("ab", "/c/x"), ("a/b", "/c/x"), ("a:b", "/c/x"), ("a", "/c/x")] {
        let answer = get(&arena, path, &[&bearer("u", tenant)]).await;
        assert_eq!((answer.cache(), answer.text()), ("MISS", format!("for {tenant}")), "{path}");
    }
    for (user, tenant) in [("a", "bc"), ("ab", "c"), ("abc", "d"), ("a:b", "c"), ("a", "b:c")] {
        let answer = get(&arena, "/user/x", &[&bearer(user, tenant)]).await;
        assert_eq!((answer.cache(), answer.text()), ("MISS", format!("for {tenant}")), "{user}");
    }
    assert_eq!(arena.origin.count(), 10);
}

/// t7: who may ask is decided before what is stored.
async fn a_refused_token_gets_401_although_the_entry_is_fresh(store: Store) {
    let identity = HS256.replace("algorithms", "on_invalid: reject, algorithms");
    let arena = arena(&store, &identity).await;
    for path in TENANT_PATHS {
        get(&arena, path, &[&bearer("u", "a")]).await;
        assert_eq!(get(&arena, path, &[&bearer("u", "a")]).await.cache(), "HIT");
        let before = arena.origin.count();
        let answer = get(&arena, path, &[&expired("u", "a")]).await;
        assert_eq!((answer.problem().0, arena.origin.count()), (401, before));
    }
}

/// t8.
async fn answers_that_depend_on_a_role_are_keyed_by_it(store: Store) {
    let arena = arena(&store, HS256).await;
    let with = |role: &str| valid(json!({"sub": "u", "organization_id": "a", "role": role}));
    for round in ["MISS", "HIT"] {
        for role in ["admin", "member", "admin,member"] {
            assert_eq!(get(&arena, "/roles/x", &[&with(role)]).await.cache(), round, "{role}");
        }
    }
    let none = valid(json!({"sub": "u", "organization_id": "a"}));
    assert_eq!(get(&arena, "/roles/x", &[&none]).await.cache(), "MISS");
    assert_eq!(arena.origin.count(), 4);
}

/// t8 with `scope: user`.
async fn answers_for_a_user_are_for_no_other(store: Store) {
    let arena = arena(&store, HS256).await;
    for round in ["MISS", "HIT"] {
        for (user, tenant) in [("ada", "a"), ("bob", "a"), ("ada", "b"), ("Ada", "a")] {
            let answer = get(&arena, "/user/x", &[&bearer(user, tenant)]).await;
            assert_eq!((answer.cache(), answer.text()), (round, format!("for {tenant}")), "{user}");
        }
    }
    for lines in [&[][..], &[expired("ada", "a").as_str()], &["X-User-Id: ada", "X-Organization-Id: a"]] {
        assert_eq!(get(&arena, "/user/x", lines).await.cache(), "BYPASS", "{lines:?}");
    }
}

/// t10.
async fn preflights_and_methods_do_not_mix(store: Store) {
    let arena = arena(&store, HS256).await;
    for path in TENANT_PATHS {
        let before = arena.origin.count();
        let preflight = "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET";
        for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "POST", "PROPFIND", "get"] {
            for line in [&bearer("u", "a"), preflight] {
                let bytes = format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n{line}\r\n\r\n");
                let answer = arena.raw(bytes).await.expect("an answer");
                assert_eq!(answer.cache(), "BYPASS", "{method}");
            }
        }
        assert_eq!(arena.origin.count(), before + 14);
        assert_eq!(get(&arena, path, &[&bearer("u", "a")]).await.cache(), "MISS");
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: a.test\r\n{}\r\n\r\n", bearer("u", "b"));
        let mut wire = crate::support::Wire::connect(arena.gate.http).await;
        wire.send(head).await;
        let head = wire.answer_to("HEAD").await.expect("an answer");
        assert_eq!(head.cache(), "MISS", "another tenant's HEAD");
    }
}

/// t12.
async fn refusals_are_never_stored(store: Store) {
    let script = |seen: &Seen| {
        let status = seen.header("x-status").parse().unwrap_or(200);
        Reply::status(status, "x").header("Cache-Control", "public, max-age=300")
    };
    let arena = Arena::of(|setup| setup.store(&store).with(HS256).with(SECTIONS), script).await;
    for path in TENANT_PATHS {
        for status in ["401", "403", "407", "429"] {
            let line = format!("X-Status: {status}");
            let target = format!("{path}{status}");
            let refused = get(&arena, &target, &[&bearer("u", "a"), &line]).await;
            assert_eq!((refused.status.to_string().as_str(), refused.cache()), (status, "MISS"));
            let answer = get(&arena, &target, &[&bearer("v", "a")]).await;
            assert_eq!((answer.status, answer.cache()), (200, "MISS"), "{path} {status}");
        }
    }
}

/// Asks until the answer comes from the cache.
async fn hit(arena: &Arena, path: &str, tenant: &str) {
    eventually("a hit", async || get(arena, path, &[&bearer("u", tenant)]).await.cache() == "HIT").await;
}

/// t6.
async fn a_purge_of_one_tenant_leaves_the_others_their_entries(store: Store) {
    let arena = arena(&store, HS256).await;
    if matches!(store, Store::Redis(_)) {
        arena.connected().await;
    }
    for tenant in ["acme", "globex", "ACME", "acme2", "acm"] {
        for path in TENANT_PATHS {
            hit(&arena, path, tenant).await;
        }
    }
    arena.purge(r#"{"tenant":"acme"}"#).await;
    for path in TENANT_PATHS {
        for tenant in ["globex", "ACME", "acme2", "acm"] {
            let answer = get(&arena, path, &[&bearer("u", tenant)]).await;
            assert_eq!((answer.cache(), answer.text()), ("HIT", format!("for {tenant}")), "{path}");
        }
        let answer = get(&arena, path, &[&bearer("u", "acme")]).await;
        assert_eq!((answer.cache(), answer.text().as_str()), ("MISS", "for acme"), "{path}");
    }
    // A client cannot purge: the data listener knows nothing of it.
    for path in TENANT_PATHS {
        hit(&arena, path, "globex").await;
        let bytes = format!("PURGE {path} HTTP/1.1\r\nHost: a.test\r\n{}\r\n\r\n", bearer("eve", "evil"));
        arena.raw(bytes).await.expect("an answer");
        assert_eq!(get(&arena, path, &[&bearer("u", "globex")]).await.cache(), "HIT");
    }
}

/// t11: what one instance has purged, the other gives away for a second at most, whatever it has in memory.
#[tokio::test]
async fn a_purge_on_one_instance_is_heard_by_the_other_within_a_second() {
    let store = Store::Redis(Redis::start().await);
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address()).store(&store).with(HS256).with(SECTIONS);
    let one = Arena { gate: Gate::start(&setup).await, origin };
    let other = Arena { gate: Gate::start(&setup).await, origin: Origin::counting().await };
    for arena in [&one, &other] {
        arena.connected().await;
        for tenant in ["acme", "globex"] {
            hit(arena, "/c/x", tenant).await;
        }
    }
    let old = get(&other, "/c/x", &[&bearer("u", "acme")]).await.text();
    one.purge(r#"{"tenant":"acme"}"#).await;
    let began = Instant::now();
    let new = get(&one, "/c/x", &[&bearer("u", "acme")]).await;
    assert_eq!(new.cache(), "MISS", "where it was purged it is gone at once");
    eventually("the other has heard", async || {
        get(&other, "/c/x", &[&bearer("u", "acme")]).await.text() != old
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    for arena in [&one, &other, &one, &other] {
        assert_ne!(get(arena, "/c/x", &[&bearer("u", "acme")]).await.text(), old, "it never comes back");
        assert_eq!(get(arena, "/c/x", &[&bearer("u", "globex")]).await.cache(), "HIT");
    }
}
