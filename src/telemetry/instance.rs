//! How an instance does, in the shape of `GET /api/v1/stats`: read from the counters that Prometheus reads, so that the two
//! never differ. Whoever asks several instances adds them up: all counts are since the start, all buckets cumulative.

use crate::telemetry::cache_stats::CacheReport;
use crate::telemetry::families::{Families, REQUEST_SECONDS};
use crate::telemetry::labels::StoreName;
use crate::telemetry::readings::Reading;
use prometheus::core::Collector;
use prometheus::proto::Metric;
use serde::Serialize;
use std::collections::BTreeMap;

/// The reasons under which requests are counted that a limit refused (`proxy::refusal` names them so).
const OVER_LIMIT: [&str; 2] = ["limit", "in-flight"];

/// Classes of status that are always told.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The counters of an instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceReport {
    /// Finished requests.
    pub requests: RequestCounts,
    /// The times that they took.
    pub latency: Latency,
    /// What the cache did.
    pub cache: CacheCounts,
    /// Where counts and stored responses are.
    pub store: StoreState,
    /// When counting began, in Unix seconds.
    #[serde(skip)]
    pub since_s: u64,
}

/// Requests since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestCounts {
    /// All that have ended.
    pub total: u64,
    /// The same by class of status.
    pub by_class: BTreeMap<&'static str, u64>,
    /// Those that a limit refused, whatever the status of its answer.
    pub rate_limited: u64,
    /// Those under way now.
    pub in_flight: u64,
}

/// From the end of the head to the last byte of the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Requests that took at most so long, by bound.
    pub buckets: Vec<Bucket>,
    /// All times together, in seconds.
    pub sum_seconds: f64,
    /// Requests.
    pub count: u64,
}

/// One bound of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bucket {
    /// Upper bound in seconds.
    pub le: f64,
    /// Requests that took at most that.
    pub count: u64,
}

/// Look-ups of the cache since the start; bypasses are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheCounts {
    /// Answers from the cache.
    pub hits: u64,
    /// Answers from the upstream.
    pub misses: u64,
    /// Both.
    pub total: u64,
    /// Hits of the total, 0 to 1; `None` where nothing was asked.
    pub hit_rate: Option<f64>,
}

/// Where counts and stored responses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoreState {
    /// `memory` or `redis`.
    pub kind: &'static str,
    /// Do all stores answer? The embedded one always does.
    pub connected: bool,
}

impl InstanceReport {
    /// The counters as they are; `readings` say how the stores stand.
    pub(super) fn of(families: &Families, cache: &CacheReport, readings: &[Reading]) -> Self {
        Self {
            requests: requests(families),
            latency: latency(&samples(&families.request_duration)),
            cache: CacheCounts {
                hits: cache.cache_hits,
                misses: cache.cache_misses,
                total: cache.total_requests,
                hit_rate: share(cache.cache_hits, cache.total_requests),
            },
            store: store(readings),
            since_s: cache.since_s,
        }
    }
}

/// A part of a whole, 0 to 1; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53 for the next ages")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn samples(family: &impl Collector) -> Vec<Metric> {
    family.collect().iter().flat_map(|family| family.get_metric().to_vec()).collect()
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value())
}

/// Counters are whole numbers behind the common type of all samples.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, exact below 2^53")]
fn count(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

fn requests(families: &Families) -> RequestCounts {
    let mut by_class: BTreeMap<&'static str, u64> = CLASSES.iter().map(|class| (*class, 0)).collect();
    let mut total = 0;
    for metric in samples(&families.requests) {
        let begin = label(&metric, "status").chars().next();
        let known = CLASSES.iter().find(|class| class.chars().next() == begin).copied();
        *by_class.entry(known.unwrap_or("other")).or_default() += count(&metric);
        total += count(&metric);
    }
    let refusals = samples(&families.refusals);
    let over = refusals.iter().filter(|metric| OVER_LIMIT.contains(&label(metric, "reason")));
    let in_flight = u64::try_from(families.requests_in_flight.get()).unwrap_or(0);
    RequestCounts { total, by_class, rate_limited: over.map(count).sum(), in_flight }
}

/// The sum over all routes. A route has a histogram from its first request on; the bounds are told before that too.
fn latency(routes: &[Metric]) -> Latency {
    let buckets = REQUEST_SECONDS.iter().map(|le| Bucket { le: *le, count: 0 }).collect();
    let mut all = Latency { buckets, sum_seconds: 0.0, count: 0 };
    for metric in routes {
        let histogram = metric.get_histogram();
        all.sum_seconds += histogram.get_sample_sum();
        all.count += histogram.get_sample_count();
        for (sum, bucket) in all.buckets.iter_mut().zip(histogram.get_bucket()) {
            sum.count += bucket.cumulative_count();
        }
    }
    all
}

fn store(readings: &[Reading]) -> StoreState {
    let mut state = StoreState { kind: StoreName::Memory.as_str(), connected: true };
    for reading in readings {
        if let Reading::StoreUp { store, up } = reading {
            state.connected &= *up;
            if *store != StoreName::Memory {
                state.kind = StoreName::Redis.as_str();
            }
        }
    }
    state
}
