//! The one seam for time. Everything below the proxy takes time as an argument; whoever needs to read it holds
//! a [`Clock`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time in two ways that must never be mixed.
pub trait Clock: Send + Sync + 'static {
    /// Wall time in milliseconds since the Unix epoch. May step; use it only for what leaves the process
    /// (dates, token expiry, stored responses).
    fn wall_ms(&self) -> u64;

    /// Milliseconds since this clock was made. Never steps back; use it for every decision and time-out.
    fn monotonic_ms(&self) -> u64;

    /// The same reading as finely as the clock has it, for measuring how long something took.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting monotonic time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the only reader of the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this file is the only reader of the machine's clock")]
    fn wall_ms(&self) -> u64 {
        millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn monotonic_ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is moved: simulated time for `replay` and for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl ManualClock {
    /// Starts at `now_ms` for both readings.
    #[must_use]
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms: AtomicU64::new(now_ms) }
    }

    /// Moves both readings to `now_ms`, forwards or back.
    pub fn set(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Moves both readings forwards.
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

/// A moment of [`Clock::wall_ms`] as databases have it, in microseconds since 1970; as late as there is where it is later.
#[must_use]
pub fn micros(wall_ms: u64) -> i64 {
    i64::try_from(wall_ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}

/// Whole milliseconds of a duration, saturating.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(5);
        clock.advance(Duration::from_secs(1));
        assert_eq!((clock.wall_ms(), clock.monotonic_ms()), (1_005, 1_005));
        clock.set(7);
        assert_eq!(clock.wall_ms(), 7);
    }

    #[test]
    fn system_clock_is_after_2025() {
        assert!(SystemClock::new().wall_ms() > 1_735_689_600_000);
    }
}
