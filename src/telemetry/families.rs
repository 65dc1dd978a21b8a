//! Every metric family once: name, kind, labels, help. The registry and `docs/metrics.md` are made from this table.

/// What kind of series a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; starts at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count; see [`SECONDS`].
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its label names, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One sentence for whoever reads a dashboard.
    pub help: &'static str,
}

impl Family {
    const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind, labels, help }
    }
}

/// Upper bounds of every latency histogram, in seconds. The lower end is fine because the time that Tidegate itself
/// adds is below a millisecond.
pub const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Finished requests.
pub const REQUESTS: Family = Family::new(
    "tidegate_requests_total",
    Kind::Counter,
    &["route", "method", "status"],
    "Finished requests by route as configured, method and response status.",
);
/// Time from the request head to the last byte of the response.
pub const REQUEST_DURATION: Family = Family::new(
    "tidegate_request_duration_seconds",
    Kind::Histogram,
    &["route"],
    "Time from the end of the request head to the last byte of the response.",
);
/// Bytes of response bodies.
pub const RESPONSE_BYTES: Family = Family::new(
    "tidegate_response_bytes_total",
    Kind::Counter,
    &["route"],
    "Bytes of response bodies sent to clients.",
);
/// Responses made by Tidegate because it refused.
pub const REFUSALS: Family = Family::new(
    "tidegate_refusals_total",
    Kind::Counter,
    &["reason"],
    "Requests that Tidegate answered with an error of its own, by reason.",
);
/// Requests now between head and last byte.
pub const REQUESTS_IN_FLIGHT: Family =
    Family::new("tidegate_requests_in_flight", Kind::Gauge, &[], "Requests being served now.");
/// Open client connections.
pub const CONNECTIONS: Family =
    Family::new("tidegate_connections", Kind::Gauge, &[], "Client connections open now.");
/// Time of the upstream's answer.
pub const UPSTREAM_DURATION: Family = Family::new(
    "tidegate_upstream_duration_seconds",
    Kind::Histogram,
    &["upstream"],
    "Time from choosing a server to the head of its response.",
);
/// Failed attempts on an upstream.
pub const UPSTREAM_ERRORS: Family = Family::new(
    "tidegate_upstream_errors_total",
    Kind::Counter,
    &["upstream", "kind"],
    "Attempts on an upstream that failed, by kind of failure.",
);
/// Repeated attempts on an upstream.
pub const UPSTREAM_RETRIES: Family = Family::new(
    "tidegate_upstream_retries_total",
    Kind::Counter,
    &["upstream"],
    "Attempts on an upstream beyond the first of a request.",
);
/// Health of a server.
pub const UPSTREAM_HEALTHY: Family = Family::new(
    "tidegate_upstream_healthy",
    Kind::Gauge,
    &["upstream", "server"],
    "1 when the server takes requests, 0 when its health check or breaker keeps it out.",
);
/// Breakers that keep requests away.
pub const BREAKER_OPEN: Family = Family::new(
    "tidegate_breaker_open",
    Kind::Gauge,
    &["upstream"],
    "Servers of the upstream whose breaker is open.",
);
/// Decisions of policies.
pub const LIMIT_DECISIONS: Family = Family::new(
    "tidegate_limit_decisions_total",
    Kind::Counter,
    &["policy", "decision"],
    "Decisions of each policy: allow, deny, shadow_deny, local_allow, local_deny, degraded, unavailable.",
);
/// Time of one decision over all policies of a request.
pub const LIMIT_DECISION_DURATION: Family = Family::new(
    "tidegate_limit_decision_duration_seconds",
    Kind::Histogram,
    &["store"],
    "Time of one decision over all policies of a request, by the store that decided.",
);
/// Refusals without asking the store.
pub const LIMIT_DENY_CACHE_HITS: Family = Family::new(
    "tidegate_limit_deny_cache_hits_total",
    Kind::Counter,
    &[],
    "Requests refused from the memory of an earlier refusal, without asking the store.",
);
/// Requests of cached routes.
pub const CACHE_REQUESTS: Family = Family::new(
    "tidegate_cache_requests_total",
    Kind::Counter,
    &["namespace", "result"],
    "Requests of cached routes: hit, miss, stale, revalidated, bypass.",
);
/// Responses put into the cache.
pub const CACHE_STORED: Family = Family::new(
    "tidegate_cache_stored_total",
    Kind::Counter,
    &["namespace"],
    "Responses put into the cache.",
);
/// Cache operations that failed.
pub const CACHE_ERRORS: Family = Family::new(
    "tidegate_cache_errors_total",
    Kind::Counter,
    &["namespace"],
    "Look-ups and writes of the cache that failed; the request went on without it.",
);
/// Requests that waited for another's answer.
pub const CACHE_COALESCED: Family = Family::new(
    "tidegate_cache_coalesced_total",
    Kind::Counter,
    &[],
    "Requests that waited for another request's answer instead of asking the upstream.",
);
/// Stored responses.
pub const CACHE_ENTRIES: Family =
    Family::new("tidegate_cache_entries", Kind::Gauge, &["tier"], "Stored responses by tier.");
/// Bytes of stored responses.
pub const CACHE_BYTES: Family =
    Family::new("tidegate_cache_bytes", Kind::Gauge, &["tier"], "Bytes of stored responses by tier.");
/// Stored responses that had to leave early.
pub const CACHE_EVICTIONS: Family = Family::new(
    "tidegate_cache_evictions_total",
    Kind::Counter,
    &["tier"],
    "Stored responses that left before their time to make room.",
);
/// Reachable stores.
pub const STORE_UP: Family = Family::new(
    "tidegate_store_up",
    Kind::Gauge,
    &["store"],
    "1 when the store answers, 0 when its breaker is open; the embedded store is always 1.",
);
/// Failed store operations.
pub const STORE_ERRORS: Family = Family::new(
    "tidegate_store_errors_total",
    Kind::Counter,
    &["store", "kind"],
    "Store operations that failed, by kind of failure.",
);
/// Time of store operations.
pub const STORE_DURATION: Family = Family::new(
    "tidegate_store_duration_seconds",
    Kind::Histogram,
    &["store", "operation"],
    "Time of store operations, failed ones included.",
);
/// Evidence of identity that was not believed.
pub const IDENTITY_REJECTIONS: Family = Family::new(
    "tidegate_identity_rejections_total",
    Kind::Counter,
    &["reason"],
    "Tokens, API keys and identity fields that were not believed, by reason.",
);
/// Outcome of the last reload.
pub const CONFIG_LAST_RELOAD_SUCCESS: Family = Family::new(
    "tidegate_config_last_reload_success",
    Kind::Gauge,
    &[],
    "1 when the last reload succeeded, 0 when it was refused and the old configuration is still in use.",
);
/// Time of the last good reload.
pub const CONFIG_LAST_RELOAD_TIMESTAMP: Family = Family::new(
    "tidegate_config_last_reload_timestamp_seconds",
    Kind::Gauge,
    &[],
    "Unix time at which the configuration in use was loaded.",
);
/// Reloads.
pub const CONFIG_RELOADS: Family = Family::new(
    "tidegate_config_reloads_total",
    Kind::Counter,
    &["result"],
    "Attempts to reload the configuration: success, failure.",
);
/// Panics.
pub const PANICS: Family = Family::new(
    "tidegate_panics_total",
    Kind::Counter,
    &[],
    "Panics that were caught; each is a bug worth reporting.",
);
/// Log lines that were dropped.
pub const LOG_LINES_DROPPED: Family = Family::new(
    "tidegate_log_lines_dropped_total",
    Kind::Counter,
    &[],
    "Log lines dropped because the writer was behind; requests never wait for the log.",
);
/// The build.
pub const BUILD_INFO: Family = Family::new(
    "tidegate_build_info",
    Kind::Gauge,
    &["version"],
    "Always 1; the label says which build runs.",
);

/// All families of ours, in the order of `docs/metrics.md`. `process_*` come on top from the operating system.
pub const ALL: &[Family] = &[
    REQUESTS,
    REQUEST_DURATION,
    RESPONSE_BYTES,
    REFUSALS,
    REQUESTS_IN_FLIGHT,
    CONNECTIONS,
    UPSTREAM_DURATION,
    UPSTREAM_ERRORS,
    UPSTREAM_RETRIES,
    UPSTREAM_HEALTHY,
    BREAKER_OPEN,
    LIMIT_DECISIONS,
    LIMIT_DECISION_DURATION,
    LIMIT_DENY_CACHE_HITS,
    CACHE_REQUESTS,
    CACHE_STORED,
    CACHE_ERRORS,
    CACHE_COALESCED,
    CACHE_ENTRIES,
    CACHE_BYTES,
    CACHE_EVICTIONS,
    STORE_UP,
    STORE_ERRORS,
    STORE_DURATION,
    IDENTITY_REJECTIONS,
    CONFIG_LAST_RELOAD_SUCCESS,
    CONFIG_LAST_RELOAD_TIMESTAMP,
    CONFIG_RELOADS,
    PANICS,
    LOG_LINES_DROPPED,
    BUILD_INFO,
];

/// `docs/metrics.md`, made from the table.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(REFERENCE_HEAD);
    for family in ALL {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let kind = family.kind.as_str();
        out.push_str(&format!("| `{}` | {kind} | {labels} | {} |\n", family.name, family.help));
    }
    let bounds: Vec<String> = SECONDS.iter().map(|bound| format!("{bound}")).collect();
    out.push_str(&format!("\nHistogram buckets, in seconds: {}.\n", bounds.join(", ")));
    out
}

const REFERENCE_HEAD: &str = "# Metrics

`GET /metrics` on the admin listener answers in Prometheus' text format. Made from `src/telemetry/families.rs`; a test
compares.

Label values come from the configuration (routes, policies, namespaces, upstreams) or from closed sets. A user, an API
key, a tenant, an address or a path never becomes a label. Counters begin at 0 with the process; a series appears with
its first event. `process_*` (CPU seconds, open files, memory, start time, threads) come on top from the operating
system.

| name | kind | labels | meaning |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_reference_page_says_what_the_table_says() {
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
        for family in ALL {
            assert!(family.name.starts_with("tidegate_"), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            if family.kind == Kind::Histogram {
                assert!(family.name.ends_with("_seconds"), "{}", family.name);
            }
            assert!(family.help.ends_with('.') && !family.help.contains('|'), "{}", family.name);
            for identity in ["user", "tenant", "key", "ip", "path"] {
                assert!(!family.labels.contains(&identity), "{} tells who asked", family.name);
            }
        }
    }
}
