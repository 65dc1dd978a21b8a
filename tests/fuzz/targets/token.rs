//! Tokens: nothing is believed that was not signed with the key, by the algorithm, for this time and issuer.

use super::{Target, text};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::sync::LazyLock;
use tidegate::base::Secret;
use tidegate::identity::{ClaimPaths, JwtSettings, JwtVerifier, KeySource, VerifiedToken};

pub(crate) const TARGET: Target = Target {
    name: "token",
    holds,
    words: &[
        ".",
        "..",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJub25lIn0",
        "{\"alg\":\"HS256\"}",
        "\"alg\":\"none\"",
        "\"alg\":\"RS256\"",
        "\"crit\":[\"exp\"]",
        "\"kid\":\"x\"",
        "\"exp\":",
        "\"nbf\":",
        "\"iss\":\"us\"",
        "\"sub\":",
        "\"org\":",
        "null",
        "1e400",
        "-1",
        "4102444800",
        "9999999999999999999",
        "[]",
        "{}",
        "\"\"",
        "\\u0000",
        ",",
        "{",
        "}",
    ],
    seeds: &[],
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PUBLIC: &str = include_str!("rsa.pem");
/// 2026-01-01.
const NOW_S: u64 = 1_767_225_600;
/// Both also stand as decimals in [`believed_rightly`].
const LEEWAY_S: u64 = 60;

static SHARED: LazyLock<JwtVerifier> =
    LazyLock::new(|| verifier("HS256", KeySource::Secret(Secret::new(SECRET))));
static RSA: LazyLock<JwtVerifier> = LazyLock::new(|| verifier("RS256", KeySource::PublicKey(PUBLIC.into())));

fn verifier(algorithm: &str, key: KeySource) -> JwtVerifier {
    let claims = ClaimPaths {
        user: "sub".to_owned(),
        tenant: Some("org".to_owned()),
        role: Some("a.role".to_owned()),
        tier: None,
        extra: vec!["x".to_owned()],
    };
    let algorithms = vec![algorithm.parse().expect("a known algorithm")];
    let settings = JwtSettings {
        algorithms,
        key,
        issuer: Some("us".to_owned()),
        audience: None,
        leeway_s: LEEWAY_S,
        claims,
    };
    JwtVerifier::new(settings).expect("sound settings")
}

fn holds(input: &[u8]) {
    let given = text(input);
    // As it is.
    if let Ok(token) = SHARED.verify(&given, NOW_S) {
        believed_rightly(&given, &token);
    }
    assert!(RSA.verify(&given, NOW_S).is_err(), "there is no token of that key");
    // As claims that were signed rightly.
    let signed = sign(br#"{"alg":"HS256"}"#, input, SECRET);
    if let Ok(token) = SHARED.verify(&signed, NOW_S) {
        believed_rightly(&signed, &token);
    }
    // As a head over good claims: with the key, and with a public key for a secret.
    let claims = format!(r#"{{"sub":"ada","iss":"us","exp":{}}}"#, NOW_S + 60);
    let headed = sign(input, claims.as_bytes(), SECRET);
    if SHARED.verify(&headed, NOW_S).is_ok() {
        let head: Value = serde_json::from_slice(input).expect("a head that was read is JSON");
        assert_eq!(head["alg"], "HS256", "{head}");
        assert!(head.get("crit").is_none_or(Value::is_null), "{head}");
    }
    let confused = sign(input, claims.as_bytes(), PUBLIC);
    assert!(RSA.verify(&confused, NOW_S).is_err(), "a public key is no secret");
    assert!(SHARED.verify(&confused, NOW_S).is_err(), "another secret");
}

fn sign(head: &[u8], claims: &[u8], secret: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims));
    let signature = BASE64.encode(mac(&signed, secret));
    format!("{signed}.{signature}")
}

fn mac(text: &str, secret: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn believed_rightly(token: &str, said: &VerifiedToken) {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let signature = BASE64.decode(signature).expect("a signature in base64url");
    assert_eq!(signature, mac(signed, SECRET), "not signed with the key");
    let (_, claims) = signed.split_once('.').expect("three parts");
    let claims = BASE64.decode(claims).expect("claims in base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("claims in JSON");
    let expires_s = claims["exp"].as_f64().expect("a time");
    assert!(expires_s + 60.0 > 1_767_225_600.0, "expired: {claims}");
    assert!(said.expires_s > NOW_S, "good no more when it is remembered: {claims}");
    assert_eq!(claims["iss"], "us", "{claims}");
    if let Some(from_s) = claims.get("nbf").and_then(Value::as_f64) {
        assert!(from_s <= 1_767_225_600.0 + 60.0, "not yet valid: {claims}");
    }
    for (fact, claim) in [(&said.user, &claims["sub"]), (&said.tenant, &claims["org"])] {
        let Some(fact) = fact else { continue };
        assert!(!fact.is_empty() && fact.len() <= 256, "{fact:?}");
        let text = claim.as_str().map_or_else(|| claim.to_string(), str::to_owned);
        assert_eq!(**fact, *text, "{claims}");
    }
}
