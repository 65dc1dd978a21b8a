//! How well the cache works, in the shape of `GET /api/v1/cache/stats`: totals, by namespace, by tenant.
//!
//! Counts of this process since its start. Hits are answers from the cache (fresh, stale or confirmed by 304),
//! misses are answers from the upstream; bypasses are neither, so `total_requests = cache_hits + cache_misses`.

use crate::telemetry::breakdown::Breakdown;
use crate::telemetry::labels::{CacheResult, StoreName, Tier};
use crate::telemetry::readings::Reading;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Namespaces counted one by one; they come from the configuration, so this only bounds years of renaming.
const NAMESPACES_MAX: usize = 1_024;

/// Tenants counted one by one; the least busy half makes room for newcomers (see [`Breakdown`]).
const TENANTS_MAX: usize = 1_024;

/// Rows of a breakdown in an answer, the busiest first.
const ROWS_MAX: usize = 100;

/// One set of counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    hit: AtomicU64,
    miss: AtomicU64,
    stale: AtomicU64,
    revalidated: AtomicU64,
    bypassed: AtomicU64,
    stored: AtomicU64,
    errors: AtomicU64,
    coalesced: AtomicU64,
}

impl Counts {
    fn of(&self, event: CacheEvent) -> &AtomicU64 {
        match event {
            CacheEvent::Answered(CacheResult::Hit) => &self.hit,
            CacheEvent::Answered(CacheResult::Miss) => &self.miss,
            CacheEvent::Answered(CacheResult::Stale) => &self.stale,
            CacheEvent::Answered(CacheResult::Revalidated) => &self.revalidated,
            CacheEvent::Answered(CacheResult::Bypass) => &self.bypassed,
            CacheEvent::Stored => &self.stored,
            CacheEvent::Failed => &self.errors,
            CacheEvent::Coalesced => &self.coalesced,
        }
    }

    pub(super) fn count(&self, event: CacheEvent) {
        self.of(event).fetch_add(1, Ordering::Relaxed);
    }

    /// Adds another set to this one.
    pub(super) fn absorb(&self, other: &Self) {
        for event in CacheEvent::ALL {
            self.of(event).fetch_add(other.of(event).load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// How much happened here: what decides who is among the busiest.
    pub(super) fn weight(&self) -> u64 {
        let read = |event| self.of(event).load(Ordering::Relaxed);
        CacheEvent::ALL.into_iter().fold(0, |sum, event| sum.saturating_add(read(event)))
    }

    fn totals(&self) -> CacheTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (stale_hits, revalidated) = (read(&self.stale), read(&self.revalidated));
        let cache_hits = read(&self.hit).saturating_add(stale_hits).saturating_add(revalidated);
        let cache_misses = read(&self.miss);
        let total_requests = cache_hits.saturating_add(cache_misses);
        CacheTotals {
            cache_hits,
            cache_misses,
            total_requests,
            hit_rate_percent: percent(cache_hits, total_requests),
            stale_hits,
            revalidated,
            bypassed: read(&self.bypassed),
            stored: read(&self.stored),
            errors: read(&self.errors),
            coalesced: read(&self.coalesced),
        }
    }
}

/// What can happen between a request and the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CacheEvent {
    /// A request of a cached route ended.
    Answered(CacheResult),
    /// A response was put into the cache.
    Stored,
    /// The cache failed; the request went on without it.
    Failed,
    /// The request waited for another's answer.
    Coalesced,
}

impl CacheEvent {
    const ALL: [Self; 8] = [
        Self::Answered(CacheResult::Hit),
        Self::Answered(CacheResult::Miss),
        Self::Answered(CacheResult::Stale),
        Self::Answered(CacheResult::Revalidated),
        Self::Answered(CacheResult::Bypass),
        Self::Stored,
        Self::Failed,
        Self::Coalesced,
    ];
}

/// Which breakdown an answer carries besides the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatsBy {
    /// None.
    Total,
    /// One row a namespace.
    Namespace,
    /// One row a tenant: for the operator only, never for the data listener.
    Tenant,
}

/// The counters behind `/api/v1/cache/stats`.
#[derive(Debug)]
pub struct CacheStats {
    all: Counts,
    namespaces: Breakdown,
    tenants: Breakdown,
    purges: AtomicU64,
    since_ms: u64,
}

impl CacheStats {
    /// Everything at 0; `since_ms` is the wall time of now (Unix milliseconds).
    #[must_use]
    pub fn new(since_ms: u64) -> Self {
        Self {
            all: Counts::default(),
            namespaces: Breakdown::new(NAMESPACES_MAX),
            tenants: Breakdown::new(TENANTS_MAX),
            purges: AtomicU64::new(0),
            since_ms,
        }
    }

    pub(super) fn count(&self, namespace: &str, tenant: Option<&str>, event: CacheEvent) {
        self.all.count(event);
        self.namespaces.count(namespace, event);
        if let Some(tenant) = tenant {
            self.tenants.count(tenant, event);
        }
    }

    pub(super) fn count_purges(&self, purges: u64) {
        self.purges.fetch_add(purges, Ordering::Relaxed);
    }

    /// The answer as of now; `readings` say how full the memory tier is and whether the stores answer.
    #[must_use]
    pub fn report(&self, readings: &[Reading], by: CacheStatsBy) -> CacheReport {
        let totals = self.all.totals();
        let memory = readings.iter().find_map(|reading| match reading {
            Reading::CacheTier { tier: Tier::Memory, entries, bytes, evictions } => {
                Some((*entries, *bytes, *evictions))
            }
            _ => None,
        });
        let (entries_l1, bytes_l1, evictions) = memory.unwrap_or_default();
        let ledger = readings.iter().find_map(|reading| match reading {
            Reading::CacheLedger { names, patterns } => Some((*names, *patterns)),
            _ => None,
        });
        let (ledger_names, ledger_patterns) = ledger.unwrap_or_default();
        CacheReport {
            cache_hits: totals.cache_hits,
            cache_misses: totals.cache_misses,
            total_requests: totals.total_requests,
            hit_rate_percent: totals.hit_rate_percent,
            connected: connected(readings),
            stale_hits: totals.stale_hits,
            revalidated: totals.revalidated,
            bypassed: totals.bypassed,
            stored: totals.stored,
            evictions,
            errors: totals.errors,
            coalesced: totals.coalesced,
            bytes_l1,
            entries_l1,
            purges: self.purges.load(Ordering::Relaxed),
            ledger_names,
            ledger_patterns,
            since: crate::telemetry::rfc3339::format_s(self.since_ms / 1_000),
            since_s: self.since_ms / 1_000,
            scope: "instance",
            instances: None,
            namespaces: (by == CacheStatsBy::Namespace).then(|| rows(&self.namespaces)),
            tenants: (by == CacheStatsBy::Tenant).then(|| rows(&self.tenants)),
        }
    }
}

/// Does the store of the cached responses answer? The cache's own Redis decides where there is one; an embedded
/// store is always connected.
fn connected(readings: &[Reading]) -> bool {
    let up = |name| {
        readings.iter().find_map(|reading| match reading {
            Reading::StoreUp { store, up } if *store == name => Some(*up),
            _ => None,
        })
    };
    up(StoreName::RedisCache).or_else(|| up(StoreName::Redis)).unwrap_or(true)
}

fn rows(breakdown: &Breakdown) -> Vec<CacheRow> {
    let rows = breakdown.busiest(ROWS_MAX);
    rows.into_iter().map(|(name, counts)| CacheRow { name, totals: counts.totals() }).collect()
}

/// Hundredths of a percent, as a number with two decimals; 0.0 when nothing was asked.
#[expect(clippy::cast_precision_loss, reason = "at most 10 000, and counts below 2^53 for the next ages")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 10_000.0 / whole as f64).round() / 100.0
}

/// The counters of one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct CacheTotals {
    cache_hits: u64,
    cache_misses: u64,
    total_requests: u64,
    hit_rate_percent: f64,
    stale_hits: u64,
    revalidated: u64,
    bypassed: u64,
    stored: u64,
    errors: u64,
    coalesced: u64,
}

/// One namespace or tenant; the rest that is not counted one by one is named `other`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheRow {
    name: String,
    #[serde(flatten)]
    totals: CacheTotals,
}

/// The body of `/api/v1/cache/stats`: the first five fields are promised, in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheReport {
    /// Answers from the cache, stale and revalidated ones included.
    pub cache_hits: u64,
    /// Answers from the upstream.
    pub cache_misses: u64,
    /// Both together.
    pub total_requests: u64,
    /// Hits of the total in percent, two decimals; 0.0 when there was none.
    pub hit_rate_percent: f64,
    /// Does the store answer? Always true for the embedded one.
    pub connected: bool,
    /// Hits that were stale.
    pub stale_hits: u64,
    /// Hits that the upstream confirmed with 304.
    pub revalidated: u64,
    /// Requests that did not ask the cache.
    pub bypassed: u64,
    /// Responses put into the cache.
    pub stored: u64,
    /// Entries that left the memory tier to make room.
    pub evictions: u64,
    /// Failed look-ups and writes.
    pub errors: u64,
    /// Requests that waited for another's answer.
    pub coalesced: u64,
    /// Bytes in the memory tier.
    pub bytes_l1: u64,
    /// Entries in the memory tier.
    pub entries_l1: u64,
    /// Purges: names and patterns that were made invalid, by whatever.
    pub purges: u64,
    /// Names that the ledger of purges holds.
    pub ledger_names: u64,
    /// Patterns that it holds, which each look-up compares one by one.
    pub ledger_patterns: u64,
    /// When counting began, RFC 3339 in UTC.
    pub since: String,
    /// The same in Unix seconds.
    #[serde(skip)]
    pub since_s: u64,
    /// Whose counts these are: `instance` or `fleet`.
    pub scope: &'static str,
    /// How many instances they are of, where it is a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// One row a namespace, the busiest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<CacheRow>>,
    /// One row a tenant, the busiest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<CacheRow>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use CacheResult::{Bypass, Hit, Miss, Revalidated, Stale};

    fn stats(results: &[(CacheResult, u64)]) -> CacheStats {
        let stats = CacheStats::new(1_735_689_599_000);
        for (result, times) in results {
            for _ in 0..*times {
                stats.count("dashboard", Some("acme"), CacheEvent::Answered(*result));
            }
        }
        stats
    }

    fn json(stats: &CacheStats, readings: &[Reading], by: CacheStatsBy) -> String {
        serde_json::to_string(&stats.report(readings, by)).expect("plain data")
    }

    #[test]
    fn the_promised_fields_come_first_in_their_order() {
        let text = json(&stats(&[(Hit, 1_234), (Miss, 56)]), &[], CacheStatsBy::Total);
        let promised = r#"{"cache_hits":1234,"cache_misses":56,"total_requests":1290,"hit_rate_percent":95.66,"connected":true,"#;
        assert!(text.starts_with(promised), "{text}");
        let rest = r#""stale_hits":0,"revalidated":0,"bypassed":0,"stored":0,"evictions":0,"errors":0,"coalesced":0,"bytes_l1":0,"entries_l1":0,"purges":0,"ledger_names":0,"ledger_patterns":0,"since":"2024-12-31T23:59:59Z","scope":"instance"}"#;
        assert!(text.ends_with(rest), "{text}");
    }

    #[test]
    fn nothing_asked_is_a_rate_of_zero() {
        let text = json(&stats(&[(Bypass, 3)]), &[], CacheStatsBy::Total);
        let zero =
            r#"{"cache_hits":0,"cache_misses":0,"total_requests":0,"hit_rate_percent":0.0,"connected":true,"#;
        assert!(text.starts_with(zero) && text.contains(r#""bypassed":3"#), "{text}");
    }

    #[test]
    fn stale_and_revalidated_answers_are_hits_and_bypasses_are_neither() {
        let report =
            stats(&[(Hit, 1), (Stale, 1), (Revalidated, 1), (Bypass, 5)]).report(&[], CacheStatsBy::Total);
        assert_eq!((report.cache_hits, report.cache_misses, report.total_requests), (3, 0, 3));
        assert_eq!((report.stale_hits, report.revalidated, report.bypassed), (1, 1, 5));
        assert!((report.hit_rate_percent - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_caches_own_redis_decides_whether_it_is_connected() {
        let up = |store, up| Reading::StoreUp { store, up };
        let connected = |readings: &[Reading]| stats(&[]).report(readings, CacheStatsBy::Total).connected;
        assert!(connected(&[]));
        assert!(!connected(&[up(StoreName::Memory, true), up(StoreName::Redis, false)]));
        assert!(connected(&[up(StoreName::Redis, false), up(StoreName::RedisCache, true)]));
    }

    #[test]
    fn the_memory_tier_says_how_full_it_is() {
        let readings = [
            Reading::CacheTier { tier: Tier::Redis, entries: 9, bytes: 9, evictions: 9 },
            Reading::CacheTier { tier: Tier::Memory, entries: 2, bytes: 300, evictions: 4 },
        ];
        let report = stats(&[]).report(&readings, CacheStatsBy::Total);
        assert_eq!((report.entries_l1, report.bytes_l1, report.evictions), (2, 300, 4));
    }

    #[test]
    fn a_breakdown_has_one_row_a_name_and_only_where_asked() {
        let stats = stats(&[(Hit, 3), (Miss, 1)]);
        stats.count("content", None, CacheEvent::Stored);
        let text = json(&stats, &[], CacheStatsBy::Namespace);
        let rows = r#""namespaces":[{"name":"dashboard","cache_hits":3,"cache_misses":1,"total_requests":4,"hit_rate_percent":75.0,"#;
        assert!(text.contains(rows) && text.contains(r#"{"name":"content""#), "{text}");
        assert!(!text.contains("acme"));
        let tenants = stats.report(&[], CacheStatsBy::Tenant).tenants.expect("asked for");
        assert_eq!(tenants.len(), 1, "what has no tenant has no row");
        assert_eq!(tenants[0].name, "acme");
    }

    #[test]
    fn counting_from_many_threads_loses_nothing() {
        let stats = CacheStats::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let stats = &stats;
                scope.spawn(move || {
                    for round in 0..1_000 {
                        let tenant = format!("{thread}-{round}");
                        stats.count("content", Some(&tenant), CacheEvent::Answered(Miss));
                    }
                });
            }
        });
        let rows = stats.report(&[], CacheStatsBy::Tenant).tenants.expect("asked for");
        assert_eq!(rows.iter().map(|row| row.totals.cache_misses).sum::<u64>(), 4_000);
        assert_eq!(rows.len(), ROWS_MAX + 1);
    }
}
