//! Who is asking: address, API key, token, tenant. Pure: evidence in, a [`Caller`] out.
//!
//! Only *verified* facts make an identity: an unknown key, an invalid token or a client-sent tenant field is no
//! evidence at all, so it can neither mint fresh limits nor open another tenant's cache.

pub mod caller;

pub use caller::Caller;
