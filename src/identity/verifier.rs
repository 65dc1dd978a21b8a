//! Checks bearer tokens: RFC 7519 (JWT), RFC 7515 (JWS), RFC 8725 (best current practices).
//!
//! `jsonwebtoken` checks the signature; times, issuer and audience are checked here with the caller's clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::Header;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Map, Value};

use crate::base::{Digest, Digester};

use super::algorithm::Algorithm;
use super::claims::{fact, numeric_date, text};
use super::keys::{JwtFault, Key, KeySource, keys};
use super::token::{TOKEN_BYTES_MAX, TokenFault, VerifiedToken};

/// How many keys are tried for one token; bounds the work that a forged token causes.
const TRIES_MAX: usize = 8;

/// Which claims carry what; dots step into objects (`app.org`), unless a claim has that very name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPaths {
    /// The subject, usually `sub`.
    pub user: String,
    /// The organisation.
    pub tenant: Option<String>,
    /// The role, kept in the claims under the name `role`.
    pub role: Option<String>,
    /// The service tier.
    pub tier: Option<String>,
    /// Further claims to keep, under their path as name (`vary_claims`).
    pub extra: Vec<String>,
}

/// All that a verifier needs to know.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// The algorithms that are accepted, and no other.
    pub algorithms: Vec<Algorithm>,
    /// The key or keys.
    pub key: KeySource,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required member of `aud`.
    pub audience: Option<String>,
    /// Tolerated difference between clocks, in seconds.
    pub leeway_s: u64,
    /// Which claims carry what.
    pub claims: ClaimPaths,
}

/// Verifies tokens with configured algorithms and keys only.
#[derive(Debug, Clone)]
pub struct JwtVerifier {
    keys: Vec<Key>,
    rules: Rules,
    weak_secret: Option<Algorithm>,
    derived: Option<Digest>,
}

/// The settings without key material.
#[derive(Debug, Clone)]
struct Rules {
    algorithms: Vec<Algorithm>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway_s: u64,
    claims: ClaimPaths,
}

impl JwtVerifier {
    /// Checks that keys and algorithms fit each other.
    ///
    /// # Errors
    /// [`JwtFault`] says what does not fit.
    pub fn new(settings: JwtSettings) -> Result<Self, JwtFault> {
        let weak_secret = match &settings.key {
            KeySource::Secret(secret) => {
                let bytes = secret.expose().len();
                settings.algorithms.iter().copied().find(|algorithm| bytes < algorithm.secret_bytes_min())
            }
            _ => None,
        };
        let derived = match &settings.key {
            KeySource::Secret(secret) if !secret.is_empty() => {
                Some(Digester::new("tidegate derived key 1").part(secret.expose().as_bytes()).finish())
            }
            _ => None,
        };
        Ok(Self {
            derived,
            keys: keys(&settings.key, &settings.algorithms)?,
            rules: Rules {
                algorithms: settings.algorithms,
                issuer: settings.issuer,
                audience: settings.audience,
                leeway_s: settings.leeway_s,
                claims: settings.claims,
            },
            weak_secret,
        })
    }

    /// The same verifier with the keys of a newly fetched JWK Set.
    ///
    /// # Errors
    /// [`JwtFault`] when the document is no key set or holds no usable key; the old verifier stays as it is.
    pub fn with_key_set(&self, document: &[u8]) -> Result<Self, JwtFault> {
        let keys = keys(&KeySource::KeySet(document.to_vec()), &self.rules.algorithms)?;
        Ok(Self { keys, rules: self.rules.clone(), weak_secret: None, derived: None })
    }

    /// A key for other purposes that nobody has who does not know the secret, and that tells nothing about it. `None` where
    /// tokens are verified with public keys: from those anybody could make it.
    #[must_use]
    pub fn derived_key(&self) -> Option<&Digest> {
        self.derived.as_ref()
    }

    /// What works but is weak, in words for the operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let weak = self.weak_secret.map(|algorithm| {
            let least = algorithm.secret_bytes_min();
            format!(
                "the secret is shorter than the {least} bytes that {algorithm} needs (RFC 7518 section 3.2); it may be guessed"
            )
        });
        weak.into_iter().collect()
    }

    /// Verifies a token at `now_s` (Unix seconds).
    ///
    /// # Errors
    /// [`TokenFault`] says why the token is not believed.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<VerifiedToken, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_unreadable| TokenFault::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        if !self.rules.algorithms.contains(&Algorithm(header.alg)) {
            return Err(TokenFault::Algorithm);
        }
        let claims = self.signed_claims(token, &header)?;
        self.rules.believe(&claims, now_s)
    }

    fn signed_claims(&self, token: &str, header: &Header) -> Result<Map<String, Value>, TokenFault> {
        let mut outcome = TokenFault::UnknownKey;
        for key in self.fitting(header).take(TRIES_MAX) {
            match jsonwebtoken::decode(token, &key.decoding, &key.validation) {
                Ok(data) => return Ok(data.claims),
                Err(fault) => {
                    outcome = match fault.kind() {
                        ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
                            TokenFault::Malformed
                        }
                        _ => TokenFault::Signature,
                    };
                }
            }
        }
        Err(outcome)
    }

    /// Keys for the token's algorithm: those with its key id, else those without any id; all when it names none.
    fn fitting<'k>(&'k self, header: &'k Header) -> impl Iterator<Item = &'k Key> {
        let for_algorithm = |key: &&Key| key.validation.algorithms.contains(&header.alg);
        let named = header.kid.as_ref();
        let is_known = self.keys.iter().filter(for_algorithm).any(|key| key.id.as_ref() == named);
        let by_id = move |key: &&Key| match named {
            None => true,
            Some(_) if is_known => key.id.as_ref() == named,
            Some(_) => key.id.is_none(),
        };
        self.keys.iter().filter(move |key| for_algorithm(key) && by_id(key))
    }
}

impl Rules {
    fn believe(&self, claims: &Map<String, Value>, now_s: u64) -> Result<VerifiedToken, TokenFault> {
        let expires_s = self.check_times(claims, now_s)?;
        if self
            .issuer
            .as_deref()
            .is_some_and(|issuer| claims.get("iss").and_then(Value::as_str) != Some(issuer))
        {
            return Err(TokenFault::Issuer);
        }
        if self.audience.as_deref().is_some_and(|audience| !is_for(claims.get("aud"), audience)) {
            return Err(TokenFault::Audience);
        }
        let paths = &self.claims;
        Ok(VerifiedToken {
            user: named(claims, Some(&paths.user))?,
            tenant: named(claims, paths.tenant.as_deref())?,
            tier: named(claims, paths.tier.as_deref())?,
            claims: Arc::new(self.further(claims)),
            expires_s,
        })
    }

    /// RFC 7519 sections 4.1.4 and 4.1.5; `exp` must be there (RFC 8725 does not ask for it, but an identity without
    /// an end cannot be taken back).
    fn check_times(&self, claims: &Map<String, Value>, now_s: u64) -> Result<u64, TokenFault> {
        let date = |name: &str| numeric_date(claims, name).map_err(|()| TokenFault::Claim(name.to_owned()));
        let expires_s = date("exp")?.ok_or(TokenFault::NoExpiry)?.saturating_add(self.leeway_s);
        if now_s >= expires_s {
            return Err(TokenFault::Expired);
        }
        if date("nbf")?.is_some_and(|begins_s| now_s.saturating_add(self.leeway_s) < begins_s) {
            return Err(TokenFault::NotYetValid);
        }
        Ok(expires_s)
    }

    fn further(&self, claims: &Map<String, Value>) -> BTreeMap<String, String> {
        let role = self.claims.role.as_deref().map(|path| ("role", path));
        let extra = self.claims.extra.iter().map(|path| (path.as_str(), path.as_str()));
        let all = extra.chain(role);
        all.filter_map(|(name, path)| Some((name.to_owned(), text(claims, path)?))).collect()
    }
}

fn named(claims: &Map<String, Value>, path: Option<&str>) -> Result<Option<Arc<str>>, TokenFault> {
    let Some(path) = path else { return Ok(None) };
    match fact(claims, path) {
        Ok(found) => Ok(found.map(Arc::from)),
        Err(()) => Err(TokenFault::Claim(path.to_owned())),
    }
}

/// RFC 7519 section 4.1.3: a string, or a list of strings one of which must be ours.
fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(list)) => list.iter().any(|each| each.as_str() == Some(audience)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::base::Secret;
    use jsonwebtoken::EncodingKey;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW_S: u64 = 1_800_000_000;
    const SECRET: &str = "a secret of at least sixty-four bytes, so that HS512 is content with it";

    fn settings(algorithms: &[&str], key: KeySource) -> JwtSettings {
        JwtSettings {
            algorithms: algorithms.iter().map(|name| name.parse().expect("algorithm")).collect(),
            key,
            issuer: None,
            audience: None,
            leeway_s: 60,
            claims: ClaimPaths {
                user: "sub".to_owned(),
                tenant: Some("org".to_owned()),
                role: Some("role".to_owned()),
                tier: Some("tier".to_owned()),
                extra: Vec::new(),
            },
        }
    }

    fn built(algorithms: &[&str], key: KeySource) -> JwtVerifier {
        JwtVerifier::new(settings(algorithms, key)).expect("verifier")
    }

    fn secret(text: &str) -> KeySource {
        KeySource::Secret(Secret::new(text))
    }

    fn pem(text: &str) -> KeySource {
        KeySource::PublicKey(text.as_bytes().to_vec())
    }

    fn set(text: &str) -> KeySource {
        KeySource::KeySet(text.as_bytes().to_vec())
    }

    fn signed(header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("token")
    }

    fn hs256(claims: &Value) -> String {
        signed(&Header::default(), claims)
    }

    fn verify(claims: &Value) -> Result<VerifiedToken, TokenFault> {
        built(&["HS256"], secret(SECRET)).verify(&hs256(claims), NOW_S)
    }

    fn is_ada(verified: Result<VerifiedToken, TokenFault>) {
        let token = verified.expect("believed");
        assert_eq!((token.user.as_deref(), token.tenant.as_deref()), (Some("ada"), Some("acme")));
        assert_eq!(token.expires_s, 2_000_000_060);
    }

    #[test]
    fn every_public_key_algorithm_verifies_with_its_pem_key() {
        for (name, token, key) in [
            ("RS256", samples::RS256, samples::RSA_PEM),
            ("RS384", samples::RS384, samples::RSA_PEM),
            ("RS512", samples::RS512, samples::RSA_PKCS1_PEM),
            ("PS256", samples::PS256, samples::RSA_PEM),
            ("PS384", samples::PS384, samples::RSA_PEM),
            ("PS512", samples::PS512, samples::RSA_PEM),
            ("ES256", samples::ES256, samples::P256_PEM),
            ("ES384", samples::ES384, samples::P384_PEM),
            ("EdDSA", samples::EDDSA, samples::ED25519_PEM),
        ] {
            is_ada(built(&[name], pem(key)).verify(token, NOW_S));
        }
    }

    #[test]
    fn every_shared_secret_algorithm_verifies() {
        for name in ["HS256", "HS384", "HS512"] {
            let token = signed(
                &Header::new(name.parse().expect("name")),
                &json!({"sub": "ada", "org": "acme", "exp": 2_000_000_000}),
            );
            is_ada(built(&[name], secret(SECRET)).verify(&token, NOW_S));
        }
    }

    #[test]
    fn a_token_of_another_algorithm_is_not_believed_whatever_its_signature() {
        let verifier = built(&["RS256"], pem(samples::RSA_PEM));
        assert_eq!(verifier.verify(samples::RS384, NOW_S), Err(TokenFault::Algorithm));
        assert_eq!(verifier.verify(samples::PS256, NOW_S), Err(TokenFault::Algorithm));
        // The classic: the public key taken as a shared secret.
        let forged = jsonwebtoken::encode(
            &Header::default(),
            &json!({"sub": "ada", "exp": 2_000_000_000}),
            &EncodingKey::from_secret(samples::RSA_PEM.as_bytes()),
        );
        assert_eq!(verifier.verify(&forged.expect("token"), NOW_S), Err(TokenFault::Algorithm));
    }

    #[test]
    fn keys_that_do_not_fit_the_algorithms_are_refused_when_built() {
        let fault = |names: &[&str], key| JwtVerifier::new(settings(names, key)).expect_err("fault");
        let misfit = |name: &str, key| JwtFault::Misfit { algorithm: name.parse().expect("name"), key };
        assert_eq!(fault(&[], secret(SECRET)), JwtFault::NoAlgorithm);
        assert_eq!(fault(&["HS256"], secret("")), JwtFault::EmptySecret);
        assert_eq!(fault(&["HS256", "RS256"], secret(SECRET)), misfit("RS256", "a secret"));
        assert_eq!(fault(&["HS256"], pem(samples::RSA_PEM)), misfit("HS256", "an RSA key"));
        assert_eq!(fault(&["RS256", "HS256"], pem(samples::RSA_PEM)), misfit("HS256", "an RSA key"));
        assert_eq!(fault(&["ES384"], pem(samples::P256_PEM)), misfit("ES384", "a P-256 key"));
        assert_eq!(fault(&["ES256"], pem(samples::P384_PEM)), misfit("ES256", "a P-384 key"));
        assert_eq!(fault(&["RS256"], pem(samples::ED25519_PEM)), misfit("RS256", "an Ed25519 key"));
        assert_eq!(fault(&["HS256"], set(samples::KEY_SET)), JwtFault::NoUsableKey);
    }

    #[test]
    fn weak_wrong_and_private_keys_are_refused_when_built() {
        let fault = |name: &str, key| JwtVerifier::new(settings(&[name], key)).expect_err("fault");
        assert_eq!(fault("RS256", pem(samples::RSA_WEAK_PEM)), JwtFault::WeakRsa);
        assert_eq!(fault("ES256", pem(samples::P521_PEM)), JwtFault::PublicKey);
        assert_eq!(fault("RS256", pem("nonsense")), JwtFault::PublicKey);
        let private = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(fault("RS256", pem(private)), JwtFault::PrivateKey);
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(fault("RS256", pem(certificate)), JwtFault::Certificate);
        for document in ["", "[]", "{}", r#"{"keys": 1}"#, &format!(r#"{{"keys": [{}1]}}"#, "1,".repeat(64))]
        {
            assert_eq!(fault("RS256", set(document)), JwtFault::KeySet, "{document}");
        }
        assert_eq!(fault("RS256", set(r#"{"keys": []}"#)), JwtFault::NoUsableKey);
    }

    #[test]
    fn a_key_set_is_searched_by_key_id() {
        let verifier = built(&["RS256", "ES256", "ES384", "EdDSA"], set(samples::KEY_SET));
        for token in [samples::RS256_KID_RSA, samples::RS256_KID_OTHER, samples::RS256, samples::RS256_OTHER]
        {
            is_ada(verifier.verify(token, NOW_S));
        }
        for token in [samples::ES256, samples::ES384, samples::EDDSA] {
            is_ada(verifier.verify(token, NOW_S));
        }
        assert_eq!(verifier.verify(samples::RS256_KID_LOST, NOW_S), Err(TokenFault::UnknownKey));
    }

    #[test]
    fn a_key_of_a_set_is_used_for_its_own_algorithm_only() {
        let verifier = built(&["RS512"], set(samples::KEY_SET));
        // `rsa-1` says RS256, so only `rsa-2` is left for RS512.
        assert_eq!(verifier.verify(samples::RS512, NOW_S), Err(TokenFault::Signature));
    }

    #[test]
    fn keys_without_id_are_tried_in_order() {
        let verifier = built(&["RS256"], set(samples::KEY_SET_ANONYMOUS));
        for token in [samples::RS256, samples::RS256_OTHER, samples::RS256_KID_RSA] {
            is_ada(verifier.verify(token, NOW_S));
        }
    }

    #[test]
    fn shared_secrets_may_stand_in_a_key_set() {
        let document = r#"{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, {"kty": "oct", "k": ""}]}"#;
        let verifier = built(&["HS256"], set(document));
        let claims = json!({"sub": "ada", "org": "acme", "exp": 2_000_000_000});
        let token = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"secret"));
        is_ada(verifier.verify(&token.expect("token"), NOW_S));
    }

    #[test]
    fn an_awaited_key_set_believes_nothing_until_it_comes() {
        let awaiting = built(&["RS256"], KeySource::Awaited);
        assert_eq!(awaiting.verify(samples::RS256, NOW_S), Err(TokenFault::UnknownKey));
        let ready = awaiting.with_key_set(samples::KEY_SET.as_bytes()).expect("keys");
        is_ada(ready.verify(samples::RS256, NOW_S));
        assert_eq!(ready.with_key_set(b"{}").expect_err("fault"), JwtFault::KeySet);
    }

    #[test]
    fn expiry_is_required_and_checked_with_leeway() {
        let at = |exp: u64| verify(&json!({"sub": "ada", "exp": exp})).map(|token| token.expires_s);
        assert_eq!(at(NOW_S), Ok(NOW_S + 60));
        assert_eq!(at(NOW_S - 59), Ok(NOW_S + 1));
        assert_eq!(at(NOW_S - 60), Err(TokenFault::Expired), "not accepted on or after exp (RFC 7519 4.1.4)");
        assert_eq!(at(u64::MAX), Ok(u64::MAX));
        assert_eq!(verify(&json!({"sub": "ada"})), Err(TokenFault::NoExpiry));
        assert_eq!(
            verify(&json!({"sub": "ada", "exp": "2000000000"})),
            Err(TokenFault::Claim("exp".to_owned()))
        );
    }

    #[test]
    fn a_token_is_not_believed_before_its_time() {
        let at = |nbf: u64| verify(&json!({"sub": "ada", "exp": NOW_S + 9, "nbf": nbf})).map(|_| ());
        assert_eq!((at(NOW_S + 60), at(NOW_S + 61)), (Ok(()), Err(TokenFault::NotYetValid)));
        let far = verify(&json!({"sub": "ada", "exp": NOW_S + 9, "nbf": 7.68e19})).map(|_| ());
        assert_eq!(far, Err(TokenFault::Claim("nbf".to_owned())));
    }

    #[test]
    fn issuer_and_audience_must_be_ours_when_configured() {
        let mut asked = settings(&["HS256"], secret(SECRET));
        asked.issuer = Some("https://issuer.example".to_owned());
        asked.audience = Some("tidegate".to_owned());
        let verifier = JwtVerifier::new(asked).expect("verifier");
        let check = |iss: Value, aud: Value| {
            verifier
                .verify(&hs256(&json!({"sub": "a", "exp": NOW_S, "iss": iss, "aud": aud})), NOW_S)
                .map(|_| ())
        };
        let iss = || json!("https://issuer.example");
        assert_eq!(check(iss(), json!("tidegate")), Ok(()));
        assert_eq!(check(iss(), json!(["other", "tidegate"])), Ok(()));
        for aud in [json!("other"), json!([]), json!(null), json!({"tidegate": 1}), json!("tidegate2")] {
            assert_eq!(check(iss(), aud), Err(TokenFault::Audience));
        }
        for iss in [json!("https://issuer.example/"), json!(null), json!(["https://issuer.example"])] {
            assert_eq!(check(iss, json!("tidegate")), Err(TokenFault::Issuer));
        }
    }

    #[test]
    fn facts_come_from_the_configured_claims() {
        let mut asked = settings(&["HS256"], secret(SECRET));
        asked.claims = ClaimPaths {
            user: "app.uid".to_owned(),
            tenant: Some("https://x.example/org".to_owned()),
            role: Some("realm.roles".to_owned()),
            tier: Some("plan".to_owned()),
            extra: vec!["locale".to_owned(), "absent".to_owned()],
        };
        let verifier = JwtVerifier::new(asked).expect("verifier");
        let claims = json!({"app": {"uid": 42}, "https://x.example/org": "acme", "realm": {"roles": ["b", "a"]},
            "plan": "pro", "locale": "de", "exp": NOW_S});
        let token = verifier.verify(&hs256(&claims), NOW_S).expect("believed");
        assert_eq!(
            (token.user.as_deref(), token.tenant.as_deref(), token.tier.as_deref()),
            (Some("42"), Some("acme"), Some("pro"))
        );
        let kept: Vec<_> = token.claims.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(kept, [("locale", "de"), ("role", r#"["b","a"]"#)]);
    }

    #[test]
    fn empty_claims_are_absent_and_unusable_ones_are_faults() {
        let token =
            verify(&json!({"sub": "", "org": "", "tier": null, "role": "", "exp": NOW_S})).expect("believed");
        assert_eq!((token.user, token.tenant, token.tier, token.claims.len()), (None, None, None, 0));
        assert_eq!(
            verify(&json!({"sub": "a", "org": ["a"], "exp": NOW_S})),
            Err(TokenFault::Claim("org".to_owned()))
        );
        assert_eq!(
            verify(&json!({"sub": "a\r\nX: y", "exp": NOW_S})),
            Err(TokenFault::Claim("sub".to_owned()))
        );
    }

    #[test]
    fn tokens_that_are_none_are_told_apart() {
        let verifier = built(&["HS256"], secret(SECRET));
        let good = hs256(&json!({"sub": "ada", "exp": NOW_S}));
        assert_eq!(verifier.verify(&"a".repeat(TOKEN_BYTES_MAX + 1), NOW_S), Err(TokenFault::TooLong));
        for text in ["", ".", "..", "a.b.c", "a.b", &format!("{good}.x"), "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(verifier.verify(text, NOW_S), Err(TokenFault::Malformed), "{text}");
        }
        let mut other = good.clone();
        other.replace_range(good.len() - 8.., "AAAAAAAA");
        assert_eq!(verifier.verify(&other, NOW_S), Err(TokenFault::Signature));
        let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() };
        let critical = signed(&header, &json!({"sub": "ada", "exp": NOW_S}));
        assert_eq!(verifier.verify(&critical, NOW_S), Err(TokenFault::Critical));
    }

    #[test]
    fn no_fault_shows_the_token_and_no_debug_shows_a_secret() {
        let verifier = built(&["HS256"], secret(SECRET));
        let fault = verifier.verify("c2VjcmV0.c2VjcmV0.c2VjcmV0", NOW_S).expect_err("fault");
        assert!(!format!("{fault} {fault:?}").contains("c2VjcmV0"));
        assert!(!format!("{verifier:?} {:?}", settings(&["HS256"], secret(SECRET))).contains("sixty-four"));
    }

    #[test]
    fn a_short_secret_is_a_warning() {
        assert!(built(&["HS256"], secret(&"x".repeat(32))).warnings().is_empty());
        let warnings = built(&["HS256"], secret(&"x".repeat(31))).warnings();
        assert!(warnings.iter().any(|text| text.contains("32 bytes that HS256 needs")), "{warnings:?}");
        assert_eq!(built(&["HS256", "HS512"], secret(&"x".repeat(40))).warnings().len(), 1);
    }

    proptest! {
        #[test]
        fn no_token_text_panics_or_is_believed(token in "[A-Za-z0-9_.-]{0,200}") {
            prop_assert!(built(&["HS256"], secret(SECRET)).verify(&token, NOW_S).is_err());
        }

        #[test]
        fn one_changed_character_breaks_the_signature(at in 0_usize..1_000, with in "[A-Za-z0-9_-]") {
            let good = hs256(&json!({"sub": "ada", "org": "acme", "exp": NOW_S}));
            let mut bytes = good.into_bytes();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != b'.' && bytes[at] != with.as_bytes()[0]);
            bytes[at] = with.as_bytes()[0];
            let changed = String::from_utf8(bytes).expect("text");
            prop_assert!(built(&["HS256"], secret(SECRET)).verify(&changed, NOW_S).is_err());
        }
    }
}
