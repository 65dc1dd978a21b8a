//! Counts by name with a bound on names: the busy ones keep a row, the rest shares one.

use crate::telemetry::cache_stats::{CacheEvent, Counts};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The row of everybody who has none.
const OTHER: &str = "other";

/// The longest name that gets a row, in bytes; tenants come from tokens and have no bound of their own.
const NAME_BYTES_MAX: usize = 256;

/// At most `capacity` rows. When they are taken, newcomers count as `other`; once as many events have gone there as
/// there are rows, the less busy half of the rows joins `other` and makes room. So the sum of all rows is exact, a
/// row is exact since it began, and a flood of names costs one sort per `capacity` events.
#[derive(Debug)]
pub(super) struct Breakdown {
    rows: RwLock<HashMap<String, Arc<Counts>>>,
    other: Counts,
    overflow: AtomicU64,
    capacity: usize,
}

impl Breakdown {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            rows: RwLock::new(HashMap::new()),
            other: Counts::default(),
            overflow: AtomicU64::new(0),
            capacity: capacity.max(2),
        }
    }

    pub(super) fn count(&self, name: &str, event: CacheEvent) {
        let known = self.rows.read().get(name).map(|counts| counts.count(event));
        if known.is_none() {
            self.count_newcomer(name, event);
        }
    }

    /// The busiest rows, `other` last if it has anything.
    pub(super) fn busiest(&self, rows_max: usize) -> Vec<(String, Arc<Counts>)> {
        let rest = Counts::default();
        rest.absorb(&self.other);
        let mut rows: Vec<(String, Arc<Counts>)> =
            self.rows.read().iter().map(|(name, counts)| (name.clone(), Arc::clone(counts))).collect();
        rows.sort_by_cached_key(|(name, counts)| (std::cmp::Reverse(counts.weight()), name.clone()));
        for (_, counts) in rows.drain(rows_max.min(rows.len())..) {
            rest.absorb(&counts);
        }
        if rest.weight() > 0 {
            rows.push((OTHER.to_owned(), Arc::new(rest)));
        }
        rows
    }

    fn count_newcomer(&self, name: &str, event: CacheEvent) {
        if name.len() > NAME_BYTES_MAX {
            self.other.count(event);
            return;
        }
        let mut rows = self.rows.write();
        if rows.len() >= self.capacity && !rows.contains_key(name) {
            let overflow = self.overflow.fetch_add(1, Ordering::Relaxed);
            if overflow < u64::try_from(self.capacity).unwrap_or(u64::MAX) {
                self.other.count(event);
                return;
            }
            self.overflow.store(0, Ordering::Relaxed);
            self.drop_less_busy_half(&mut rows);
        }
        rows.entry(name.to_owned()).or_default().count(event);
    }

    fn drop_less_busy_half(&self, rows: &mut HashMap<String, Arc<Counts>>) {
        let mut weights: Vec<(u64, String)> =
            rows.iter().map(|(name, counts)| (counts.weight(), name.clone())).collect();
        weights.sort_unstable();
        for (_, name) in weights.into_iter().take(self.capacity / 2) {
            if let Some(counts) = rows.remove(&name) {
                self.other.absorb(&counts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::CacheResult;
    use proptest::prelude::*;

    const HIT: CacheEvent = CacheEvent::Answered(CacheResult::Hit);

    fn weights(breakdown: &Breakdown, rows_max: usize) -> Vec<(String, u64)> {
        breakdown.busiest(rows_max).into_iter().map(|(name, counts)| (name, counts.weight())).collect()
    }

    #[test]
    fn a_busy_newcomer_gets_a_row_when_the_idle_leave() {
        let breakdown = Breakdown::new(2);
        for name in ["idle", "busy", "busy", "new", "new", "new"] {
            breakdown.count(name, HIT);
        }
        assert_eq!(
            weights(&breakdown, 9),
            [("busy".into(), 2), ("new".into(), 1), ("other".into(), 3)],
            "two events of the newcomer and the idle one's went to the rest"
        );
    }

    #[test]
    fn a_name_without_end_gets_no_row() {
        let breakdown = Breakdown::new(2);
        breakdown.count(&"x".repeat(NAME_BYTES_MAX + 1), HIT);
        assert_eq!(weights(&breakdown, 9), [("other".into(), 1)]);
    }

    proptest! {
        #[test]
        fn rows_stay_bounded_and_nothing_gets_lost(names in prop::collection::vec("[a-j]", 0..200), shown in 1_usize..6) {
            let breakdown = Breakdown::new(4);
            for name in &names {
                breakdown.count(name, HIT);
            }
            let rows = weights(&breakdown, shown);
            prop_assert!(breakdown.rows.read().len() <= 4 && rows.len() <= shown + 1);
            let sum: u64 = rows.iter().map(|(_, weight)| weight).sum();
            prop_assert_eq!(sum, u64::try_from(names.len()).expect("small"));
        }
    }
}
