//! What a verified token says, and why others are not believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Digest, Digester};

/// The facts of a token whose signature, times, issuer and audience were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The subject.
    pub user: Option<Arc<str>>,
    /// The organisation.
    pub tenant: Option<Arc<str>>,
    /// The service tier.
    pub tier: Option<Arc<str>>,
    /// Role and further claims that the configuration names.
    pub claims: Arc<BTreeMap<String, String>>,
    /// Unix time in seconds from which on the token is no longer believed (leeway included).
    pub expires_s: u64,
}

/// Why a token is not believed. Never holds any part of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than 8 KiB.
    #[error("the token is longer than 8 KiB")]
    TooLong,
    /// Not three base64url parts with a JSON header.
    #[error("the token is not a signed JWT in compact form")]
    Malformed,
}

/// Under what a verified token may be remembered, without keeping the token.
#[must_use]
pub fn token_digest(token: &str) -> Digest {
    Digester::new("tidegate token 1").part(token.as_bytes()).finish()
}
