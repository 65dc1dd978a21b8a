//! The circuit breaker of one server: a row of failures opens it, one probe after its rest decides.
//!
//! ```text
//! closed --failures in a row--> open --rest is over--> half-open --probe succeeds--> closed
//!                                ^                        |
//!                                +-----probe fails--------+
//! ```

use super::settings::BreakerSettings;
use crate::base::clock::millis;

/// How an attempt at a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered as a server does.
    Success,
    /// It did not: no connection, no answer in time, nonsense, 502–504.
    Failure,
    /// Nothing is known: the client went away first.
    Abandoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until_ms: u64,
    },
    /// Half-open; the probe is lost when nothing was heard of it until then.
    Probing {
        until_ms: u64,
    },
}

/// A breaker. Times are monotonic milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    /// 0: there is none.
    failures: u32,
    rest_ms: u64,
    in_a_row: u32,
    state: State,
}

impl Breaker {
    /// Closed; without settings for ever.
    pub(super) fn new(settings: Option<&BreakerSettings>) -> Self {
        Self {
            failures: settings.map_or(0, |settings| settings.failures.max(1)),
            rest_ms: settings.map_or(0, |settings| millis(settings.open)),
            in_a_row: 0,
            state: State::Closed,
        }
    }

    /// May a request go to the server now?
    pub(super) fn allows(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until_ms } | State::Probing { until_ms } => now_ms >= until_ms,
        }
    }

    /// A request goes: after the rest it is the one probe, and no other is allowed until its outcome is known or as
    /// long again has passed.
    pub(super) fn begin(&mut self, now_ms: u64) {
        if self.state != State::Closed && self.allows(now_ms) {
            self.state = State::Probing { until_ms: now_ms.saturating_add(self.rest_ms) };
        }
    }

    /// A request has ended. Requests that began before the breaker opened say nothing about the rest: only while a
    /// probe is under way does an outcome count, and then any outcome is news about the server.
    pub(super) fn end(&mut self, outcome: Outcome, now_ms: u64) {
        match (self.state, outcome) {
            (State::Open { .. }, _) | (State::Closed, Outcome::Abandoned) => {}
            (_, Outcome::Success) => (self.state, self.in_a_row) = (State::Closed, 0),
            (State::Closed, Outcome::Failure) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                if self.failures != 0 && self.in_a_row >= self.failures {
                    self.open(now_ms);
                }
            }
            (State::Probing { .. }, Outcome::Failure) => self.open(now_ms),
            // The next request probes.
            (State::Probing { .. }, Outcome::Abandoned) => self.state = State::Open { until_ms: now_ms },
        }
    }

    fn open(&mut self, now_ms: u64) {
        (self.state, self.in_a_row) = (State::Open { until_ms: now_ms.saturating_add(self.rest_ms) }, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn breaker(failures: u32) -> Breaker {
        Breaker::new(Some(&BreakerSettings { failures, open: Duration::from_millis(100) }))
    }

    fn fail(breaker: &mut Breaker, now_ms: u64) {
        breaker.begin(now_ms);
        breaker.end(Outcome::Failure, now_ms);
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let mut breaker = breaker(3);
        fail(&mut breaker, 0);
        fail(&mut breaker, 0);
        breaker.end(Outcome::Success, 0);
        fail(&mut breaker, 0);
        fail(&mut breaker, 0);
        assert!(breaker.allows(0));
        fail(&mut breaker, 5);
        assert!(!breaker.allows(104) && breaker.allows(105));
    }

    #[test]
    fn clients_that_go_away_are_no_failures() {
        let mut breaker = breaker(1);
        for _ in 0..10 {
            breaker.begin(0);
            breaker.end(Outcome::Abandoned, 0);
        }
        assert!(breaker.allows(0));
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = breaker(1);
        fail(&mut breaker, 0);
        breaker.begin(100);
        assert!(!breaker.allows(100), "one probe at a time");
        breaker.end(Outcome::Failure, 110);
        assert!(!breaker.allows(209) && breaker.allows(210));
        breaker.begin(210);
        breaker.end(Outcome::Success, 215);
        assert!(breaker.allows(215));
        breaker.begin(215);
        assert!(breaker.allows(215), "closed, not probing");
    }

    #[test]
    fn an_abandoned_or_lost_probe_makes_room_for_the_next() {
        let mut breaker = breaker(1);
        fail(&mut breaker, 0);
        breaker.begin(100);
        breaker.end(Outcome::Abandoned, 120);
        assert!(breaker.allows(120));
        breaker.begin(120);
        assert!(!breaker.allows(219) && breaker.allows(220), "never heard of again");
    }

    #[test]
    fn answers_to_requests_from_before_do_not_touch_an_open_breaker() {
        let mut breaker = breaker(1);
        breaker.begin(0);
        fail(&mut breaker, 10);
        breaker.end(Outcome::Success, 20);
        breaker.end(Outcome::Failure, 90);
        assert!(!breaker.allows(109) && breaker.allows(110));
    }

    #[test]
    fn without_settings_it_never_opens() {
        let mut breaker = Breaker::new(None);
        for _ in 0..1_000 {
            fail(&mut breaker, 0);
        }
        assert!(breaker.allows(0));
    }

    proptest! {
        /// While open, at most one request per rest is let through, whatever happens.
        #[test]
        fn an_open_breaker_lets_one_request_per_rest_through(steps in prop::collection::vec((0_u64..60, 0_u8..3), 1..80)) {
            let mut breaker = breaker(1);
            fail(&mut breaker, 0);
            let (mut now_ms, mut last_ms) = (0, None);
            for (wait, what) in steps {
                now_ms += wait;
                if breaker.allows(now_ms) {
                    if let Some(last_ms) = last_ms {
                        prop_assert!(now_ms >= last_ms + 100);
                    }
                    last_ms = Some(now_ms);
                    breaker.begin(now_ms);
                    prop_assert!(!breaker.allows(now_ms));
                }
                // The probe fails at once, later, or is never heard of.
                if what == 0 {
                    breaker.end(Outcome::Failure, now_ms);
                }
            }
        }
    }
}
