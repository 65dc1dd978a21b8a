//! What a verified token says, and why others are not believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Digest, Digester};

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1_024;

/// The facts of a token whose signature, times, issuer and audience were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The subject.
    pub user: Option<Arc<str>>,
    /// The organisation.
    pub tenant: Option<Arc<str>>,
    /// The service tier.
    pub tier: Option<Arc<str>>,
    /// The role under the name `role`, and further claims that the configuration names under their paths.
    pub claims: Arc<BTreeMap<String, String>>,
    /// Unix time in seconds from which on the token is no longer believed (leeway included).
    pub expires_s: u64,
}

/// Why a token is not believed. Never holds any part of the token, so it may be shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than 8 KiB")]
    TooLong,
    /// Not three base64url parts with a JSON header and JSON claims (RFC 7515 section 7.1), or an algorithm nobody
    /// knows, such as `none`.
    #[error("the token is not a signed JWT in compact form with a known algorithm")]
    Malformed,
    /// Signed with an algorithm that is not configured (RFC 8725 section 3.1).
    #[error("the token's algorithm is not accepted here")]
    Algorithm,
    /// It asks for extensions that must be understood, and none is (RFC 7515 section 4.1.11).
    #[error("the token has critical extensions that are not understood")]
    Critical,
    /// No configured key has its key id or fits its algorithm.
    #[error("no known key fits the token")]
    UnknownKey,
    /// The signature is not that of any fitting key.
    #[error("the token's signature is wrong")]
    Signature,
    /// No `exp`: it would be valid for ever.
    #[error("the token does not say when it expires (`exp`)")]
    NoExpiry,
    /// `exp` is over (RFC 7519 section 4.1.4).
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come (RFC 7519 section 4.1.5).
    #[error("the token is not valid yet (`nbf`)")]
    NotYetValid,
    /// Not from the configured issuer (RFC 7519 section 4.1.1).
    #[error("the token is from another issuer (`iss`)")]
    Issuer,
    /// Not for the configured audience (RFC 7519 section 4.1.3).
    #[error("the token is for another audience (`aud`)")]
    Audience,
    /// A claim that is needed cannot be read.
    #[error("the token's claim `{0}` is not usable: text or a number of at most 256 bytes is expected")]
    Claim(String),
    /// Tokens are not configured.
    #[error("tokens are not accepted here")]
    NotConfigured,
}

/// Under what a verified token may be remembered, without keeping the token.
#[must_use]
pub fn token_digest(token: &str) -> Digest {
    Digester::new("tidegate token 1").part(token.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_differ_have_digests_that_differ() {
        assert_eq!(token_digest("a.b.c"), token_digest("a.b.c"));
        assert_ne!(token_digest("a.b.c"), token_digest("a.b.d"));
    }
}
