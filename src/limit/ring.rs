//! The exact log of one identity under one policy: the time of every unit that still counts, shared by all windows.
//!
//! Pure: time comes in as milliseconds of any clock that the caller keeps to. Invariants, held after every call:
//! - time never runs back: a clock that steps back is treated as standing still at the newest unit ever consumed;
//! - judging changes nothing, so a denied request consumes nothing;
//! - whatever was consumed under limits that did not change never exceeds a window's limit in any stretch of its
//!   length (a unit of age `length_ms` is out).
//!
//! `store/redis/limits.lua` is the same log in one Redis string, rule for rule: what is kept, what is forgotten and
//! when capacity changes must stay equal, the contract tests compare every step.

use crate::limit::verdict::{Decision, WindowState};
use crate::limit::windows::{LIMIT_MAX, Window, Windows};
use std::collections::VecDeque;

/// Offsets above this are rebased. The oldest live unit is at most the longest window (31 days) older, so rebasing
/// always gains at least two weeks.
const REBASE_MS: u64 = 4_000_000_000;

/// The smallest ring, in units.
const CAPACITY_MIN: usize = 8;

/// A ring larger than this gives memory back when it is used to less than a quarter.
const CAPACITY_KEPT: usize = 64;

/// The largest log. Only forced charges can reach it; what they would add above it changes no verdict.
const UNITS_MAX: usize = LIMIT_MAX as usize;

/// The log: 32-bit millisecond offsets in a ring whose capacity follows use, never the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingLog {
    base_ms: u64,
    /// Not lowered by a refund: time must not run back.
    newest: u32,
    capacity: usize,
    stamps: VecDeque<u32>,
}

impl RingLog {
    /// The verdict on `cost` units at `now_ms`. Nothing is consumed.
    #[must_use]
    pub fn judge(&self, now_ms: u64, windows: &Windows, cost: u32) -> Decision {
        let at_ms = self.clamp(now_ms);
        let mut retry_ms = Some(0_u32);
        let mut admitted = true;
        let mut states = Vec::with_capacity(windows.as_slice().len());
        for window in windows.as_slice() {
            let first = self.first_counted(at_ms, *window);
            let counted = count(self.stamps.len().saturating_sub(first));
            if u64::from(counted) + u64::from(cost) > u64::from(window.limit) {
                admitted = false;
                let wait = self.wait_ms(at_ms, *window, first, cost);
                retry_ms = retry_ms.zip(wait).map(|(longest, wait)| longest.max(wait));
            }
            states.push(WindowState {
                remaining: window.limit.saturating_sub(counted),
                reset_ms: self.stamp(first).map_or(0, |stamp| self.leaves_in(stamp, *window, at_ms)),
            });
        }
        Decision { admitted, retry_ms, stamp_ms: at_ms, windows: states }
    }

    /// Consumes `cost` units at `now_ms` whatever the limits say. The decision shows the windows afterwards.
    ///
    /// What the longest window no longer counts may be overwritten or dropped; until then it serves windows that are
    /// made longer.
    pub fn consume(&mut self, now_ms: u64, windows: &Windows, cost: u32) -> Decision {
        let at_ms = self.clamp(now_ms);
        let out = self.first_counted(at_ms, Window { length_ms: windows.longest_ms(), limit: 0 });
        let live = self.stamps.len().saturating_sub(out);
        let cost = units(cost).min(UNITS_MAX.saturating_sub(live));
        if cost > 0 {
            self.make_room(at_ms, out, cost, windows);
            let excess = self.stamps.len().saturating_add(cost).saturating_sub(self.capacity);
            self.stamps.drain(..excess);
            self.newest = u32::try_from(at_ms.saturating_sub(self.base_ms)).unwrap_or(u32::MAX);
            self.stamps.extend(std::iter::repeat_n(self.newest, cost));
        }
        let after = self.judge(at_ms, windows, 0);
        Decision { admitted: true, retry_ms: Some(0), ..after }
    }

    /// Gives back up to `cost` units: those consumed at `stamp_ms`, or with `None` the newest in the log, whatever their
    /// stamps. Returns how many there were, counted by some window or not.
    pub fn refund(&mut self, stamp_ms: Option<u64>, cost: u32) -> u32 {
        let (from, until) = match stamp_ms {
            Some(stamp_ms) => self.consumed_at(stamp_ms),
            None => (0, self.stamps.len()),
        };
        let given = until.saturating_sub(from).min(units(cost));
        self.stamps.drain(until.saturating_sub(given)..until);
        count(given)
    }

    /// Where the units stamped `stamp_ms` begin and end.
    fn consumed_at(&self, stamp_ms: u64) -> (usize, usize) {
        let offset = stamp_ms.checked_sub(self.base_ms).and_then(|offset| u32::try_from(offset).ok());
        let Some(offset) = offset else { return (0, 0) };
        let from = self.stamps.partition_point(|stamp| *stamp < offset);
        (from, self.stamps.partition_point(|stamp| *stamp <= offset))
    }

    /// When the newest unit was consumed, refunded or not; 0 when none ever was.
    #[must_use]
    pub fn newest_ms(&self) -> u64 {
        self.base_ms.saturating_add(u64::from(self.newest))
    }

    /// The units for a file: a base in milliseconds, and offsets to it, the oldest first.
    #[must_use]
    pub fn parts(&self) -> (u64, impl ExactSizeIterator<Item = u32>) {
        (self.base_ms, self.stamps.iter().copied())
    }

    /// A log of what [`RingLog::parts`] and [`RingLog::newest_ms`] told; `None` for what no log can have told.
    #[must_use]
    pub fn from_parts(base_ms: u64, newest_ms: u64, units: &[u32]) -> Option<Self> {
        let newest = u32::try_from(newest_ms.checked_sub(base_ms)?).ok()?;
        let is_in_order = units.is_sorted() && units.last().is_none_or(|last| *last <= newest);
        if !is_in_order || units.len() > UNITS_MAX {
            return None;
        }
        let capacity = units.len().max(CAPACITY_MIN);
        let mut stamps = VecDeque::with_capacity(capacity);
        stamps.extend(units);
        Some(Self { base_ms, newest, capacity, stamps })
    }

    /// Units in the log, counted by some window or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Is the log empty?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.stamps.capacity().saturating_mul(size_of::<u32>())
    }

    /// The time of the decision: never before the newest unit.
    fn clamp(&self, now_ms: u64) -> u64 {
        now_ms.max(self.newest_ms())
    }

    /// Index of the oldest unit that `window` counts.
    fn first_counted(&self, at_ms: u64, window: Window) -> usize {
        let Some(edge) = at_ms.checked_sub(u64::from(window.length_ms)) else { return 0 };
        let Some(edge) = edge.checked_sub(self.base_ms) else { return 0 };
        self.stamps.partition_point(|stamp| u64::from(*stamp) <= edge)
    }

    /// Time until enough units have left for `cost` to fit; `None` when it never does.
    fn wait_ms(&self, at_ms: u64, window: Window, first: usize, cost: u32) -> Option<u32> {
        if cost > window.limit {
            return None;
        }
        let counted = self.stamps.len().saturating_sub(first);
        let must_leave = counted.saturating_add(units(cost)).saturating_sub(units(window.limit));
        let last_to_leave = first.saturating_add(must_leave).checked_sub(1)?;
        self.stamp(last_to_leave).map_or(Some(0), |stamp| Some(self.leaves_in(stamp, window, at_ms)))
    }

    fn stamp(&self, index: usize) -> Option<u32> {
        self.stamps.get(index).copied()
    }

    fn leaves_in(&self, stamp: u32, window: Window, at_ms: u64) -> u32 {
        let leaves_ms =
            self.base_ms.saturating_add(u64::from(stamp)).saturating_add(u64::from(window.length_ms));
        u32::try_from(leaves_ms.saturating_sub(at_ms)).unwrap_or(u32::MAX)
    }

    /// Rewrites the log when it is too small for `cost` more units, far too large, or its offsets have grown too long:
    /// without the `out` oldest units, which the longest window does not count.
    fn make_room(&mut self, at_ms: u64, out: usize, cost: usize, windows: &Windows) {
        let live = self.stamps.len().saturating_sub(out);
        let needed = live.saturating_add(cost);
        let at = at_ms.saturating_sub(self.base_ms);
        let is_loose = self.capacity > CAPACITY_KEPT && needed.saturating_mul(4) < self.capacity;
        if needed <= self.capacity && !is_loose && at <= REBASE_MS {
            return;
        }
        if needed > self.capacity {
            let largest = windows.as_slice().iter().map(|window| units(window.limit)).max().unwrap_or(0);
            self.capacity = self.capacity.saturating_mul(2).min(largest).max(CAPACITY_MIN).max(needed);
        } else if is_loose {
            self.capacity = needed.saturating_mul(2).max(CAPACITY_MIN);
        }
        let oldest = self.stamp(out).map(u64::from);
        let shift = oldest.map_or(at, |oldest| if at > REBASE_MS { oldest } else { 0 });
        let offset = u32::try_from(shift).unwrap_or(u32::MAX);
        let mut stamps = VecDeque::with_capacity(self.capacity);
        stamps.extend(self.stamps.iter().skip(out).map(|stamp| stamp.saturating_sub(offset)));
        self.stamps = stamps;
        self.base_ms = self.base_ms.saturating_add(shift);
    }
}

fn units(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn count(units: usize) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(list: &[(u32, u32)]) -> Windows {
        let list = list.iter().map(|(length_ms, limit)| Window { length_ms: *length_ms, limit: *limit });
        Windows::new(list.collect()).expect("valid windows")
    }

    #[test]
    fn a_unit_is_out_exactly_at_its_windows_length() {
        let (mut log, three) = (RingLog::default(), windows(&[(10_000, 3)]));
        for at in [0, 3_000, 6_000] {
            assert!(log.judge(at, &three, 1).admitted);
            log.consume(at, &three, 1);
        }
        assert_eq!(log.judge(9_999, &three, 1).retry_ms, Some(1));
        assert!(log.judge(10_000, &three, 1).admitted);
    }

    #[test]
    fn a_cost_above_the_limit_can_never_pass() {
        let decision = RingLog::default().judge(0, &windows(&[(60_000, 10)]), 11);
        assert_eq!((decision.admitted, decision.retry_ms, decision.windows[0].remaining), (false, None, 10));
    }

    #[test]
    fn memory_follows_use_up_and_down() {
        let (mut log, second) = (RingLog::default(), windows(&[(1_000, 10_000)]));
        log.consume(0, &second, 1);
        assert_eq!(log.heap_bytes(), 8 * 4);
        for at in 0..5_000_u64 {
            log.consume(at / 10, &second, 1);
        }
        assert_eq!(log.heap_bytes(), 8_192 * 4);
        log.consume(10_000, &second, 1);
        assert_eq!(log.heap_bytes(), 8 * 4);
    }

    #[test]
    fn the_ring_stops_growing_at_the_largest_limit() {
        let (mut log, day) = (RingLog::default(), windows(&[(1_000, 5), (86_400_000, 100)]));
        for second in 0..200_000_u64 {
            if log.judge(second * 1_000, &day, 1).admitted {
                log.consume(second * 1_000, &day, 1);
            }
        }
        assert_eq!(log.heap_bytes(), 100 * 4);
    }

    #[test]
    fn forced_units_are_bounded() {
        let (mut log, one) = (RingLog::default(), windows(&[(1_000, 1)]));
        for at in 0..3 {
            assert_eq!(log.consume(at, &one, u32::MAX).windows[0].remaining, 0);
        }
        assert_eq!(log.len(), UNITS_MAX);
        assert_eq!(log.judge(5, &one, 1).retry_ms, Some(995), "all but the oldest came at once");
    }

    #[test]
    fn a_refund_takes_its_units_back_and_no_others() {
        let (mut log, five) = (RingLog::default(), windows(&[(10_000, 5)]));
        for at in [1_000, 2_000, 2_000, 3_000] {
            log.consume(at, &five, 1);
        }
        assert_eq!(log.refund(Some(2_000), 3), 2);
        assert_eq!(log.refund(Some(2_000), 1), 0, "once only");
        assert_eq!(log.refund(Some(0), 1), 0);
        let after = log.judge(4_000, &five, 1);
        assert_eq!((after.windows[0].remaining, after.windows[0].reset_ms), (3, 7_000));
        assert_eq!(log.refund(Some(3_000), 1), 1);
        assert_eq!(
            log.judge(2_500, &five, 0).stamp_ms,
            3_000,
            "time does not run back behind a refunded unit"
        );
    }

    #[test]
    fn the_newest_units_are_given_back_whatever_their_stamps() {
        let (mut log, five) = (RingLog::default(), windows(&[(10_000, 5)]));
        assert_eq!(log.refund(None, 1), 0, "there is none");
        for at in [1_000, 2_000, 3_000, 3_000] {
            log.consume(at, &five, 1);
        }
        assert_eq!(log.refund(None, 3), 3);
        let after = log.judge(4_000, &five, 1);
        assert_eq!((after.windows[0].remaining, after.windows[0].reset_ms), (4, 7_000), "the oldest stays");
        assert_eq!((log.refund(None, 9), log.len(), log.newest_ms()), (1, 0, 3_000));
    }

    #[test]
    fn offsets_survive_months_of_use() {
        let (mut log, week) = (RingLog::default(), windows(&[(604_800_000, 5)]));
        let mut admitted = 0;
        for hour in 0..24 * 200_u64 {
            let at = 1_700_000_000_000 + hour * 3_600_000;
            if log.judge(at, &week, 1).admitted {
                log.consume(at, &week, 1);
                admitted += 1;
            }
        }
        assert_eq!(admitted, 5 * 29, "five in each of 28 whole weeks and the one begun");
    }
}
