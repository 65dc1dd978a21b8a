//! How many further attempts an upstream may be asked for: retries must not double the load of a backend that fails.
//!
//! Counted in one-second slots of a ten-second window that slides by the slot, as Envoy and Linkerd do it: a tenth
//! of the requests, and a few more so that a quiet upstream can be retried at all.

/// Slots of the window.
const SLOTS: usize = 10;

/// Length of a slot.
const SLOT_MS: u64 = 1_000;

/// One further attempt for so many requests.
const REQUESTS_PER_RETRY: u64 = 10;

/// Further attempts that any window allows.
pub(super) const RETRIES_MIN: u64 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Which second since the clock's start this slot holds.
    second: u64,
    requests: u64,
    retries: u64,
}

/// The budget of one upstream. Times are monotonic milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct RetryBudget {
    slots: [Slot; SLOTS],
}

impl RetryBudget {
    /// Counts a request (not its further attempts).
    pub(super) fn request(&mut self, now_ms: u64) {
        if let Some(slot) = self.slot(now_ms) {
            slot.requests = slot.requests.saturating_add(1);
        }
    }

    /// Is there budget for a further attempt? Counts it when there is.
    pub(super) fn retry(&mut self, now_ms: u64) -> bool {
        let second = now_ms / SLOT_MS;
        let window = u64::try_from(SLOTS).unwrap_or(u64::MAX);
        let current = self.slots.iter().filter(|slot| slot.second + window > second);
        let (requests, retries) = current.fold((0_u64, 0_u64), |(requests, retries), slot| {
            (requests.saturating_add(slot.requests), retries.saturating_add(slot.retries))
        });
        let is_within = retries < RETRIES_MIN.saturating_add(requests / REQUESTS_PER_RETRY);
        if is_within && let Some(slot) = self.slot(now_ms) {
            slot.retries = slot.retries.saturating_add(1);
        }
        is_within
    }

    fn slot(&mut self, now_ms: u64) -> Option<&mut Slot> {
        let second = now_ms / SLOT_MS;
        let window = u64::try_from(SLOTS).ok()?;
        let slot = self.slots.get_mut(usize::try_from(second % window).ok()?)?;
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retries_stay_a_tenth_of_requests_and_the_minimum() {
        let mut budget = RetryBudget::default();
        for _ in 0..100 {
            budget.request(0);
        }
        assert_eq!((0..100).filter(|_| budget.retry(0)).count(), 20);
    }

    #[test]
    fn the_window_slides() {
        let mut budget = RetryBudget::default();
        assert_eq!((0..20).filter(|_| budget.retry(500)).count(), 10);
        assert!(!budget.retry(9_999));
        assert!(budget.retry(10_000), "the second of the ten is over");
    }

    #[test]
    fn old_slots_do_not_come_back_after_a_long_pause() {
        let mut budget = RetryBudget::default();
        for _ in 0..1_000 {
            budget.request(3_000);
        }
        assert_eq!((0..200).filter(|_| budget.retry(1_000_003_500)).count(), 10);
    }

    proptest! {
        #[test]
        fn no_window_of_ten_slots_holds_more_than_allowed(steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..300)) {
            let (mut budget, mut now_ms) = (RetryBudget::default(), 0);
            let mut log: Vec<(u64, bool)> = Vec::new();
            for (wait, is_request) in steps {
                now_ms += wait;
                let second = now_ms / SLOT_MS;
                let count = |log: &[(u64, bool)], kind: bool| {
                    log.iter().filter(|(at, which)| *which == kind && at / SLOT_MS + 10 > second).count()
                };
                if is_request {
                    budget.request(now_ms);
                    log.push((now_ms, true));
                } else {
                    let allowed = count(&log, false) < 10 + count(&log, true) / 10;
                    prop_assert_eq!(budget.retry(now_ms), allowed);
                    if allowed {
                        log.push((now_ms, false));
                    }
                }
            }
        }
    }
}
