//! The exact log of one identity under one policy: the time of every unit that still counts, shared by all windows.
//!
//! Pure: time comes in as milliseconds of any clock that the caller keeps to. Invariants, held after every call:
//! - stamps never fall: a clock that steps back is treated as standing still;
//! - judging changes nothing, so a denied request consumes nothing;
//! - whatever was consumed under limits that did not change never exceeds a window's limit in any stretch of its
//!   length (a unit of age `length_ms` is out).

use crate::limit::policy::{Window, Windows};
use crate::limit::verdict::{Decision, WindowState};
use std::collections::VecDeque;

/// Offsets above this are rebased; together with the longest window they still fit 32 bits.
const REBASE_MS: u64 = 1 << 30;

/// The log: 32-bit millisecond offsets in a ring that doubles with use, never with the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingLog {
    base_ms: u64,
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

    /// Consumes `cost` units at `now_ms` whatever the limits say, and forgets what no window counts any more.
    /// The decision shows the windows afterwards.
    pub fn consume(&mut self, now_ms: u64, windows: &Windows, cost: u32) -> Decision {
        let at_ms = self.clamp(now_ms);
        self.forget(at_ms, windows.longest_ms());
        self.rebase(at_ms);
        let offset = u32::try_from(at_ms.saturating_sub(self.base_ms)).unwrap_or(u32::MAX);
        self.stamps.extend(std::iter::repeat_n(offset, usize::try_from(cost).unwrap_or(usize::MAX)));
        let after = self.judge(at_ms, windows, 0);
        Decision { admitted: true, retry_ms: Some(0), ..after }
    }

    /// Gives back up to `cost` units that were consumed at `stamp_ms`. Returns how many there were.
    pub fn refund(&mut self, stamp_ms: u64, cost: u32) -> u32 {
        let Some(offset) = stamp_ms.checked_sub(self.base_ms).and_then(|offset| u32::try_from(offset).ok())
        else {
            return 0;
        };
        let from = self.stamps.partition_point(|stamp| *stamp < offset);
        let until = self.stamps.partition_point(|stamp| *stamp <= offset);
        let given = until.saturating_sub(from).min(usize::try_from(cost).unwrap_or(usize::MAX));
        self.stamps.drain(from..from.saturating_add(given));
        count(given)
    }

    /// When the newest unit was consumed.
    #[must_use]
    pub fn last_ms(&self) -> Option<u64> {
        self.stamps.back().map(|stamp| self.base_ms.saturating_add(u64::from(*stamp)))
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
        self.last_ms().map_or(now_ms, |last| last.max(now_ms))
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
        let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
        let must_leave =
            counted.saturating_add(usize::try_from(cost).unwrap_or(usize::MAX)).saturating_sub(limit);
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

    /// Drops what the longest window no longer counts.
    fn forget(&mut self, at_ms: u64, longest_ms: u32) {
        let out = self.first_counted(at_ms, Window { length_ms: longest_ms, limit: 0 });
        self.stamps.drain(..out);
        if self.stamps.is_empty() {
            self.base_ms = at_ms;
        }
        // A burst must not hold its memory for ever: keep at most four times what is used.
        if self.stamps.capacity() > 64 && self.stamps.len().saturating_mul(4) < self.stamps.capacity() {
            self.stamps.shrink_to(self.stamps.len().saturating_mul(2));
        }
    }

    /// Moves the base up to the oldest stamp before offsets outgrow 32 bits.
    fn rebase(&mut self, at_ms: u64) {
        if at_ms.saturating_sub(self.base_ms) < REBASE_MS {
            return;
        }
        let Some(oldest) = self.stamps.front().copied() else { return };
        self.stamps.iter_mut().for_each(|stamp| *stamp = stamp.saturating_sub(oldest));
        self.base_ms = self.base_ms.saturating_add(u64::from(oldest));
    }
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
    fn the_memory_of_a_burst_is_given_back() {
        let (mut log, day) = (RingLog::default(), windows(&[(1_000, 10_000)]));
        for at in 0..5_000_u64 {
            log.consume(at / 10, &day, 1);
        }
        let at_peak = log.heap_bytes();
        log.consume(10_000, &day, 1);
        log.consume(10_001, &day, 1);
        assert!(log.heap_bytes() < at_peak / 4, "{} of {at_peak}", log.heap_bytes());
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
