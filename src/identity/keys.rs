//! Verification keys, each bound to the algorithms that it is for.
//!
//! The binding is made when the configuration is built, never from what a token says: a public key can then not be
//! taken for a shared secret (RFC 8725 sections 2.1 and 3.1).

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation};
use serde_json::Value;

use super::algorithm::Algorithm;
use crate::base::Secret;

/// The most keys of a set.
const KEYS_MAX: usize = 64;

/// The largest key set document in bytes.
const KEY_SET_BYTES_MAX: usize = 256 * 1_024;

/// The least size of an RSA modulus in bits (RFC 7518 sections 3.3 and 3.5).
const RSA_BITS_MIN: usize = 2_048;

/// Where the keys come from. The bytes are read by the caller.
#[derive(Clone)]
pub enum KeySource {
    /// A shared secret for HS256, HS384, HS512.
    Secret(Secret),
    /// One public key, PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`).
    PublicKey(Vec<u8>),
    /// A JWK Set document (RFC 7517 section 5).
    KeySet(Vec<u8>),
    /// A key set that is still to be fetched: no token is believed until [`super::JwtVerifier::with_key_set`].
    Awaited,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::PublicKey(_) => "PublicKey",
            Self::KeySet(_) => "KeySet",
            Self::Awaited => "Awaited",
        })
    }
}

/// Why a verifier cannot be built. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtFault {
    /// No algorithm is listed.
    #[error("`algorithms` is empty; list those that your issuer signs with")]
    NoAlgorithm,
    /// The secret is empty.
    #[error("the secret is empty")]
    EmptySecret,
    /// An algorithm that the key cannot be for.
    #[error("{algorithm} does not fit {key}")]
    Misfit {
        /// The configured algorithm.
        algorithm: Algorithm,
        /// What was given as key.
        key: &'static str,
    },
    /// Not a PEM public key of a known kind.
    #[error(
        "the public key is not PEM text of an RSA, P-256, P-384 or Ed25519 key (`-----BEGIN PUBLIC KEY-----`)"
    )]
    PublicKey,
    /// A private key was given.
    #[error(
        "this is a private key, which only the issuer should have; give its public half (openssl pkey -pubout)"
    )]
    PrivateKey,
    /// A certificate was given, whose dates nobody would check.
    #[error("this is a certificate; give its public key (openssl x509 -pubkey -noout)")]
    Certificate,
    /// An RSA key below 2048 bits.
    #[error("the RSA key has less than 2048 bits")]
    WeakRsa,
    /// Not a JWK Set.
    #[error("the key set is not a JSON object with a list `keys` of at most 64 keys and 256 KiB")]
    KeySet,
    /// No key of the set can verify a configured algorithm.
    #[error("no key of the set fits the configured algorithms")]
    NoUsableKey,
}

/// One key with all that `jsonwebtoken` needs to check a signature with it, and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) decoding: DecodingKey,
    /// The accepted algorithms of this key; all checks of claims are off, they are ours.
    pub(super) validation: Validation,
}

impl Key {
    fn new(id: Option<String>, decoding: DecodingKey, algorithms: &[Algorithm]) -> Self {
        let mut validation = Validation::default();
        validation.algorithms.clear();
        validation.algorithms.extend(algorithms.iter().map(|algorithm| algorithm.0));
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { id, decoding, validation }
    }
}

/// The keys of a source for these algorithms.
pub(super) fn keys(source: &KeySource, algorithms: &[Algorithm]) -> Result<Vec<Key>, JwtFault> {
    if algorithms.is_empty() {
        return Err(JwtFault::NoAlgorithm);
    }
    match source {
        KeySource::Secret(secret) => secret_key(secret, algorithms).map(|key| vec![key]),
        KeySource::PublicKey(pem) => public_key(pem, algorithms).map(|key| vec![key]),
        KeySource::KeySet(document) => key_set(document, algorithms),
        KeySource::Awaited => Ok(Vec::new()),
    }
}

fn secret_key(secret: &Secret, algorithms: &[Algorithm]) -> Result<Key, JwtFault> {
    if secret.is_empty() {
        return Err(JwtFault::EmptySecret);
    }
    all_fit(algorithms, "a secret", |algorithm| algorithm.is_symmetric())?;
    Ok(Key::new(None, DecodingKey::from_secret(secret.expose().as_bytes()), algorithms))
}

fn public_key(pem: &[u8], algorithms: &[Algorithm]) -> Result<Key, JwtFault> {
    let text = str::from_utf8(pem).map_err(|_not_text| JwtFault::PublicKey)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(JwtFault::PrivateKey);
    }
    if text.contains("BEGIN CERTIFICATE-----") {
        return Err(JwtFault::Certificate);
    }
    let decoding = DecodingKey::from_ed_pem(pem)
        .or_else(|_other| DecodingKey::from_ec_pem(pem))
        .or_else(|_other| DecodingKey::from_rsa_pem(pem))
        .map_err(|_none| JwtFault::PublicKey)?;
    // As a JWK the key tells its curve and its modulus.
    let jwk = Jwk::from_decoding_key(&decoding, None).map_err(|_none| JwtFault::PublicKey)?;
    let kind = KeyKind::of(&jwk).ok_or(JwtFault::PublicKey)?;
    if kind == KeyKind::WeakRsa {
        return Err(JwtFault::WeakRsa);
    }
    all_fit(algorithms, kind.name(), |algorithm| kind.fits(algorithm))?;
    Ok(Key::new(None, decoding, algorithms))
}

fn all_fit(
    algorithms: &[Algorithm],
    key: &'static str,
    fits: impl Fn(Algorithm) -> bool,
) -> Result<(), JwtFault> {
    match algorithms.iter().find(|algorithm| !fits(**algorithm)) {
        Some(algorithm) => Err(JwtFault::Misfit { algorithm: *algorithm, key }),
        None => Ok(()),
    }
}

/// RFC 7517 section 5: keys of unknown kinds, or for other uses, are passed over.
fn key_set(document: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, JwtFault> {
    if document.len() > KEY_SET_BYTES_MAX {
        return Err(JwtFault::KeySet);
    }
    let set: Value = serde_json::from_slice(document).map_err(|_not_json| JwtFault::KeySet)?;
    let list = set.get("keys").and_then(Value::as_array).ok_or(JwtFault::KeySet)?;
    if list.len() > KEYS_MAX {
        return Err(JwtFault::KeySet);
    }
    let keys: Vec<Key> = list.iter().filter_map(|value| key_of_set(value, algorithms)).collect();
    if keys.is_empty() { Err(JwtFault::NoUsableKey) } else { Ok(keys) }
}

fn key_of_set(value: &Value, algorithms: &[Algorithm]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let may_verify =
        jwk.common.key_operations.as_ref().is_none_or(|list| list.contains(&KeyOperations::Verify));
    if !is_for_signatures || !may_verify {
        return None;
    }
    let kind = KeyKind::of(&jwk)?;
    let named = jwk.common.key_algorithm;
    let fits = |algorithm: &&Algorithm| {
        kind.fits(**algorithm) && named.is_none_or(|name| name == KeyAlgorithm::from(algorithm.0))
    };
    let fitting: Vec<Algorithm> = algorithms.iter().filter(fits).copied().collect();
    if fitting.is_empty() {
        return None;
    }
    Some(Key::new(jwk.common.key_id.clone(), DecodingKey::from_jwk(&jwk).ok()?, &fitting))
}

/// What a key is, as far as algorithms care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Secret,
    Rsa,
    WeakRsa,
    P256,
    P384,
    Ed25519,
}

impl KeyKind {
    fn of(jwk: &Jwk) -> Option<Self> {
        match &jwk.algorithm {
            AlgorithmParameters::OctetKey(key) if !key.value.is_empty() => Some(Self::Secret),
            // Six bits a character of base64url.
            AlgorithmParameters::RSA(key) if key.n.len() * 6 < RSA_BITS_MIN => Some(Self::WeakRsa),
            AlgorithmParameters::RSA(_) => Some(Self::Rsa),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Some(Self::P256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Some(Self::P384),
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Some(Self::Ed25519)
            }
            _ => None,
        }
    }

    fn fits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret => algorithm.is_symmetric(),
            Self::Rsa => algorithm.0.family() == AlgorithmFamily::Rsa,
            Self::WeakRsa => false,
            Self::P256 => algorithm.0 == jsonwebtoken::Algorithm::ES256,
            Self::P384 => algorithm.0 == jsonwebtoken::Algorithm::ES384,
            Self::Ed25519 => algorithm.0.family() == AlgorithmFamily::Ed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Secret => "a secret",
            Self::Rsa | Self::WeakRsa => "an RSA key",
            Self::P256 => "a P-256 key",
            Self::P384 => "a P-384 key",
            Self::Ed25519 => "an Ed25519 key",
        }
    }
}
