//! Never the wrong tenant's bytes: identities that nearly fit, and answers that depend on more than the tenant.
//!
//! t1–t12 are the tenant cases of the cache's specification; purges and warm-up (t6, t9, t11) come with them.

use crate::support::stores::on_both_stores;
use crate::support::tokens::{HS256, in_seconds, signed};
use crate::support::{Answer, Fetch, Gate, Origin, Reply, Setup, Store, token};
use serde_json::{Value, json};

on_both_stores!(
    two_tenants_have_two_entries_of_one_url,
    a_client_sent_tenant_opens_nothing,
    a_rejected_token_is_never_looked_up,
    a_token_without_tenant_goes_past_the_cache,
    names_do_not_run_together,
    a_refused_token_gets_401_although_the_entry_is_fresh,
    answers_that_depend_on_a_role_are_keyed_by_it,
    preflights_and_methods_do_not_mix,
);

const SECTIONS: &str = "cache:\n  namespaces:\n    bc: {ttl: 5m}\n    c: {ttl: 5m}\n    \
    roles: {ttl: 5m, vary_claims: [role]}\n\
    routes:\n  - {path: /bc/, cache: bc}\n  - {path: /c/, cache: c}\n  - {path: /roles/, cache: roles}\n  - {path: /}";

/// A backend that answers with whom it takes the sender for.
async fn gate(store: &Store, identity: &str) -> (Origin, Gate) {
    let origin = Origin::start(|seen| {
        Reply::ok(format!("for {}", seen.header("x-organization-id"))).header("Cache-Control", "max-age=300")
    })
    .await;
    let setup = Setup::new(origin.address()).store(store).with(identity).with(SECTIONS);
    (origin, Gate::start(&setup).await)
}

async fn get(gate: &Gate, path: &str, claims: Value) -> Answer {
    let mut claims = claims;
    claims["exp"] = json!(in_seconds(600));
    gate.get(path).bearer_auth(signed(&claims)).fetch().await
}

/// t1.
async fn two_tenants_have_two_entries_of_one_url(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    for round in ["MISS", "HIT"] {
        for tenant in ["a", "b", "A", "a.", "a/", "ä"] {
            let answer = get(&gate, "/c/x", json!({"sub": "u", "organization_id": tenant})).await;
            assert_eq!(answer.cache(), round, "{tenant:?}");
            assert_eq!(answer.text().trim(), format!("for {tenant}"));
        }
    }
    assert_eq!(origin.count(), 6);
}

/// t2.
async fn a_client_sent_tenant_opens_nothing(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    get(&gate, "/c/x", json!({"sub": "u", "organization_id": "victim"})).await;
    let evil = gate.get("/c/x").bearer_auth(token("eve", "evil")).header("X-Organization-Id", "victim");
    let answer = evil.fetch().await;
    assert_eq!((answer.cache(), answer.text().as_str()), ("MISS", "for evil"));
    assert_eq!(origin.last().headers.get_all("x-organization-id").iter().count(), 1);
    let nobody = gate.get("/c/x").header("X-Organization-Id", "victim").fetch().await;
    assert_eq!((nobody.cache(), nobody.text().as_str()), ("BYPASS", "for "));
}

/// t3.
async fn a_rejected_token_is_never_looked_up(store: Store) {
    let (_origin, gate) = gate(&store, HS256).await;
    get(&gate, "/c/x", json!({"sub": "u", "organization_id": "a"})).await;
    let expired = signed(&json!({"sub": "u", "organization_id": "a", "exp": in_seconds(-600)}));
    let answer = gate.get("/c/x").bearer_auth(expired).fetch().await;
    assert_eq!((answer.cache(), answer.text().as_str()), ("BYPASS", "for "));
    assert!(answer.header("cache-status").contains("fwd=bypass"), "{answer:?}");
}

/// t4.
async fn a_token_without_tenant_goes_past_the_cache(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    let claims = [
        json!({"sub": "u"}),
        json!({"sub": "u", "organization_id": ""}),
        json!({"sub": "u", "organization_id": null}),
        json!({"sub": "u", "organization_id": {"name": "a"}}),
        json!({"sub": "u", "organization_id": ["a"]}),
    ];
    for claims in claims.iter().chain(&claims) {
        let answer = get(&gate, "/c/x", claims.clone()).await;
        assert_eq!(answer.cache(), "BYPASS", "{claims}");
        // A tenant that is no text makes the whole token unusable.
        let is_text = !claims["organization_id"].is_object() && !claims["organization_id"].is_array();
        let why = if is_text { "detail=no-tenant" } else { "detail=credential" };
        assert!(answer.header("cache-status").contains(why), "{answer:?}");
        assert_eq!(answer.text(), "for ", "{claims}");
    }
    assert_eq!(origin.count(), 10);
}

/// t5.
async fn names_do_not_run_together(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    for (tenant, path) in [("a", "/bc/x"), ("ab", "/c/x"), ("a/b", "/c/x"), ("a:b", "/c/x"), ("a", "/c/x")] {
        let answer = get(&gate, path, json!({"sub": "u", "organization_id": tenant})).await;
        assert_eq!((answer.cache(), answer.text()), ("MISS", format!("for {tenant}")), "{path}");
    }
    assert_eq!(origin.count(), 5);
}

/// t7: who may ask is decided before what is stored.
async fn a_refused_token_gets_401_although_the_entry_is_fresh(store: Store) {
    let identity = HS256.replace("algorithms", "on_invalid: reject, algorithms");
    let (_origin, gate) = gate(&store, &identity).await;
    get(&gate, "/c/x", json!({"sub": "u", "organization_id": "a"})).await;
    assert_eq!(get(&gate, "/c/x", json!({"sub": "u", "organization_id": "a"})).await.cache(), "HIT");
    let expired = signed(&json!({"sub": "u", "organization_id": "a", "exp": in_seconds(-600)}));
    assert_eq!(gate.get("/c/x").bearer_auth(expired).fetch().await.problem().0, 401);
}

/// t8.
async fn answers_that_depend_on_a_role_are_keyed_by_it(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    let with = |role: &str| json!({"sub": "u", "organization_id": "a", "role": role});
    for round in ["MISS", "HIT"] {
        for role in ["admin", "member"] {
            assert_eq!(get(&gate, "/roles/x", with(role)).await.cache(), round, "{role}");
        }
    }
    assert_eq!(get(&gate, "/roles/x", json!({"sub": "u", "organization_id": "a"})).await.cache(), "MISS");
    assert_eq!(origin.count(), 3);
}

/// t10.
async fn preflights_and_methods_do_not_mix(store: Store) {
    let (origin, gate) = gate(&store, HS256).await;
    let bearer = token("u", "a");
    for method in ["OPTIONS", "PUT", "DELETE", "PATCH"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = gate.request(method.clone(), "/c/x").bearer_auth(&bearer).fetch().await;
        assert_eq!(answer.cache(), "BYPASS", "{method}");
    }
    assert_eq!(get(&gate, "/c/x", json!({"sub": "u", "organization_id": "a"})).await.cache(), "MISS");
    assert_eq!(origin.count(), 5);
}
