//! The cache's counters of a whole fleet: what an instance tells the others, and the sum of what they tell.

use crate::telemetry::cache_stats::{CacheReport, percent};
use crate::telemetry::rfc3339;
use serde::{Deserialize, Serialize};

/// What one instance has counted. Members that another version does not know are 0 there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheShare {
    cache_hits: u64,
    cache_misses: u64,
    stale_hits: u64,
    revalidated: u64,
    bypassed: u64,
    stored: u64,
    evictions: u64,
    errors: u64,
    coalesced: u64,
    purges: u64,
    bytes_l1: u64,
    entries_l1: u64,
    since_s: u64,
}

impl CacheShare {
    /// This instance's.
    #[must_use]
    pub fn of(report: &CacheReport) -> Self {
        Self {
            cache_hits: report.cache_hits,
            cache_misses: report.cache_misses,
            stale_hits: report.stale_hits,
            revalidated: report.revalidated,
            bypassed: report.bypassed,
            stored: report.stored,
            evictions: report.evictions,
            errors: report.errors,
            coalesced: report.coalesced,
            purges: report.purges,
            bytes_l1: report.bytes_l1,
            entries_l1: report.entries_l1,
            since_s: report.since_s,
        }
    }

    /// Its text for the others.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the text of another; `None` for what none has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn and(self, other: Self) -> Self {
        let sum = u64::saturating_add;
        Self {
            cache_hits: sum(self.cache_hits, other.cache_hits),
            cache_misses: sum(self.cache_misses, other.cache_misses),
            stale_hits: sum(self.stale_hits, other.stale_hits),
            revalidated: sum(self.revalidated, other.revalidated),
            bypassed: sum(self.bypassed, other.bypassed),
            stored: sum(self.stored, other.stored),
            evictions: sum(self.evictions, other.evictions),
            errors: sum(self.errors, other.errors),
            coalesced: sum(self.coalesced, other.coalesced),
            purges: sum(self.purges, other.purges),
            bytes_l1: sum(self.bytes_l1, other.bytes_l1),
            entries_l1: sum(self.entries_l1, other.entries_l1),
            since_s: self.since_s.min(other.since_s),
        }
    }
}

impl CacheReport {
    /// The same for the instances that `shares` come from; what is no sum (the store, the ledger) stays as this one sees it.
    /// Without any share nothing changes.
    #[must_use]
    pub fn of_fleet(self, shares: &[CacheShare]) -> Self {
        let Some(sum) = shares.iter().copied().reduce(CacheShare::and) else { return self };
        let total_requests = sum.cache_hits.saturating_add(sum.cache_misses);
        Self {
            cache_hits: sum.cache_hits,
            cache_misses: sum.cache_misses,
            total_requests,
            hit_rate_percent: percent(sum.cache_hits, total_requests),
            stale_hits: sum.stale_hits,
            revalidated: sum.revalidated,
            bypassed: sum.bypassed,
            stored: sum.stored,
            evictions: sum.evictions,
            errors: sum.errors,
            coalesced: sum.coalesced,
            purges: sum.purges,
            bytes_l1: sum.bytes_l1,
            entries_l1: sum.entries_l1,
            since_s: sum.since_s,
            since: rfc3339::format_s(sum.since_s),
            scope: "fleet",
            instances: Some(shares.len()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{CacheStats, CacheStatsBy};

    #[test]
    fn a_fleet_is_the_sum_of_its_instances_since_the_first_of_them() {
        let report = CacheStats::new(90_000).report(&[], CacheStatsBy::Total);
        let one =
            CacheShare { cache_hits: 3, cache_misses: 1, purges: 2, since_s: 90, ..CacheShare::of(&report) };
        let other = CacheShare { cache_misses: 4, since_s: 60, ..CacheShare::default() };
        let fleet = report.clone().of_fleet(&[one, other]);
        assert_eq!((fleet.cache_hits, fleet.cache_misses, fleet.total_requests), (3, 5, 8));
        assert_eq!((fleet.purges, fleet.since.as_str(), fleet.scope), (2, "1970-01-01T00:01:00Z", "fleet"));
        assert!((fleet.hit_rate_percent - 37.5).abs() < f64::EPSILON && fleet.instances == Some(2));
        assert_eq!(report.clone().of_fleet(&[]), report, "nobody has told anything");
    }

    #[test]
    fn other_versions_are_understood_as_far_as_they_go() {
        let share = CacheShare { cache_hits: 7, ..CacheShare::default() };
        assert_eq!(CacheShare::parse(&share.text()), Some(share));
        assert_eq!(CacheShare::parse(r#"{"cache_hits": 7, "later": {}}"#), Some(share));
        assert_eq!(CacheShare::parse("seven"), None);
    }
}
