//! Who is asking: address, API key, token, tenant. Pure: evidence in, a [`Caller`] out.
//!
//! Only *verified* facts make an identity: an unknown key, an invalid token or a client-sent tenant field is no
//! evidence at all, so it can neither mint fresh limits nor open another tenant's cache.

mod address;
pub mod algorithm;
pub mod api_keys;
pub mod caller;
mod certificate;
mod claims;
mod fields;
pub mod identifier;
mod keys;
#[cfg(test)]
mod samples;
pub mod token;
pub mod verifier;

pub use address::HOPS_MAX;
pub use algorithm::{ALGORITHM_NAMES, Algorithm, AlgorithmFault};
pub use api_keys::{ApiKeyFault, ApiKeyRecord, ApiKeys};
pub use caller::Caller;
pub use certificate::{CertificateFacts, CertificateNames, NameKind, NamedBy};
pub use claims::FACT_BYTES_MAX;
pub use fields::{Fact, Received};
pub use identifier::{Forward, Identifier, IdentityRefusal, IdentitySettings, OnInvalid, TokenEvidence};
pub use keys::{JwtFault, KeySource};
pub use token::{TOKEN_BYTES_MAX, TokenFault, VerifiedToken, token_digest};
pub use verifier::{ClaimPaths, JwtSettings, JwtVerifier};
