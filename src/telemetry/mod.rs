//! Every metric, the cache statistics, the access log and tracing.

pub mod metrics;

pub use metrics::{CacheResult, LimitDecision, Metrics};
