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
pub(crate) struct Counts {
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

    pub(crate) fn count(&self, event: CacheEvent) {
        self.of(event).fetch_add(1, Ordering::Relaxed);
    }

    /// Adds another set to this one.
    pub(crate) fn absorb(&self, other: &Self) {
        for event in CacheEvent::ALL {
            self.of(event).fetch_add(other.of(event).load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// How much happened here: what decides who is among the busiest.
    pub(crate) fn weight(&self) -> u64 {
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
pub(crate) enum CacheEvent {
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
            since_ms,
        }
    }

    pub(crate) fn count(&self, namespace: &str, tenant: Option<&str>, event: CacheEvent) {
        self.all.count(event);
        self.namespaces.count(namespace, event);
        if let Some(tenant) = tenant {
            self.tenants.count(tenant, event);
        }
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
            since: crate::telemetry::rfc3339::format_s(self.since_ms / 1_000),
            scope: "instance",
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
fn percent(part: u64, whole: u64) -> f64 {
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
    /// When counting began, RFC 3339 in UTC.
    pub since: String,
    /// Whose counts these are: always `instance`.
    pub scope: &'static str,
    /// One row a namespace, the busiest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<CacheRow>>,
    /// One row a tenant, the busiest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<CacheRow>>,
}
