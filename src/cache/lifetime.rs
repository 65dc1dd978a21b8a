//! How long an entry lives: its age, its freshness and its windows after that, in wall time that is given.

/// How long a stale entry with a validator is kept so that the origin can answer 304, in seconds.
pub const KEEP_S: u32 = 600;

/// The times of one stored response. Milliseconds since the Unix epoch unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When the response was 0 seconds old: age is the time since then.
    pub age_base_ms: u64,
    /// First millisecond at which it is stale.
    pub fresh_until_ms: u64,
    /// Seconds after that in which it may be served while it is refreshed (RFC 5861 section 3).
    pub swr_s: u32,
    /// Seconds after that in which it is better than an error (RFC 5861 section 4).
    pub sie_s: u32,
    /// Seconds after that in which it is worth asking the origin whether it still holds.
    pub keep_s: u32,
    /// Our `ttl`, not the origin's words, made it fresh.
    pub ours: bool,
    /// The origin forbids serving it stale, whatever a client would accept (RFC 9111 section 4.2.4).
    pub strict: bool,
}

impl Lifetime {
    /// Is it fresh at `now_ms`?
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.fresh_until_ms
    }

    /// Its age in whole seconds: the `Age` field (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age_s(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.age_base_ms) / 1_000
    }

    /// Remaining freshness in whole seconds, rounded down; negative when stale: `ttl` of `Cache-Status`.
    #[must_use]
    pub fn ttl_s(&self, now_ms: u64) -> i64 {
        let signed = |ms| i64::try_from(ms).unwrap_or(i64::MAX);
        (signed(self.fresh_until_ms) - signed(now_ms)).div_euclid(1_000)
    }

    /// Stale, but it may be served while it is refreshed.
    #[must_use]
    pub fn may_serve_while_revalidating(&self, now_ms: u64) -> bool {
        !self.is_fresh(now_ms) && now_ms < self.end_of(self.swr_s)
    }

    /// Stale, but it may be served in place of an error.
    #[must_use]
    pub fn may_serve_on_error(&self, now_ms: u64) -> bool {
        !self.is_fresh(now_ms) && now_ms < self.end_of(self.sie_s)
    }

    /// First millisecond at which it is good for nothing: stores drop it then.
    #[must_use]
    pub fn useful_until_ms(&self) -> u64 {
        self.end_of(self.swr_s.max(self.sie_s).max(self.keep_s))
    }

    fn end_of(&self, window_s: u32) -> u64 {
        self.fresh_until_ms.saturating_add(u64::from(window_s).saturating_mul(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Lifetime = Lifetime {
        age_base_ms: 10_000,
        fresh_until_ms: 70_000,
        swr_s: 10,
        sie_s: 30,
        keep_s: 20,
        ours: false,
        strict: false,
    };

    #[test]
    fn freshness_ends_at_its_millisecond_and_windows_follow() {
        assert!(LIFETIME.is_fresh(69_999) && !LIFETIME.is_fresh(70_000));
        assert!(
            !LIFETIME.may_serve_while_revalidating(69_999) && LIFETIME.may_serve_while_revalidating(79_999)
        );
        assert!(!LIFETIME.may_serve_while_revalidating(80_000) && LIFETIME.may_serve_on_error(99_999));
        assert!(!LIFETIME.may_serve_on_error(100_000));
        assert_eq!(LIFETIME.useful_until_ms(), 100_000);
    }

    #[test]
    fn age_and_ttl_are_whole_seconds_and_survive_a_clock_that_stepped_back() {
        assert_eq!((LIFETIME.age_s(12_999), LIFETIME.age_s(5_000)), (2, 0));
        assert_eq!((LIFETIME.ttl_s(10_500), LIFETIME.ttl_s(70_000), LIFETIME.ttl_s(70_001)), (59, 0, -1));
    }
}
