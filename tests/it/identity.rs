//! Who is believed: tokens of every family, keys, addresses behind trusted proxies.

use crate::support::tokens::{in_seconds, signed};
use crate::support::{Fetch, Gate, Keys, Origin, Setup, token, tokens};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

const ROUTES: &str = "routes: [{path: /}]";

async fn user_seen(gate: &Gate, origin: &Origin, token: &str) -> String {
    assert_eq!(gate.get("/").bearer_auth(token).fetch().await.status, 200);
    origin.last().header("x-user-id").to_owned()
}

#[tokio::test]
async fn every_family_of_algorithms_is_verified_from_key_files_and_key_sets() {
    let origin = Origin::counting().await;
    let claims = json!({"sub": "ada", "organization_id": "acme", "exp": in_seconds(600)});
    for (algorithm, name) in
        [(Algorithm::RS256, "RS256"), (Algorithm::ES256, "ES256"), (Algorithm::EdDSA, "EdDSA")]
    {
        let (keys, strangers) = (Keys::generate(algorithm), Keys::generate(algorithm));
        let folder = TempDir::new().expect("a folder");
        let set = folder.path().join("jwks.json");
        fs::write(&set, json!({"keys": [strangers.jwk("old"), keys.jwk("k1")]}).to_string()).expect("ours");
        let ways = [("public_key_file", keys.public_file()), ("jwks_file", set)];
        for (key, file) in ways {
            let section =
                format!("identity: {{jwt: {{algorithms: [{name}], {key}: \"{}\"}}}}", file.display());
            let gate = Gate::start(&Setup::new(origin.address()).with(&section).with(ROUTES)).await;
            assert_eq!(
                user_seen(&gate, &origin, &keys.sign(&claims, Some("k1"))).await,
                "ada",
                "{name} {key}"
            );
            let forged = strangers.sign(&claims, Some("k1"));
            assert_eq!(user_seen(&gate, &origin, &forged).await, "", "{name} {key}");
        }
    }
}

#[tokio::test]
async fn expired_foreign_and_unsigned_tokens_are_nobody() {
    let origin = Origin::counting().await;
    let section = tokens::HS256.replace("HS256],", "HS256], issuer: us, audience: api,");
    let gate = Gate::start(&Setup::new(origin.address()).with(&section).with(ROUTES)).await;
    let good = json!({"sub": "ada", "iss": "us", "aud": ["api"], "exp": in_seconds(600)});
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[key] = value;
        signed(&claims)
    };
    assert_eq!(user_seen(&gate, &origin, &signed(&good)).await, "ada");
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.".to_owned();
    let rejected = [
        with("exp", in_seconds(-120).into()),
        with("exp", serde_json::Value::Null),
        with("nbf", in_seconds(600).into()),
        with("iss", "them".into()),
        with("aud", "web".into()),
        unsigned,
        "a".repeat(9_000),
        "not a token".to_owned(),
    ];
    for token in rejected {
        assert_eq!(user_seen(&gate, &origin, &token).await, "", "{token}");
    }
    assert!(gate.metric("tidegate_identity_rejections_total", &[]).await >= 7.0);
}

#[tokio::test]
async fn an_invalid_token_is_refused_where_the_configuration_says_so() {
    let origin = Origin::counting().await;
    let section = tokens::HS256.replace("claims:", "on_invalid: reject, claims:");
    let gate = Gate::start(&Setup::new(origin.address()).with(&section).with(ROUTES)).await;
    let refused = gate.get("/").bearer_auth("x.y.z").fetch().await;
    assert_eq!(
        (refused.problem().0, refused.header("www-authenticate")),
        (401, "Bearer error=\"invalid_token\"")
    );
    assert_eq!(gate.get("/").bearer_auth(token("ada", "acme")).fetch().await.status, 200);
    assert_eq!(gate.get("/").fetch().await.status, 200, "no token is not an invalid one");
}

#[tokio::test]
async fn known_api_keys_name_a_caller_and_a_tenant() {
    let (origin, folder) = (Origin::counting().await, TempDir::new().expect("a folder"));
    let file = folder.path().join("keys.yaml");
    // SHA-256 of "s3cret".
    let digest = "1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0";
    fs::write(&file, format!("- {{sha256: {digest}, name: billing, tenant: acme, tier: pro}}\n"))
        .expect("ours");
    let sections = format!(
        "identity: {{api_keys: {{header: X-API-Key, file: \"{}\"}}}}\n\
         limits: {{default: {{windows: {{1m: 5}}, tiers: {{pro: {{1m: 50}}}}}}}}\n{ROUTES}",
        file.display()
    );
    let gate = Gate::start(&Setup::new(origin.address()).with(&sections)).await;
    let known = gate.get("/").header("X-API-Key", "s3cret").fetch().await;
    assert_eq!(
        (known.number("x-ratelimit-limit-60s"), origin.last().header("x-organization-id")),
        (50, "acme")
    );
    let unknown = gate.get("/").header("X-API-Key", "guess").fetch().await;
    assert_eq!((unknown.number("x-ratelimit-limit-60s"), origin.last().header("x-organization-id")), (5, ""));
}

#[tokio::test]
async fn addresses_are_believed_from_trusted_proxies_only() {
    let origin = Origin::counting().await;
    let sections = format!("limits: {{default: {{per: [ip], windows: {{1m: 2}}}}}}\n{ROUTES}");
    let spoofed = Gate::start(&Setup::new(origin.address()).with(&sections)).await;
    let ask =
        async |gate: &Gate, list: &str| gate.get("/").header("X-Forwarded-For", list).fetch().await.status;
    assert_eq!((ask(&spoofed, "1.1.1.1").await, ask(&spoofed, "2.2.2.2").await), (200, 200));
    assert_eq!(origin.last().header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(ask(&spoofed, "3.3.3.3").await, 429, "a client cannot mint addresses");
    let trusting = Setup::new(origin.address()).server("trusted_proxies: [127.0.0.0/8]").with(&sections);
    let trusting = Gate::start(&trusting).await;
    for list in ["9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1"] {
        assert_eq!(ask(&trusting, list).await, 200);
    }
    assert_eq!(ask(&trusting, "7.7.7.7, 1.1.1.1").await, 429, "the right-most untrusted hop counts");
    assert_eq!(ask(&trusting, "2.2.2.2").await, 200);
    assert_eq!(ask(&trusting, "2001:db8::1").await, 200);
    assert_eq!(ask(&trusting, "2001:db8::2").await, 200);
    assert_eq!(ask(&trusting, "2001:db8::3").await, 429, "one /64, one budget");
}
