//! Every metric in one struct with a registry of its own. Recording never fails, never blocks on anything but a
//! short read lock, and takes label values from the configuration or from closed sets only.

use crate::telemetry::cache_stats::{CacheEvent, CacheReport, CacheStats, CacheStatsBy};
use crate::telemetry::families::Families;
use crate::telemetry::instance::InstanceReport;
use crate::telemetry::labels::{
    CacheResult, FlightResult, LimitDecision, ReloadResult, RollupRun, StoreName, method_label, status_label,
};
use crate::telemetry::readings::{Reading, Sources};
use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};
use std::time::Duration;

/// The media type of [`Metrics::render`].
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The list of families is wrong: two of one name, or a name that Prometheus refuses. Only a bug does that.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be registered: {0}")]
pub struct MetricsFault(#[from] prometheus::Error);

/// What is counted about a finished request.
#[derive(Debug, Clone, Copy)]
pub struct RequestRecord<'a> {
    /// The route's name as configured; `none` when no route matched.
    pub route: &'a str,
    /// The request method.
    pub method: &'a http::Method,
    /// The response status; 499 is customary when the client left first.
    pub status: http::StatusCode,
    /// From the end of the request head to the last byte of the response.
    pub duration: Duration,
    /// Bytes of the response body.
    pub bytes: u64,
}

/// Adds one to a gauge for as long as it lives.
#[derive(Debug)]
pub struct Held(IntGauge);

impl Held {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sources: Sources,
    cache_stats: CacheStats,
    scrape: Mutex<()>,
    families: Families,
}

impl Metrics {
    /// All families at 0; `now_ms` is the wall time in Unix milliseconds.
    ///
    /// # Errors
    /// [`MetricsFault`] when the table of families is wrong.
    pub fn new(now_ms: u64) -> Result<Self, MetricsFault> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let (sources, cache_stats) = (Sources::default(), CacheStats::new(now_ms));
        Ok(Self { registry, sources, cache_stats, scrape: Mutex::new(()), families })
    }

    /// Adds somebody who is asked at scrape time, for the life of the process. A source that holds what holds these
    /// metrics should hold it weakly.
    pub fn add_source(&self, source: impl Fn(&mut Vec<Reading>) + Send + Sync + 'static) {
        self.sources.add(source);
    }

    /// A request is finished.
    pub fn request(&self, record: &RequestRecord<'_>) {
        let status = status_label(&record.status);
        self.families.requests.with_label_values(&[record.route, method_label(record.method), status]).inc();
        self.families
            .request_duration
            .with_label_values(&[record.route])
            .observe(record.duration.as_secs_f64());
        self.families.response_bytes.with_label_values(&[record.route]).inc_by(record.bytes);
    }

    /// A request was answered with an error of our own; `reason` is the last part of the problem's type.
    pub fn refusal(&self, reason: &'static str) {
        self.families.refusals.with_label_values(&[reason]).inc();
    }

    /// A request begins; it is in flight until the value is dropped.
    #[must_use]
    pub fn request_in_flight(&self) -> Held {
        Held::new(&self.families.requests_in_flight)
    }

    /// A connection begins; it is open until the value is dropped.
    #[must_use]
    pub fn connection(&self) -> Held {
        Held::new(&self.families.connections)
    }

    /// A client's connection was closed before it could carry a request (`limit`, `proxy-protocol`, `tls`).
    pub fn connection_refused(&self, reason: &'static str) {
        self.families.connections_refused.with_label_values(&[reason]).inc();
    }

    /// A connection could not be accepted (`connection`, `descriptors`, `memory`, `other`).
    pub fn accept_error(&self, kind: &'static str) {
        self.families.accept_errors.with_label_values(&[kind]).inc();
    }

    /// The head of an upstream's response came after `duration`.
    pub fn upstream_duration(&self, upstream: &str, duration: Duration) {
        self.families.upstream_duration.with_label_values(&[upstream]).observe(duration.as_secs_f64());
    }

    /// An attempt on an upstream failed (`connect`, `timeout`, `protocol`, …).
    pub fn upstream_error(&self, upstream: &str, kind: &'static str) {
        self.families.upstream_errors.with_label_values(&[upstream, kind]).inc();
    }

    /// A request is tried on an upstream once more.
    pub fn upstream_retry(&self, upstream: &str) {
        self.families.upstream_retries.with_label_values(&[upstream]).inc();
    }

    /// An attempt at an export of the dashboard has ended (`done`, `failed`, `cancelled`, `retried`, `lost`, `stopped`).
    pub fn export(&self, format: &'static str, outcome: &'static str, duration: Duration) {
        self.families.dashboard_exports.with_label_values(&[format, outcome]).inc();
        if outcome == "done" {
            let family = &self.families.dashboard_export_duration;
            family.with_label_values(&[format]).observe(duration.as_secs_f64());
        }
    }

    /// A policy decided.
    pub fn limit_decision(&self, policy: &str, decision: LimitDecision) {
        self.families.limit_decisions.with_label_values(&[policy, decision.as_str()]).inc();
    }

    /// All policies of a request were decided together by `store` in `duration`.
    pub fn limit_decision_duration(&self, store: StoreName, duration: Duration) {
        self.families
            .limit_decision_duration
            .with_label_values(&[store.as_str()])
            .observe(duration.as_secs_f64());
    }

    /// A request was refused from the memory of an earlier refusal.
    pub fn limit_deny_cache_hit(&self) {
        self.families.limit_deny_cache_hits.inc();
    }

    /// The answer to a request gave its units back under `policy`.
    pub fn limit_refund(&self, policy: &str) {
        self.families.limit_refunds.with_label_values(&[policy]).inc();
    }

    /// A request of a cached route ended; `tenant` is the verified one.
    pub fn cache_request(&self, namespace: &str, tenant: Option<&str>, result: CacheResult) {
        self.families.cache_requests.with_label_values(&[namespace, result.as_str()]).inc();
        self.cache_stats.count(namespace, tenant, CacheEvent::Answered(result));
    }

    /// A response was put into the cache.
    pub fn cache_stored(&self, namespace: &str, tenant: Option<&str>) {
        self.families.cache_stored.with_label_values(&[namespace]).inc();
        self.cache_stats.count(namespace, tenant, CacheEvent::Stored);
    }

    /// A look-up or write of the cache failed.
    pub fn cache_error(&self, namespace: &str, tenant: Option<&str>) {
        self.families.cache_errors.with_label_values(&[namespace]).inc();
        self.cache_stats.count(namespace, tenant, CacheEvent::Failed);
    }

    /// A request waited for another's answer instead of asking the upstream.
    pub fn cache_coalesced(&self, namespace: &str, tenant: Option<&str>) {
        self.families.cache_coalesced.inc();
        self.cache_stats.count(namespace, tenant, CacheEvent::Coalesced);
    }

    /// A request that missed joined a flight, or did not have to.
    pub fn cache_flight(&self, result: FlightResult) {
        self.families.cache_flights.with_label_values(&[result.as_str()]).inc();
    }

    /// Stored responses were purged, in `purges` ways at once.
    pub fn cache_purges(&self, source: &'static str, purges: u64) {
        self.families.cache_purges.with_label_values(&[source]).inc_by(purges);
        self.cache_stats.count_purges(purges);
    }

    /// A request of our own for the cache ended so: `stored`, `fresh`, `unstored`, `failed`; or was not made: `dropped`.
    pub fn cache_warmed(&self, result: &'static str) {
        self.families.cache_warmed.with_label_values(&[result]).inc();
    }

    /// A store operation took `duration`, whatever its outcome.
    pub fn store_duration(&self, store: StoreName, operation: &'static str, duration: Duration) {
        self.families
            .store_duration
            .with_label_values(&[store.as_str(), operation])
            .observe(duration.as_secs_f64());
    }

    /// A store operation failed (`timeout`, `connection`, `protocol`, `dropped`, …).
    pub fn store_error(&self, store: StoreName, kind: &'static str) {
        self.families.store_errors.with_label_values(&[store.as_str(), kind]).inc();
    }

    /// Evidence of identity was not believed (`expired`, `signature`, `unknown_key`, …).
    pub fn identity_rejection(&self, reason: &'static str) {
        self.families.identity_rejections.with_label_values(&[reason]).inc();
    }

    /// The configuration in use was loaded at `wall_ms` (Unix milliseconds) when the process started.
    pub fn config_loaded(&self, wall_ms: u64) {
        self.families.config_last_reload_success.set(1);
        self.families.config_last_reload_timestamp.set(gauge_value(wall_ms / 1_000));
    }

    /// A reload ended at `wall_ms` (Unix milliseconds).
    pub fn config_reload(&self, result: ReloadResult, wall_ms: u64) {
        self.families.config_reloads.with_label_values(&[result.as_str()]).inc();
        match result {
            ReloadResult::Success => self.config_loaded(wall_ms),
            ReloadResult::Failure => self.families.config_last_reload_success.set(0),
            ReloadResult::Unchanged => {}
        }
    }

    /// The job that counts days ended a run.
    pub fn rollup(&self, run: RollupRun, duration: Duration, wall_ms: u64) {
        let result = [run.as_str()];
        self.families.rollup_runs.with_label_values(&result).inc();
        if run != RollupRun::Left {
            self.families.rollup_duration.with_label_values(&result).observe(duration.as_secs_f64());
        }
        if run == RollupRun::Done {
            self.families.rollup_last_success.set(gauge_value(wall_ms / 1_000));
        }
    }

    /// Is this instance the one that counts days?
    pub fn rollup_leads(&self, leads: bool) {
        self.families.rollup_leader.set(i64::from(leads));
    }

    /// The job has counted so many days.
    pub fn rollup_days(&self, days: u64) {
        self.families.rollup_days.inc_by(days);
    }

    /// A panic was caught.
    pub fn panic_caught(&self) {
        self.families.panics.inc();
    }

    /// The cache's counters as of now, for `/api/v1/cache/stats`.
    #[must_use]
    pub fn cache_report(&self, by: CacheStatsBy) -> CacheReport {
        self.cache_stats.report(&self.sources.read(), by)
    }

    /// The counters that tell how this instance does, for `/api/v1/stats`.
    #[must_use]
    pub fn instance_report(&self) -> InstanceReport {
        let readings = self.sources.read();
        let cache = self.cache_stats.report(&readings, CacheStatsBy::Total);
        InstanceReport::of(&self.families, &cache, &readings)
    }

    /// Everything in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let readings = self.sources.read();
        // Two scrapes at once must not see each other's half-filled gauges.
        let _one_at_a_time = self.scrape.lock();
        let Families { upstream_healthy, breaker_open, store_up, certificate_expiry, .. } = &self.families;
        for gauges in [upstream_healthy, breaker_open, store_up, certificate_expiry] {
            gauges.reset();
        }
        for reading in readings {
            self.apply(&reading);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written as text");
            String::new()
        })
    }

    fn apply(&self, reading: &Reading) {
        match reading {
            Reading::CacheTier { tier, entries, bytes, evictions } => {
                let tier = [tier.as_str()];
                self.families.cache_entries.with_label_values(&tier).set(gauge_value(*entries));
                self.families.cache_bytes.with_label_values(&tier).set(gauge_value(*bytes));
                raise_to(&self.families.cache_evictions.with_label_values(&tier), *evictions);
            }
            Reading::StoreUp { store, up } => {
                self.families.store_up.with_label_values(&[store.as_str()]).set(i64::from(*up));
            }
            Reading::UpstreamHealthy { upstream, server, healthy } => {
                self.families
                    .upstream_healthy
                    .with_label_values(&[upstream.as_ref(), server.as_str()])
                    .set(i64::from(*healthy));
            }
            Reading::BreakerOpen { upstream, servers } => {
                self.families.breaker_open.with_label_values(&[upstream.as_ref()]).set(gauge_value(*servers));
            }
            Reading::LimitMemory { keys, bytes, expired, evicted } => {
                self.families.limit_memory_keys.set(gauge_value(*keys));
                self.families.limit_memory_bytes.set(gauge_value(*bytes));
                for (reason, count) in [("expired", expired), ("full", evicted)] {
                    raise_to(&self.families.limit_memory_evictions.with_label_values(&[reason]), *count);
                }
            }
            Reading::LimitFleet { instances, feed_up, denials, owed, owed_dropped } => {
                self.families.limit_instances.set(gauge_value(*instances));
                self.families.limit_feed_up.set(i64::from(*feed_up));
                self.families.limit_deny_cache_entries.set(gauge_value(*denials));
                self.families.limit_owed_logs.set(gauge_value(*owed));
                raise_to(&self.families.limit_owed_dropped, *owed_dropped);
            }
            Reading::CacheLedger { names, patterns } => {
                for (kind, count) in [("name", names), ("pattern", patterns)] {
                    self.families.cache_ledger.with_label_values(&[kind]).set(gauge_value(*count));
                }
            }
            Reading::CertificateExpiry { listener, name, not_after_s } => {
                let gauge = self.families.certificate_expiry.with_label_values(&[listener, name]);
                let (known, new) = (gauge.get(), gauge_value(*not_after_s));
                gauge.set(if known == 0 { new } else { known.min(new) });
            }
            Reading::LogLinesDropped(lines) => raise_to(&self.families.log_lines_dropped, *lines),
        }
    }
}

fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Brings a counter to what somebody else has counted.
fn raise_to(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::families;
    use crate::telemetry::labels::Tier;
    use std::sync::Arc;

    fn metrics() -> Metrics {
        Metrics::new(0).expect("the table of families is right")
    }

    /// The value of the series that is written as `series`, if it is there.
    fn value(metrics: &Metrics, series: &str) -> Option<String> {
        let text = metrics.render();
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
    }

    fn record_one_of_each(metrics: &Metrics) {
        let (upstream, second) = (Arc::<str>::from("backend"), Duration::from_secs(1));
        metrics.request(&RequestRecord {
            route: "/",
            method: &http::Method::GET,
            status: http::StatusCode::OK,
            duration: second,
            bytes: 1,
        });
        metrics.refusal("no-route");
        metrics.upstream_duration(&upstream, second);
        metrics.upstream_error(&upstream, "connect");
        metrics.upstream_retry(&upstream);
        metrics.limit_decision("default", LimitDecision::Allow);
        metrics.limit_decision_duration(StoreName::Memory, second);
        metrics.connection_refused("limit");
        metrics.accept_error("descriptors");
        metrics.limit_refund("default");
        metrics.cache_request("content", None, CacheResult::Hit);
        metrics.cache_stored("content", None);
        metrics.cache_error("content", None);
        metrics.cache_warmed("stored");
        metrics.cache_flight(FlightResult::Led);
        metrics.cache_purges("write", 2);
        metrics.store_error(StoreName::Redis, "timeout");
        metrics.store_duration(StoreName::Redis, "admit", second);
        metrics.identity_rejection("expired");
        metrics.config_reload(ReloadResult::Success, 1_000);
        metrics.rollup(RollupRun::Done, second, 1_000);
        metrics.export("csv", "done", second);
        metrics.add_source(move |out| {
            let upstream = Arc::clone(&upstream);
            out.extend([
                Reading::CacheTier { tier: Tier::Memory, entries: 2, bytes: 300, evictions: 4 },
                Reading::CacheLedger { names: 1, patterns: 2 },
                Reading::StoreUp { store: StoreName::Redis, up: false },
                Reading::UpstreamHealthy {
                    upstream: Arc::clone(&upstream),
                    server: "a:1".into(),
                    healthy: true,
                },
                Reading::BreakerOpen { upstream, servers: 0 },
                Reading::LimitMemory { keys: 1, bytes: 2, expired: 3, evicted: 0 },
                Reading::LimitFleet { instances: 3, feed_up: true, denials: 4, owed: 0, owed_dropped: 0 },
                Reading::CacheLedger { names: 1, patterns: 0 },
                Reading::CertificateExpiry { listener: "a:1".into(), name: "a".into(), not_after_s: 9 },
                Reading::LogLinesDropped(5),
            ]);
        });
    }

    #[test]
    fn every_family_of_the_table_is_rendered_with_its_help_and_kind_and_no_other() {
        let metrics = metrics();
        record_one_of_each(&metrics);
        let text = metrics.render();
        for families::Family { name, kind, help, .. } in families::ALL {
            assert!(text.contains(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")), "{name}");
        }
        let ours = text.lines().filter(|line| line.starts_with("# TYPE tidegate_")).count();
        assert_eq!(ours, families::ALL.len());
        assert!(text.contains("\nprocess_resident_memory_bytes "));
    }

    #[test]
    fn methods_and_codes_that_clients_or_upstreams_invent_share_one_series() {
        let metrics = metrics();
        for method in ["BREW", "PURGE-1"] {
            metrics.request(&RequestRecord {
                route: "/",
                method: &method.parse().expect("a token"),
                status: http::StatusCode::from_u16(799).expect("three digits"),
                duration: Duration::ZERO,
                bytes: 0,
            });
        }
        let series = r#"tidegate_requests_total{method="OTHER",route="/",status="other"}"#;
        assert_eq!(value(&metrics, series).as_deref(), Some("2"));
    }

    #[test]
    fn a_gauge_falls_when_its_holder_is_dropped() {
        let metrics = metrics();
        let (first, second) = (metrics.connection(), metrics.connection());
        drop(first);
        assert_eq!(value(&metrics, "tidegate_connections").as_deref(), Some("1"));
        drop(second);
        assert_eq!(value(&metrics, "tidegate_connections").as_deref(), Some("0"));
    }

    #[test]
    fn what_a_source_no_longer_names_is_gone_and_counters_never_fall() {
        let metrics = metrics();
        let evictions = Arc::new(Mutex::new(vec![Some(7_u64), Some(3), None]));
        metrics.add_source(move |out| {
            if let Some(evictions) = evictions.lock().remove(0) {
                out.push(Reading::CacheTier { tier: Tier::Memory, entries: 1, bytes: 1, evictions });
                out.push(Reading::StoreUp { store: StoreName::Redis, up: true });
            }
        });
        let up = r#"tidegate_store_up{store="redis"} 1"#;
        let evicted = r#"tidegate_cache_evictions_total{tier="memory"} 7"#;
        let pages: Vec<String> = (0..3).map(|_| metrics.render()).collect();
        assert_eq!(pages.iter().map(|page| page.contains(up)).collect::<Vec<_>>(), [true, true, false]);
        assert!(pages.iter().all(|page| page.contains(evicted)), "a smaller reading does not lower it");
    }

    #[test]
    fn a_failed_reload_keeps_the_time_of_the_configuration_in_use() {
        let metrics = metrics();
        metrics.config_loaded(5_000);
        metrics.config_reload(ReloadResult::Failure, 9_000);
        let time = "tidegate_config_last_reload_timestamp_seconds";
        assert_eq!(value(&metrics, "tidegate_config_last_reload_success").as_deref(), Some("0"));
        assert_eq!(value(&metrics, time).as_deref(), Some("5"));
    }

    #[test]
    fn one_call_counts_for_prometheus_and_for_the_statistics() {
        let metrics = metrics();
        metrics.cache_request("content", Some("acme"), CacheResult::Stale);
        let series = r#"tidegate_cache_requests_total{namespace="content",result="stale"}"#;
        assert_eq!(value(&metrics, series).as_deref(), Some("1"));
        assert_eq!(metrics.cache_report(CacheStatsBy::Total).stale_hits, 1);
        assert!(!metrics.render().contains("acme"), "a tenant is no label");
    }
}
