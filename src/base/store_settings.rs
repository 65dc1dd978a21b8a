//! What the configuration says about the stores.

use crate::base::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this process.
    Memory,
    /// A Redis URL (`redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://` …); it may carry a password.
    Redis(Secret),
}

/// The stores' settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Where counts are kept.
    pub url: StoreUrl,
    /// Where stored responses are kept; `None`: with the counts.
    pub cache_url: Option<StoreUrl>,
    /// Longest wait for one call.
    pub timeout: Duration,
    /// Bytes for stored responses in this process.
    pub memory_cache_bytes: u64,
    /// Bytes for counts in this process.
    pub memory_limits_bytes: u64,
    /// Denials of a shared store that are remembered here.
    pub deny_cache_entries: usize,
    /// The longest time that one is remembered; zero: none is.
    pub deny_cache_life: Duration,
    /// Where counts of this process are kept from one run to the next; `None`: they end with it.
    pub memory_snapshot: Option<PathBuf>,
    /// In front of every key.
    pub prefix: String,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: StoreUrl::Memory,
            cache_url: None,
            timeout: Duration::from_millis(50),
            memory_cache_bytes: 256 << 20,
            memory_limits_bytes: 128 << 20,
            deny_cache_entries: 100_000,
            deny_cache_life: Duration::from_secs(60),
            memory_snapshot: None,
            prefix: "tg:".to_owned(),
        }
    }
}
