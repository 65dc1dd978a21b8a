//! The data plane: the only place that knows pingora.
//!
//! A request's way: `gate` (the phases as a list) → `context` → `admit` → `caching` (+ `lookup`, `storage`) → `upstream` (on a
//! miss) → `respond` → `failure` (on trouble) → `finish`. Policy lives in the pure modules that these steps call.

mod admit;
mod caching;
mod coding;
mod compressor;
pub mod connection;
mod context;
mod edits;
mod failure;
mod finish;
mod flight;
mod gate;
mod internal;
mod invalidation;
mod limiting;
mod lock;
mod lookup;
mod plane;
mod pool;
mod purging;
mod refusal;
mod respond;
mod storage;
mod tokens;
mod upstream;
mod warm_client;
mod warming;

pub use plane::{Bound, DataPlane, Parts, ProxyFault};
pub use warming::Warmer;
