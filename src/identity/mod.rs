//! Who is asking: address, API key, token, tenant. Pure: evidence in, a [`Caller`] out.
//!
//! Only *verified* facts make an identity: an unknown key, an invalid token or a client-sent tenant field is no
//! evidence at all, so it can neither mint fresh limits nor open another tenant's cache.

pub mod algorithm;
pub mod api_keys;
pub mod caller;
pub mod identifier;
pub mod token;
pub mod verifier;

pub use algorithm::{Algorithm, AlgorithmFault};
pub use api_keys::{ApiKeyFault, ApiKeyRecord, ApiKeys};
pub use caller::Caller;
pub use identifier::{Forward, Identifier, IdentityRefusal, IdentitySettings, OnInvalid, TokenEvidence};
pub use token::{TokenFault, VerifiedToken, token_digest};
pub use verifier::{ClaimPaths, JwtFault, JwtSettings, JwtVerifier, KeySource};
