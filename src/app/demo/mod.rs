//! `tidegate demo`: the proxy in front of a sample backend, in memory, with tokens to try it.

pub mod backend;
pub mod guide;
pub mod token;
