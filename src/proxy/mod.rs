//! The data plane: the only place that knows pingora.
//!
//! A connection's way: `listener` (a place, who it is, TLS) → `stream` (reads along).
//! A request's way: `gate` (the phases as a list) → `context` → `admit` → `caching` (+ `lookup`, `storage`) → `upstream` (on a
//! miss) → `respond` → `failure` (on trouble) → `finish`. Policy lives in the pure modules that these steps call.

mod admit;
mod caching;
mod coding;
mod compressor;
mod context;
mod edits;
mod failure;
mod farewell;
mod finish;
mod flight;
mod gate;
mod internal;
mod invalidation;
mod limiting;
mod listener;
mod lock;
mod lookup;
mod overload;
mod peer;
pub mod places;
mod plane;
mod pool;
mod preamble;
mod purging;
mod refusal;
mod respond;
mod storage;
mod stream;
mod tokens;
mod transport;
mod upstream;
mod warm_client;
mod warming;

#[doc(hidden)]
pub use preamble::parse as parse_preamble;

pub use plane::{DataPlane, Parts, ProxyFault};
pub use warming::Warmer;
