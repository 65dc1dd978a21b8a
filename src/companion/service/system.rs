//! How the system does in front of which the dashboard stands: what its gateways say, never what was kept of it.

use crate::companion::service::ServiceState;
use serde::Serialize;

/// `data.system`. What nobody knows is null.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SystemHealth {
    status: &'static str,
    uptime_seconds: Option<u64>,
    uptime_ratio_24h: Option<f64>,
    cache_hit_rate: Option<f64>,
    requests_per_second: Option<f64>,
    response_time_ms: ResponseTimes,
    rate_limited_ratio: Option<f64>,
    source: &'static str,
    as_of: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct ResponseTimes {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// As of now.
pub(super) fn system(_state: &ServiceState) -> SystemHealth {
    SystemHealth {
        status: "unknown",
        uptime_seconds: None,
        uptime_ratio_24h: None,
        cache_hit_rate: None,
        requests_per_second: None,
        response_time_ms: ResponseTimes::default(),
        rate_limited_ratio: None,
        source: "none",
        as_of: None,
    }
}
