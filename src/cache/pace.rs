//! How fast a job of warming may go on: pauses that double while the origin is slow or fails. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

/// How many answers are looked back at.
const WINDOW: usize = 20;

/// Fewer answers than this say nothing.
const ANSWERS_MIN: usize = 5;

/// The first pause, and the longest.
const PAUSE_MIN_MS: u64 = 250;
const PAUSE_MAX_MS: u64 = 30_000;

/// When the origin counts as slow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slow {
    /// One in twenty answers takes longer than this.
    pub above: Duration,
    /// More answers than this are errors, per cent.
    pub errors_percent: u8,
}

impl Default for Slow {
    fn default() -> Self {
        Self { above: Duration::from_secs(2), errors_percent: 50 }
    }
}

/// The pace of one job. All times are milliseconds of a monotonic clock.
#[derive(Debug, Clone)]
pub struct Pace {
    slow: Slow,
    /// Time and failure of the last answers since the pause was changed.
    answers: VecDeque<(u64, bool)>,
    pause_ms: u64,
    /// When the next request may begin.
    next_ms: u64,
}

impl Pace {
    /// At full speed.
    #[must_use]
    pub fn new(slow: Slow) -> Self {
        Self { slow, answers: VecDeque::new(), pause_ms: 0, next_ms: 0 }
    }

    /// How long the next request has to wait. Requests that wait at the same time wait one after the other.
    pub fn wait_ms(&mut self, now_ms: u64) -> u64 {
        if self.pause_ms == 0 {
            return 0;
        }
        let begins_ms = self.next_ms.max(now_ms);
        self.next_ms = begins_ms.saturating_add(self.pause_ms);
        begins_ms.saturating_sub(now_ms)
    }

    /// The origin has answered, or failed to. Each change of the pause is judged by answers after it, so that one bad minute
    /// does not double it again and again.
    pub fn note(&mut self, took_ms: u64, is_error: bool, now_ms: u64) {
        self.answers.push_back((took_ms, is_error));
        if self.answers.len() > WINDOW {
            self.answers.pop_front();
        }
        if self.answers.len() < ANSWERS_MIN {
            return;
        }
        if self.is_slow() {
            self.pause_ms = self.pause_ms.saturating_mul(2).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS);
            self.next_ms = now_ms.saturating_add(self.pause_ms);
            self.answers.clear();
        } else if self.pause_ms > 0 {
            self.pause_ms = if self.pause_ms > PAUSE_MIN_MS { self.pause_ms / 2 } else { 0 };
            self.answers.clear();
        }
    }

    /// The pause in force; zero at full speed.
    #[must_use]
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    fn is_slow(&self) -> bool {
        let count = self.answers.len();
        let errors = self.answers.iter().filter(|(_, is_error)| *is_error).count();
        let mut times: Vec<u64> = self.answers.iter().map(|(took_ms, _)| *took_ms).collect();
        times.sort_unstable();
        let p95 = times.get((count * 95).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        errors * 100 > count * usize::from(self.slow.errors_percent)
            || Duration::from_millis(p95) > self.slow.above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(Slow { above: Duration::from_millis(100), errors_percent: 50 })
    }

    fn note(pace: &mut Pace, times: usize, took_ms: u64, is_error: bool) {
        (0..times).for_each(|_| pace.note(took_ms, is_error, 1_000));
    }

    #[test]
    fn a_quick_origin_is_never_waited_for() {
        let mut pace = pace();
        note(&mut pace, 200, 100, false);
        assert_eq!((pace.pause(), pace.wait_ms(0), pace.wait_ms(0)), (Duration::ZERO, 0, 0));
    }

    #[test]
    fn one_slow_answer_in_twenty_is_forgiven_two_are_not() {
        let mut pace = pace();
        note(&mut pace, 19, 10, false);
        pace.note(5_000, false, 1_000);
        assert_eq!(pace.pause(), Duration::ZERO);
        pace.note(5_000, false, 1_000);
        assert_eq!(pace.pause(), Duration::from_millis(250));
    }

    #[test]
    fn the_pause_doubles_while_it_is_slow_and_halves_when_it_is_not() {
        let mut pace = pace();
        let mut pauses = Vec::new();
        for took_ms in [500, 500, 500, 10, 10, 10, 10] {
            note(&mut pace, 4, took_ms, false);
            let before = pace.pause();
            note(&mut pace, 1, took_ms, false);
            assert!(pauses.last().is_none_or(|last| *last == before.as_millis()), "five answers decide");
            pauses.push(pace.pause().as_millis());
        }
        assert_eq!(pauses, [250, 500, 1_000, 500, 250, 0, 0]);
        note(&mut pace, 100, 500, false);
        assert_eq!(pace.pause(), Duration::from_secs(30));
    }

    #[test]
    fn errors_count_however_quick_they_are() {
        let mut pace = pace();
        note(&mut pace, 3, 1, false);
        note(&mut pace, 3, 1, true);
        assert_eq!(pace.pause(), Duration::ZERO, "half of them");
        note(&mut pace, 1, 1, true);
        assert_eq!(pace.pause(), Duration::from_millis(250));
    }

    #[test]
    fn who_waits_waits_one_after_the_other() {
        let mut pace = pace();
        note(&mut pace, 5, 500, false);
        assert_eq!((pace.wait_ms(1_000), pace.wait_ms(1_000), pace.wait_ms(1_100)), (250, 500, 650));
        assert_eq!(pace.wait_ms(9_000), 0);
    }
}
