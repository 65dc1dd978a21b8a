//! Who is asking, seen from the backend: only verified facts arrive there, whatever the client sends.

use crate::support::tokens::{self, HS256, in_seconds, signed};
use crate::support::{Fetch, Gate, Keys, Origin, Seen, Setup, Wire, token, web};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const ROUTES: &str = "routes: [{path: /}]";

async fn gate(setup: impl FnOnce(Setup) -> Setup) -> (Origin, Gate) {
    let origin = Origin::counting().await;
    let gate = Gate::start(&setup(Setup::new(origin.address()).with(ROUTES))).await;
    (origin, gate)
}

/// User and tenant as the backend is told.
fn told(seen: &Seen) -> (&str, &str) {
    (seen.header("x-user-id"), seen.header("x-organization-id"))
}

fn ada() -> Value {
    json!({"sub": "ada", "organization_id": "acme", "exp": in_seconds(600)})
}

#[tokio::test]
async fn a_valid_token_becomes_user_and_tenant() {
    let (origin, gate) = gate(|setup| setup.with(HS256)).await;
    let answer = gate.get("/").bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!(answer.status, 200);
    assert_eq!(told(&origin.last()), ("ada", "acme"));
}

#[tokio::test]
async fn asymmetric_keys_of_every_family_are_verified_from_a_pem_file() {
    for (algorithm, name) in
        [(Algorithm::RS256, "RS256"), (Algorithm::ES256, "ES256"), (Algorithm::EdDSA, "EdDSA")]
    {
        let (keys, foreign) = (Keys::generate(algorithm), Keys::generate(algorithm));
        let file = keys.public_file();
        let identity =
            format!("identity: {{jwt: {{algorithms: [{name}], public_key_file: {}}}}}", file.display());
        let (origin, gate) = gate(|setup| setup.with(&identity)).await;
        gate.get("/").bearer_auth(keys.sign(&ada(), None)).fetch().await;
        assert_eq!(told(&origin.last()), ("ada", "acme"), "{name}");
        gate.get("/").bearer_auth(foreign.sign(&ada(), None)).fetch().await;
        assert_eq!(told(&origin.last()), ("", ""), "{name} by another key");
    }
}

#[tokio::test]
async fn a_key_set_picks_the_key_by_its_id() {
    let (rsa, ec) = (Keys::generate(Algorithm::RS256), Keys::generate(Algorithm::ES256));
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("jwks.json");
    let set = json!({"keys": [rsa.jwk("one"), ec.jwk("two")]});
    std::fs::write(&file, set.to_string()).expect("a folder of ours");
    let identity =
        format!("identity: {{jwt: {{algorithms: [RS256, ES256], jwks_file: {}}}}}", file.display());
    let (origin, gate) = gate(|setup| setup.with(&identity)).await;
    for (token, user) in [
        (rsa.sign(&ada(), Some("one")), "ada"),
        (ec.sign(&ada(), Some("two")), "ada"),
        (rsa.sign(&ada(), Some("two")), ""),
        (rsa.sign(&ada(), Some("three")), ""),
    ] {
        gate.get("/").bearer_auth(token).fetch().await;
        assert_eq!(told(&origin.last()).0, user);
    }
}

/// Tokens that must never be an identity, by name.
fn bad_tokens() -> Vec<(&'static str, String)> {
    let unsigned = |header: Value| format!("{}.{}.", base64(&header), base64(&ada()));
    let good = token("ada", "acme");
    let (head, _) = good.rsplit_once('.').expect("three parts");
    vec![
        ("expired", signed(&json!({"sub": "ada", "exp": in_seconds(-3_600)}))),
        ("not yet valid", signed(&json!({"sub": "ada", "exp": in_seconds(7_200), "nbf": in_seconds(3_600)}))),
        ("algorithm none", unsigned(json!({"alg": "none", "typ": "JWT"}))),
        ("algorithm None", unsigned(json!({"alg": "None"}))),
        ("signature cut off", format!("{head}.")),
        ("signature of zeros", format!("{head}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("not a token", "nonsense".to_owned()),
        ("empty parts", "..".to_owned()),
        ("oversized", format!("{}.{}.x", "a".repeat(6_000), "b".repeat(6_000))),
    ]
}

/// Base64url without padding.
fn base64(value: &Value) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = value.to_string();
    let encode = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*three.get(at).unwrap_or(&0)));
        let letters = [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]));
        letters[..=three.len()].iter().collect::<String>()
    };
    text.as_bytes().chunks(3).map(encode).collect()
}

#[tokio::test]
async fn an_invalid_token_is_nobody() {
    let (origin, gate) = gate(|setup| setup.with(HS256)).await;
    for (name, token) in bad_tokens() {
        let answer = gate.get("/").bearer_auth(token).header("X-Organization-Id", "acme").fetch().await;
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(told(&origin.last()), ("", ""), "{name}");
    }
}

#[tokio::test]
async fn an_invalid_token_is_refused_where_configured() {
    let identity = HS256.replace("algorithms", "on_invalid: reject, algorithms");
    let (origin, gate) = gate(|setup| setup.with(&identity)).await;
    for (name, token) in bad_tokens() {
        let answer = gate.get("/").bearer_auth(token).fetch().await;
        assert_eq!(answer.problem().0, 401, "{name}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{name}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(gate.get("/").fetch().await.status, 200, "no token is no invalid token");
}

#[tokio::test]
async fn issuer_and_audience_are_checked() {
    let identity = HS256.replace("algorithms", "issuer: https://id, audience: shop, algorithms");
    let (origin, gate) = gate(|setup| setup.with(&identity)).await;
    let with = |issuer: &str, audience: Value| {
        signed(&json!({"sub": "ada", "exp": in_seconds(600), "iss": issuer, "aud": audience}))
    };
    for (token, user) in [
        (with("https://id", json!("shop")), "ada"),
        (with("https://id", json!(["desk", "shop"])), "ada"),
        (with("https://id", json!("desk")), ""),
        (with("https://other", json!("shop")), ""),
        (signed(&json!({"sub": "ada", "exp": in_seconds(600)})), ""),
    ] {
        gate.get("/").bearer_auth(&token).fetch().await;
        assert_eq!(told(&origin.last()).0, user);
    }
}

#[tokio::test]
async fn an_accepted_token_is_refused_once_it_expires() {
    let identity = HS256.replace("algorithms", "leeway: 0s, on_invalid: reject, algorithms");
    let (_origin, gate) = gate(|setup| setup.with(&identity)).await;
    let token = signed(&json!({"sub": "ada", "exp": in_seconds(3)}));
    assert_eq!(gate.get("/").bearer_auth(&token).fetch().await.status, 200);
    crate::support::eventually("it expires, verified before or not", async || {
        gate.get("/").bearer_auth(&token).fetch().await.status == 401
    })
    .await;
}

#[tokio::test]
async fn an_algorithm_that_is_not_listed_is_not_accepted() {
    let identity = HS256.replace("[HS256]", "[HS512]");
    let (origin, gate) = gate(|setup| setup.with(&identity)).await;
    gate.get("/").bearer_auth(token("ada", "acme")).fetch().await;
    assert_eq!(told(&origin.last()), ("", ""));
}

#[tokio::test]
async fn claims_may_be_nested_and_numeric() {
    let identity = HS256.replace("user: sub, tenant: organization_id", "user: uid, tenant: app.org");
    let (origin, gate) = gate(|setup| setup.with(&identity)).await;
    let token = signed(&json!({"uid": 42, "app": {"org": 7}, "exp": in_seconds(600)}));
    gate.get("/").bearer_auth(token).fetch().await;
    assert_eq!(told(&origin.last()), ("42", "7"));
}

#[tokio::test]
async fn client_sent_identity_never_reaches_the_backend() {
    let (origin, gate) = gate(|setup| setup.with(HS256)).await;
    let spellings = ["X-Organization-Id", "x-organization-id", "X-User-Id", "X-ORGANIZATION-ID"];
    for name in spellings {
        gate.get("/").header(name, "victim").fetch().await;
        assert_eq!(told(&origin.last()), ("", ""), "{name}");
        gate.get("/").header(name, "victim").bearer_auth(token("ada", "acme")).fetch().await;
        assert_eq!(told(&origin.last()), ("ada", "acme"), "{name}");
    }
    let twins = "GET / HTTP/1.1\r\nHost: x\r\nX_Organization_Id: victim\r\nX-Organization_Id: victim\r\n\r\n";
    let answer = Wire::exchange(gate.http, twins).await.expect("an answer");
    let head = String::from_utf8_lossy(&origin.last().head).to_lowercase();
    assert!(answer.status == 400 || !head.contains("victim"), "a backend may read _ as -: {head}");
}

#[tokio::test]
async fn api_keys_are_known_by_their_digest() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("keys.yaml");
    let digest: String = Sha256::digest("s3cret-key").iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&file, format!("- {{sha256: {digest}, name: robot, tenant: acme}}\n")).expect("ours");
    let identity = format!("identity: {{api_keys: {{file: {}}}}}", file.display());
    let limits = "limits: {default: {windows: {1m: 2}}}";
    let (origin, gate) = gate(|setup| setup.with(&identity).with(limits)).await;
    gate.get("/").header("X-API-Key", "s3cret-key").fetch().await;
    assert_eq!(told(&origin.last()).1, "acme");
    for (key, left) in [("guess-1", 1), ("guess-2", 0)] {
        let answer = gate.get("/").header("X-API-Key", key).fetch().await;
        assert_eq!(
            answer.number("x-ratelimit-remaining-60s"),
            left,
            "unknown keys share the address's budget"
        );
        assert_eq!(told(&origin.last()).1, "");
    }
    assert_eq!(gate.get("/").header("X-API-Key", "guess-3").fetch().await.status, 429);
    assert_eq!(gate.get("/").header("X-API-Key", "s3cret-key").fetch().await.status, 200);
}

#[tokio::test]
async fn a_forged_forwarding_field_changes_no_address() {
    let limits = "limits: {default: {windows: {1m: 2}}}";
    let (origin, gate) = gate(|setup| setup.with(limits)).await;
    let mut statuses = Vec::new();
    for (name, value) in [
        ("X-Forwarded-For", "198.51.100.1"),
        ("Forwarded", "for=198.51.100.2"),
        ("X-Real-IP", "198.51.100.3"),
    ] {
        statuses.push(gate.get("/").header(name, value).fetch().await.status);
        let head = String::from_utf8_lossy(&origin.last().head).into_owned();
        assert!(!head.contains("198.51.100."), "{head}");
    }
    assert_eq!(statuses, [200, 200, 429], "all came from one peer");
    assert_eq!(origin.last().header("x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_nobody_else_does() {
    let limits = "limits: {default: {windows: {1m: 100}}}";
    let trust = "trusted_proxies: [127.0.0.2/32, 10.0.0.0/8]";
    let (origin, gate) = gate(|setup| setup.server(trust).with(limits)).await;
    let (proxy, stranger) = (web::client_from("127.0.0.2"), web::client_from("127.0.0.3"));
    let url = format!("http://{}/", gate.http);
    for (client, field, expected) in [
        (&proxy, "203.0.113.9", "203.0.113.9"),
        (&proxy, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (&proxy, "203.0.113.9, 10.1.2.3", "203.0.113.9"),
        (&proxy, "not an address", "127.0.0.2"),
        (&stranger, "203.0.113.9", "127.0.0.3"),
    ] {
        client.get(&url).header("X-Forwarded-For", field).fetch().await;
        let told = origin.last().header("x-forwarded-for").to_owned();
        assert!(told.split(", ").any(|address| address == expected), "{field:?} became {told:?}");
        assert!(!told.contains("6.6.6.6"), "left of the first untrusted hop anybody may write: {told:?}");
    }
}

#[tokio::test]
async fn a_tenant_field_is_believed_from_trusted_proxies_only() {
    let identity = "identity: {tenant_header: X-Tenant}";
    let (origin, gate) = gate(|setup| setup.server("trusted_proxies: [127.0.0.2/32]").with(identity)).await;
    let url = format!("http://{}/", gate.http);
    for (from, tenant) in [("127.0.0.2", "acme"), ("127.0.0.3", "")] {
        web::client_from(from).get(&url).header("X-Tenant", "acme").fetch().await;
        assert_eq!(told(&origin.last()).1, tenant, "{from}");
    }
}

#[tokio::test]
async fn credentials_stay_out_of_the_log() {
    let (_origin, gate) = gate(|setup| setup.with(HS256)).await;
    let token = token("ada", "acme");
    gate.get("/?token=query-secret").bearer_auth(&token).header("Cookie", "id=cookie-secret").fetch().await;
    let marker = gate.get("/marker").header("X-API-Key", "key-secret").fetch().await;
    assert_eq!(marker.status, 200);
    crate::support::eventually("the requests are logged", async || gate.process.stderr().contains("/marker"))
        .await;
    let log = gate.process.stderr();
    for secret in [token.as_str(), "query-secret", "cookie-secret", "key-secret", tokens::SECRET] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
