//! Every metric family once: name, labels, buckets, help. The registry and `docs/metrics.md` are made from this list.
//!
//! Label values come from closed sets (names in the configuration, outcomes); never an identity, a key or a path.

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Upper bounds of request and upstream durations, in seconds. The lower end is fine because the time that Tidegate
/// itself adds is below a millisecond.
pub(super) const REQUEST_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of limit decisions and store calls, in seconds.
const STORE_SECONDS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];

/// What is known of a family before anything is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// Its name; ends in its unit, and in `_total` when it only grows.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its label names, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram.
    pub buckets: &'static [f64],
    /// One sentence for whoever reads a dashboard.
    pub help: &'static str,
}

/// Makes a metric from its family.
trait Make: Collector + Clone + 'static {
    const KIND: &'static str;

    fn make(family: &Family) -> prometheus::Result<Self>;
}

impl Make for IntCounter {
    const KIND: &'static str = "counter";

    fn make(family: &Family) -> prometheus::Result<Self> {
        Self::new(family.name, family.help)
    }
}

impl Make for IntCounterVec {
    const KIND: &'static str = "counter";

    fn make(family: &Family) -> prometheus::Result<Self> {
        Self::new(Opts::new(family.name, family.help), family.labels)
    }
}

impl Make for IntGauge {
    const KIND: &'static str = "gauge";

    fn make(family: &Family) -> prometheus::Result<Self> {
        Self::new(family.name, family.help)
    }
}

impl Make for IntGaugeVec {
    const KIND: &'static str = "gauge";

    fn make(family: &Family) -> prometheus::Result<Self> {
        Self::new(Opts::new(family.name, family.help), family.labels)
    }
}

impl Make for HistogramVec {
    const KIND: &'static str = "histogram";

    fn make(family: &Family) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(family.name, family.help).buckets(family.buckets.to_vec());
        Self::new(options, family.labels)
    }
}

macro_rules! or_empty {
    () => {
        &[]
    };
    ($list:expr) => {
        $list
    };
}

macro_rules! families {
    ($($field:ident: $kind:ident $name:literal $([$($label:literal),+])? $(in $buckets:ident)? => $help:literal;)+) => {
        /// One metric a family; clones count together.
        #[derive(Debug, Clone)]
        pub(super) struct Families {
            $(pub(super) $field: $kind,)+
        }

        impl Families {
            /// Makes all and puts them into the registry.
            ///
            /// # Errors
            /// When two collide or Prometheus refuses a name; only a bug in the list does that.
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                let mut list = ALL.iter();
                let mut next = || list.next().ok_or(prometheus::Error::InconsistentCardinality { expect: 1, got: 0 });
                Ok(Self { $($field: add::<$kind>(registry, next()?)?,)+ })
            }
        }

        /// All families of ours, in the order of `docs/metrics.md`.
        pub const ALL: &[Family] = &[$(Family {
            name: $name,
            kind: <$kind as Make>::KIND,
            labels: or_empty!($(&[$($label),+])?),
            buckets: or_empty!($($buckets)?),
            help: $help,
        },)+];
    };
}

fn add<M: Make>(registry: &Registry, family: &Family) -> prometheus::Result<M> {
    let metric = M::make(family)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

families! {
    requests: IntCounterVec "tidegate_requests_total" ["route", "method", "status"]
        => "Finished requests by route as configured, method and response status.";
    request_duration: HistogramVec "tidegate_request_duration_seconds" ["route"] in REQUEST_SECONDS
        => "Time from the end of the request head to the last byte of the response.";
    response_bytes: IntCounterVec "tidegate_response_bytes_total" ["route"]
        => "Bytes of response bodies sent to clients.";
    refusals: IntCounterVec "tidegate_refusals_total" ["reason"]
        => "Requests that Tidegate answered with an error of its own, by reason.";
    requests_in_flight: IntGauge "tidegate_requests_in_flight"
        => "Requests being served now.";
    connections: IntGauge "tidegate_connections"
        => "Client connections open now.";
    connections_refused: IntCounterVec "tidegate_connections_refused_total" ["reason"]
        => "Client connections that were closed before a request: limit, proxy-protocol, tls.";
    accept_errors: IntCounterVec "tidegate_accept_errors_total" ["kind"]
        => "Connections that could not be accepted: connection (it failed alone), descriptors or memory (none was left; accepting pauses), other.";
    upstream_duration: HistogramVec "tidegate_upstream_duration_seconds" ["upstream"] in REQUEST_SECONDS
        => "Time from choosing a server to the head of the response; attempts without one are not in it.";
    upstream_errors: IntCounterVec "tidegate_upstream_errors_total" ["upstream", "kind"]
        => "Attempts on an upstream that failed: connect, tls, timeout, closed, protocol, status (502 to 504).";
    upstream_retries: IntCounterVec "tidegate_upstream_retries_total" ["upstream"]
        => "Attempts on an upstream beyond the first of a request.";
    upstream_healthy: IntGaugeVec "tidegate_upstream_healthy" ["upstream", "server"]
        => "1 when the server takes requests, 0 when its health check or breaker keeps it out.";
    breaker_open: IntGaugeVec "tidegate_breaker_open" ["upstream"]
        => "Servers of the upstream whose breaker is open.";
    limit_decisions: IntCounterVec "tidegate_limit_decisions_total" ["policy", "decision"]
        => "Decisions of each policy: allow, deny, shadow_deny, bypass, local_allow, local_deny, degraded, unavailable.";
    limit_decision_duration: HistogramVec "tidegate_limit_decision_duration_seconds" ["store"] in STORE_SECONDS
        => "Time of one decision over all policies of a request, by the store that decided.";
    limit_deny_cache_hits: IntCounter "tidegate_limit_deny_cache_hits_total"
        => "Requests refused from the memory of an earlier refusal, without asking the store.";
    limit_deny_cache_entries: IntGauge "tidegate_limit_deny_cache_entries"
        => "Refusals of the shared store that are remembered.";
    limit_feed_up: IntGauge "tidegate_limit_feed_up"
        => "1 while resets, refunds and overrides of other instances are heard at once.";
    limit_instances: IntGauge "tidegate_limit_instances"
        => "Instances that share the store of counts, as far as this one knows; 1 without a shared store.";
    limit_owed_logs: IntGauge "tidegate_limit_owed_logs"
        => "Logs to which admissions of an outage are owed; they are told once the store is back.";
    limit_owed_dropped: IntCounter "tidegate_limit_owed_dropped_total"
        => "Admissions of an outage that will not be told to the store, for lack of room.";
    limit_refunds: IntCounterVec "tidegate_limit_refunds_total" ["policy"]
        => "Requests whose units were given back because of their answer.";
    limit_memory_keys: IntGauge "tidegate_limit_memory_keys"
        => "Identities whose counts this process keeps.";
    limit_memory_bytes: IntGauge "tidegate_limit_memory_bytes"
        => "Memory of the counts in this process, by estimate.";
    limit_memory_evictions: IntCounterVec "tidegate_limit_memory_evictions_total" ["reason"]
        => "Counts that left memory: expired (no window counted them any more), full (they still mattered; above 0 means that store.memory.limits is too small).";
    cache_requests: IntCounterVec "tidegate_cache_requests_total" ["namespace", "result"]
        => "Requests of cached routes: hit, miss, stale, revalidated, bypass.";
    cache_stored: IntCounterVec "tidegate_cache_stored_total" ["namespace"]
        => "Responses put into the cache.";
    cache_errors: IntCounterVec "tidegate_cache_errors_total" ["namespace"]
        => "Look-ups of the cache that failed; the request went on without it.";
    cache_coalesced: IntCounter "tidegate_cache_coalesced_total"
        => "Requests that waited for another request's answer instead of asking the upstream.";
    cache_flights: IntCounterVec "tidegate_cache_flights_total" ["result"]
        => "Requests that missed: led (asked the upstream for all who want the same), waited (for another's answer, here or in another instance), timed_out (waited too long and asked), uncacheable (asked: such answers are not storable), crowded (asked: too many wait already).";
    cache_purges: IntCounterVec "tidegate_cache_purges_total" ["source"]
        => "Purges by what asked for them: write (a successful unsafe request), api, webhook, method (PURGE).";
    cache_warmed: IntCounterVec "tidegate_cache_warmed_total" ["result"]
        => "Requests that Tidegate made to fill its cache: stored, fresh (left alone), unstored, failed; dropped (refreshes after writes that were not made).";
    cache_ledger: IntGaugeVec "tidegate_cache_ledger" ["kind"]
        => "What the ledger of purges holds: name, and pattern (compared one by one at each look-up, 256 at most).";
    cache_entries: IntGaugeVec "tidegate_cache_entries" ["tier"]
        => "Stored responses by tier.";
    cache_bytes: IntGaugeVec "tidegate_cache_bytes" ["tier"]
        => "Bytes of stored responses by tier.";
    cache_evictions: IntCounterVec "tidegate_cache_evictions_total" ["tier"]
        => "Stored responses that left before their time to make room.";
    store_up: IntGaugeVec "tidegate_store_up" ["store"]
        => "1 when the store answers, 0 when its breaker is open; the embedded store is always 1.";
    store_errors: IntCounterVec "tidegate_store_errors_total" ["store", "kind"]
        => "Store operations that failed, by kind of failure.";
    store_duration: HistogramVec "tidegate_store_duration_seconds" ["store", "operation"] in STORE_SECONDS
        => "Time of store operations, failed ones included.";
    identity_rejections: IntCounterVec "tidegate_identity_rejections_total" ["reason"]
        => "Tokens that were not believed, by reason.";
    config_last_reload_success: IntGauge "tidegate_config_last_reload_success"
        => "1 when the last reload succeeded, 0 when it was refused and the old configuration is still in use.";
    config_last_reload_timestamp: IntGauge "tidegate_config_last_reload_timestamp_seconds"
        => "Unix time at which the configuration in use was loaded.";
    config_reloads: IntCounterVec "tidegate_config_reloads_total" ["result"]
        => "Attempts to reload the configuration: success, failure.";
    certificate_expiry: IntGaugeVec "tidegate_tls_certificate_expiry_timestamp_seconds" ["listener", "name"]
        => "Unix time at which a certificate of a listener expires, by its first host name; of several, the first to expire.";
    rollup_runs: IntCounterVec "tidegate_dashboard_rollup_runs_total" ["result"]
        => "Runs of the job that counts days for the dashboard: done, left (to another instance, which has the lease), failed.";
    rollup_days: IntCounter "tidegate_dashboard_rollup_days_total"
        => "Days that the job has counted, for all tenants each.";
    rollup_duration: HistogramVec "tidegate_dashboard_rollup_duration_seconds" ["result"] in REQUEST_SECONDS
        => "Time of runs of the job that were done or have failed.";
    rollup_leader: IntGauge "tidegate_dashboard_rollup_leader"
        => "1 while this instance is the one that counts days.";
    rollup_last_success: IntGauge "tidegate_dashboard_rollup_last_success_timestamp_seconds"
        => "Unix time of the last run of this instance that was done; 0 before the first.";
    dashboard_exports: IntCounterVec "tidegate_dashboard_exports_total" ["format", "outcome"]
        => "Attempts at exports of the dashboard: done, failed, cancelled, retried (the database was away; it is tried again), lost (another instance has taken it up), stopped (the service ended; it counts as no attempt).";
    dashboard_export_duration: HistogramVec "tidegate_dashboard_export_duration_seconds" ["format"] in REQUEST_SECONDS
        => "Time of exports that were done, from their begin to the file on the disk.";
    panics: IntCounter "tidegate_panics_total"
        => "Panics that were caught; each is a bug worth reporting.";
    log_lines_dropped: IntCounter "tidegate_log_lines_dropped_total"
        => "Log lines dropped because the writer was behind; requests never wait for the log.";
    build_info: IntGaugeVec "tidegate_build_info" ["version"]
        => "Always 1; the label says which build runs.";
}

const REFERENCE_HEAD: &str = "# Metrics

`GET /metrics` on the admin listener answers in Prometheus' text format. This page is made from
`src/telemetry/families.rs`; a test compares the two.

Label values come from the configuration (routes, policies, namespaces, upstreams) or from closed sets. A user, an API
key, a tenant, an address or a path never becomes a label. Counters begin at 0 with the process; a series appears with
its first event. `process_*` (CPU seconds, open files, memory, start time, threads) come on top from the operating
system.

| name | kind | labels | meaning |
|---|---|---|---|
";

/// `docs/metrics.md`, made from the list.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(REFERENCE_HEAD);
    for Family { name, kind, labels, help, .. } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        out.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    out.push_str("\nBuckets, in seconds:\n\n");
    for Family { name, buckets, .. } in ALL.iter().filter(|family| !family.buckets.is_empty()) {
        let bounds: Vec<String> = buckets.iter().map(f64::to_string).collect();
        out.push_str(&format!("- `{name}`: {}\n", bounds.join(", ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_reference_page_says_what_the_list_says() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        let is = std::fs::read_to_string(&page).unwrap_or_default();
        if is != reference() {
            let made = std::env::temp_dir().join("tidegate-metrics.md");
            std::fs::write(&made, reference()).expect("a temporary file");
            panic!("{} is out of date; what it should be is in {}", page.display(), made.display());
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        for Family { name, kind, labels, help, .. } in ALL {
            assert!(name.starts_with("tidegate_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
            assert!(*kind != "histogram" || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
            for identity in ["user", "tenant", "key", "ip", "path"] {
                assert!(!labels.contains(&identity), "{name} tells who asked");
            }
        }
    }
}
