//! Every metric, the access log and tracing.
//!
//! Never on the way of a request: recording does not fail, lines that the writer cannot take are dropped and counted.

pub mod access;
pub mod cache_fleet;
pub mod cache_stats;
pub mod families;
pub mod instance;
pub mod labels;
pub mod log;
pub mod metrics;
pub mod readings;
pub mod rfc3339;

mod breakdown;

pub use access::{AccessRecord, access};
pub use cache_fleet::CacheShare;
pub use cache_stats::{CacheReport, CacheStats, CacheStatsBy};
pub use instance::InstanceReport;
pub use labels::{CacheResult, FlightResult, LimitDecision, ReloadResult, RollupRun, StoreName, Tier};
pub use log::{LogFormat, Logging, install};
pub use metrics::{Held, METRICS_TYPE, Metrics, MetricsFault, RequestRecord};
pub use readings::Reading;
