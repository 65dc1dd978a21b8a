//! Every metric family, once: name, unit, labels, help. Labels come from closed sets (names in the configuration,
//! outcomes); never an identity, a key or a path.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::time::Duration;

/// Upper bounds of request and upstream durations, seconds.
const REQUEST_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of limit decisions and store calls, seconds.
const STORE_BUCKETS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];

/// What became of one policy's charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    /// Admitted by the store.
    Allow,
    /// Refused by the store.
    Deny,
    /// Would have been refused, but the policy only watches.
    ShadowDeny,
    /// Admitted by this instance alone while the store is away.
    LocalAllow,
    /// Refused by this instance alone while the store is away.
    LocalDeny,
    /// Passed uncounted: the store is away and the policy says `allow`.
    Degraded,
    /// Refused with 503: the store is away and the policy says `deny`.
    Unavailable,
}

impl LimitDecision {
    fn label(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::ShadowDeny => "shadow_deny",
            Self::LocalAllow => "local_allow",
            Self::LocalDeny => "local_deny",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How the cache took part in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered from a fresh entry.
    Hit,
    /// Fetched.
    Miss,
    /// Answered from a stale entry.
    Stale,
    /// Answered from an entry that the origin confirmed.
    Revalidated,
    /// Not looked up.
    Bypass,
}

impl CacheResult {
    fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Bypass => "bypass",
        }
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $field:ident: $kind:ident($name:literal, $help:literal $(, labels $labels:expr)? $(, buckets $buckets:expr)?);)*) => {
        /// All families and the registry that renders them.
        pub struct Metrics {
            registry: Registry,
            $($(#[$doc])* $field: $kind,)*
        }

        impl Metrics {
            /// Registers every family.
            ///
            /// # Errors
            /// Only when two families collide, which a test excludes.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let $field = <$kind as Family>::make($name, $help, &joined::<&str>(&[$($labels,)?]), &joined::<f64>(&[$($buckets,)?]))?;
                    registry.register(Box::new($field.clone()))?;
                )*
                registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
                Ok(Self { registry, $($field,)* })
            }

            /// Name and help of every family of ours, in order.
            #[must_use]
            pub fn reference() -> &'static [(&'static str, &'static str)] {
                &[$(($name, $help),)*]
            }
        }
    };
}

/// The one list of `lists`, or none.
fn joined<T: Copy>(lists: &[&[T]]) -> Vec<T> {
    lists.concat()
}

/// Makes one family from its description.
trait Family: Collector + Sized {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self>;
}

impl Family for IntCounter {
    fn make(name: &str, help: &str, _labels: &[&str], _buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Family for IntCounterVec {
    fn make(name: &str, help: &str, labels: &[&str], _buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Family for IntGauge {
    fn make(name: &str, help: &str, _labels: &[&str], _buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Family for IntGaugeVec {
    fn make(name: &str, help: &str, labels: &[&str], _buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Family for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self> {
        Self::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
    }
}

families! {
    requests: IntCounterVec("tidegate_requests_total", "Requests answered, by route, method and status; status 0 means that the client left before an answer.", labels &["route", "method", "status"]);
    request_duration: HistogramVec("tidegate_request_duration_seconds", "Time from a request's head to the end of its answer.", labels &["route"], buckets REQUEST_BUCKETS);
    upstream_duration: HistogramVec("tidegate_upstream_duration_seconds", "Time from the first attempt at an upstream to the end of its answer.", labels &["upstream"], buckets REQUEST_BUCKETS);
    upstream_attempts: IntCounterVec("tidegate_upstream_requests_total", "Requests sent to an upstream, further attempts included.", labels &["upstream"]);
    limit_decisions: IntCounterVec("tidegate_limit_decisions_total", "Decisions of each policy: allow, deny, shadow_deny, local_allow, local_deny, degraded, unavailable.", labels &["policy", "decision"]);
    limit_duration: HistogramVec("tidegate_limit_decision_duration_seconds", "Time of one decision over all policies of a request.", labels &["store"], buckets STORE_BUCKETS);
    limit_keys: IntGauge("tidegate_limit_memory_keys", "Identities whose counts this process keeps.");
    limit_bytes: IntGauge("tidegate_limit_memory_bytes", "Memory of the counts in this process, by estimate.");
    limit_evictions: IntCounter("tidegate_limit_memory_evictions_total", "Counts that left memory although they still mattered; above 0 means that store.memory.limits is too small.");
    cache_requests: IntCounterVec("tidegate_cache_requests_total", "Requests on cached routes: hit, miss, stale, revalidated, bypass.", labels &["namespace", "result"]);
    cache_entries: IntGaugeVec("tidegate_cache_entries", "Stored responses.", labels &["tier"]);
    cache_bytes: IntGaugeVec("tidegate_cache_bytes", "Bytes of stored responses.", labels &["tier"]);
    cache_evictions: IntCounterVec("tidegate_cache_evictions_total", "Stored responses that left for want of room.", labels &["tier"]);
    cache_coalesced: IntCounter("tidegate_cache_coalesced_total", "Requests that waited for another's fetch of the same entry.");
    store_up: IntGaugeVec("tidegate_store_up", "1 while the store answers.", labels &["store"]);
    store_errors: IntCounterVec("tidegate_store_errors_total", "Store calls that failed: timeout, away, refused, malformed, dropped.", labels &["store", "kind"]);
    store_duration: HistogramVec("tidegate_store_duration_seconds", "Time of one store call.", labels &["store", "operation"], buckets STORE_BUCKETS);
    upstream_healthy: IntGaugeVec("tidegate_upstream_healthy", "1 while the active check of a server succeeds.", labels &["upstream", "server"]);
    breaker_open: IntGaugeVec("tidegate_breaker_open", "1 while a server of the upstream is not asked because it keeps failing.", labels &["upstream"]);
    connections: IntGauge("tidegate_connections", "Client connections.");
    in_flight: IntGauge("tidegate_requests_in_flight", "Requests under way.");
    identity_rejections: IntCounterVec("tidegate_identity_rejections_total", "Credentials that were not accepted, by reason.", labels &["reason"]);
    panics: IntCounter("tidegate_panics_total", "Panics that were caught; each is a bug.");
    reload_success: IntGauge("tidegate_config_last_reload_success", "1 when the last configuration was accepted.");
    reload_timestamp: IntGauge("tidegate_config_last_reload_timestamp_seconds", "When a configuration was last accepted.");
    reloads: IntCounterVec("tidegate_config_reloads_total", "Attempts to load a configuration: success, failure, unchanged.", labels &["result"]);
    build_info: IntGaugeVec("tidegate_build_info", "1; the labels name the build.", labels &["version"]);
}

impl Metrics {
    /// All families in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let families: Vec<MetricFamily> = self.registry.gather();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics not rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// A request's head was read.
    pub fn request_began(&self) {
        self.in_flight.inc();
    }

    /// A request that began has ended.
    pub fn request_ended(&self) {
        self.in_flight.dec();
    }

    /// A request was answered. Methods beyond the common ones count as `other`: clients may invent them.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => method,
            _ => "other",
        };
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.request_duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// An attempt was sent to an upstream.
    pub fn upstream_request(&self, upstream: &str) {
        self.upstream_attempts.with_label_values(&[upstream]).inc();
    }

    /// An upstream's part of a request has ended.
    pub fn upstream(&self, upstream: &str, took: Duration) {
        self.upstream_duration.with_label_values(&[upstream]).observe(took.as_secs_f64());
    }

    /// One policy decided.
    pub fn limit_decision(&self, policy: &str, decision: LimitDecision) {
        self.limit_decisions.with_label_values(&[policy, decision.label()]).inc();
    }

    /// All policies of a request were decided by `store`.
    pub fn limit_decided(&self, store: &str, took: Duration) {
        self.limit_duration.with_label_values(&[store]).observe(took.as_secs_f64());
    }

    /// The embedded counts: keys, bytes, and how many had to leave.
    pub fn limit_memory(&self, keys: usize, bytes: usize, evicted: u64) {
        self.limit_keys.set(gauge(keys as u64));
        self.limit_bytes.set(gauge(bytes as u64));
        self.limit_evictions.inc_by(evicted.saturating_sub(self.limit_evictions.get()));
    }

    /// A request on a cached route was answered.
    pub fn cache_request(&self, namespace: &str, result: CacheResult) {
        self.cache_requests.with_label_values(&[namespace, result.label()]).inc();
    }

    /// What a tier of the cache holds.
    pub fn cache_tier(&self, tier: &str, entries: u64, bytes: u64, evictions: u64) {
        self.cache_entries.with_label_values(&[tier]).set(gauge(entries));
        self.cache_bytes.with_label_values(&[tier]).set(gauge(bytes));
        let counter = self.cache_evictions.with_label_values(&[tier]);
        counter.inc_by(evictions.saturating_sub(counter.get()));
    }

    /// A request waited for another's fetch.
    pub fn coalesced(&self) {
        self.cache_coalesced.inc();
    }

    /// Does the store answer?
    pub fn store_up(&self, store: &str, is_up: bool) {
        self.store_up.with_label_values(&[store]).set(i64::from(is_up));
    }

    /// A store call failed.
    pub fn store_error(&self, store: &str, kind: &str) {
        self.store_errors.with_label_values(&[store, kind]).inc();
    }

    /// A store call ended.
    pub fn store_call(&self, store: &str, operation: &str, took: Duration) {
        self.store_duration.with_label_values(&[store, operation]).observe(took.as_secs_f64());
    }

    /// A server's active check.
    pub fn upstream_healthy(&self, upstream: &str, server: &str, is_healthy: bool) {
        self.upstream_healthy.with_label_values(&[upstream, server]).set(i64::from(is_healthy));
    }

    /// Is any breaker of the upstream open?
    pub fn breaker_open(&self, upstream: &str, is_open: bool) {
        self.breaker_open.with_label_values(&[upstream]).set(i64::from(is_open));
    }

    /// How many client connections there are.
    pub fn connections(&self, live: usize) {
        self.connections.set(gauge(live as u64));
    }

    /// A credential was not accepted.
    pub fn identity_rejected(&self, reason: &str) {
        self.identity_rejections.with_label_values(&[reason]).inc();
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// A configuration was accepted.
    pub fn config_accepted(&self, wall_s: u64) {
        self.reload_success.set(1);
        self.reload_timestamp.set(gauge(wall_s));
        self.reloads.with_label_values(&["success"]).inc();
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// A configuration was refused; the one before stays.
    pub fn config_refused(&self) {
        self.reload_success.set(0);
        self.reloads.with_label_values(&["failure"]).inc();
    }

    /// A reload found the configuration unchanged.
    pub fn config_unchanged(&self) {
        self.reloads.with_label_values(&["unchanged"]).inc();
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Keeps `Desc` in the public surface of [`Collector`] without a second import elsewhere.
#[cfg(test)]
fn names(metrics: &Metrics) -> Vec<String> {
    let descs = metrics.requests.desc();
    descs.into_iter().map(|desc| desc.fq_name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_name_of_ours_and_a_help_text() {
        let metrics = Metrics::new().expect("no two families collide");
        assert_eq!(names(&metrics), ["tidegate_requests_total"]);
        for (name, help) in Metrics::reference() {
            assert!(name.starts_with("tidegate_") && help.ends_with('.'), "{name}: {help}");
        }
    }

    #[test]
    fn invented_methods_make_no_new_series() {
        let metrics = Metrics::new().expect("valid");
        metrics.request("GET /", "BREW", 405, Duration::from_millis(3));
        let text = metrics.render();
        assert!(
            text.contains(r#"tidegate_requests_total{method="other",route="GET /",status="405"} 1"#),
            "{text}"
        );
        assert!(text.contains("process_open_fds"), "{text}");
    }
}
