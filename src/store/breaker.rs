//! Keeps calls away from a store that does not answer. A state machine with time as argument.
//!
//! One for each part of the keyspace that fails by itself: the server where there is one, each primary of a Cluster, and
//! there the slots without an owner. With a single one for a Cluster a dead primary would take the calls to all others
//! away too, and each instance would decide alone on counts that are at hand. A part as small as a slot would need 5
//! failures for each of thousands of slots before a dead primary is left alone.
//!
//! Closed: calls pass; 5 failures in a row, or more than half of at least 20 calls within a second, open it. Open: no
//! call passes; a prober asks now and then, and 3 good answers in a row close it.

const FAILURES_IN_A_ROW: u32 = 5;
const WINDOW_MS: u64 = 1_000;
const CALLS_MIN: u32 = 20;
const PROBES_GOOD: u32 = 3;

/// What changed with an outcome, for the one log line that each change deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Calls stop.
    Opened,
    /// Calls pass again.
    Closed,
}

/// The state of one part of a store.
#[derive(Debug, Default)]
pub struct Breaker {
    is_open: bool,
    failures_in_a_row: u32,
    window_began_ms: u64,
    calls: u32,
    failures: u32,
    good_probes: u32,
}

impl Breaker {
    /// May a call be made?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.is_open
    }

    /// A call has ended.
    pub fn record(&mut self, is_success: bool, now_ms: u64) -> Change {
        if self.is_open {
            return Change::None;
        }
        if now_ms.saturating_sub(self.window_began_ms) >= WINDOW_MS {
            (self.window_began_ms, self.calls, self.failures) = (now_ms, 0, 0);
        }
        self.calls = self.calls.saturating_add(1);
        if is_success {
            self.failures_in_a_row = 0;
            return Change::None;
        }
        self.failures = self.failures.saturating_add(1);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let is_mostly_failing = self.calls >= CALLS_MIN && self.failures.saturating_mul(2) > self.calls;
        if self.failures_in_a_row >= FAILURES_IN_A_ROW || is_mostly_failing {
            *self = Self { is_open: true, ..Self::default() };
            return Change::Opened;
        }
        Change::None
    }

    /// A probe of an open breaker has ended.
    pub fn probed(&mut self, is_success: bool) -> Change {
        if !self.is_open {
            return Change::None;
        }
        self.good_probes = if is_success { self.good_probes.saturating_add(1) } else { 0 };
        if self.good_probes >= PROBES_GOOD { self.restore() } else { Change::None }
    }

    /// What failed is known to work again.
    pub fn restore(&mut self) -> Change {
        if !self.is_open {
            return Change::None;
        }
        *self = Self::default();
        Change::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_work_again_needs_no_probe() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.restore(), Change::None);
        for _ in 0..5 {
            breaker.record(false, 0);
        }
        assert!(!breaker.is_closed());
        assert_eq!((breaker.restore(), breaker.restore()), (Change::Closed, Change::None));
        assert!(breaker.is_closed());
    }

    #[test]
    fn five_failures_in_a_row_open_and_three_good_probes_close() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.record(false, 0), Change::None);
        }
        assert_eq!(breaker.record(false, 0), Change::Opened);
        assert!(!breaker.is_closed());
        let probes = [true, true, false, true, true, true].map(|good| breaker.probed(good));
        assert_eq!(probes.last(), Some(&Change::Closed));
        assert_eq!(probes.iter().filter(|change| **change == Change::Closed).count(), 1);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_store_that_fails_half_the_time_is_left_alone() {
        let mut breaker = Breaker::default();
        let changes: Vec<Change> = (0..40).map(|call| breaker.record(call % 3 == 0, 10)).collect();
        assert!(changes.contains(&Change::Opened), "two thirds fail");
        let mut steady = Breaker::default();
        assert!(
            (0..1_000).all(|call| steady.record(call % 4 != 0, call / 10) == Change::None),
            "a quarter fails"
        );
    }
}
