//! What an instance says on `GET /api/v1/stats`, as far as it is needed. Fields that are not known here may come.

use serde::Deserialize;

/// The counters of an instance, since its start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct InstanceStats {
    /// When that was: another start is another life.
    pub started_at: String,
    pub uptime_seconds: u64,
    pub draining: bool,
    pub requests: RequestCounts,
    pub latency: Latency,
    pub cache: CacheCounts,
    pub store: StoreState,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct RequestCounts {
    pub total: u64,
    pub rate_limited: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Latency {
    /// Cumulative.
    pub buckets: Vec<Bucket>,
    pub count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Bucket {
    /// Upper bound in seconds.
    pub le: f64,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct CacheCounts {
    pub hits: u64,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct StoreState {
    pub connected: bool,
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;

    /// An instance that runs for `uptime_seconds` and has served `total` requests: half within 10 ms, all within 100 ms;
    /// a tenth of them refused, every fourth look-up of the cache a hit.
    pub(in crate::companion::gateways) fn stats(uptime_seconds: u64, total: u64) -> InstanceStats {
        InstanceStats {
            started_at: "2026-06-15T00:00:00Z".to_owned(),
            uptime_seconds,
            draining: false,
            requests: RequestCounts { total, rate_limited: total / 10 },
            latency: Latency {
                buckets: vec![Bucket { le: 0.01, count: total / 2 }, Bucket { le: 0.1, count: total }],
                count: total,
            },
            cache: CacheCounts { hits: total / 4, total },
            store: StoreState { connected: true },
        }
    }
}
