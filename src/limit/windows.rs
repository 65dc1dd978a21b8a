//! Window lengths with their limits.

use std::sync::Arc;
use std::time::Duration;

/// How many windows a policy may have; the stored form has room for this many.
pub const WINDOWS_MAX: usize = 6;

/// The longest window, in milliseconds: 31 days. Offsets are 32-bit milliseconds and must outlive the window.
pub const WINDOW_MS_MAX: u32 = 31 * 86_400_000;

/// The largest exact limit of one window; above it an entry would outgrow what one script call may move.
pub const LIMIT_MAX: u32 = 1_000_000;

/// A length and what may pass in any stretch of time that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Length in milliseconds; a unit of age `length_ms` no longer counts.
    pub length_ms: u32,
    /// Units; 0 lets nothing pass.
    pub limit: u32,
}

impl Window {
    /// Its length.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::from_millis(self.length_ms.into())
    }
}

/// Windows, shortest first, no two of one length: one to six, or none where a policy only limits concurrency. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows(Arc<[Window]>);

/// Why a list of windows is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowsFault {
    /// None or more than [`WINDOWS_MAX`].
    #[error("a policy has 1 to 6 windows")]
    Count,
    /// Two windows of one length.
    #[error("two windows have the same length")]
    Duplicate,
    /// A length of 0 or above [`WINDOW_MS_MAX`].
    #[error("a window is 1ms to 31d long")]
    Length,
    /// A limit above [`LIMIT_MAX`].
    #[error("a limit is at most 1000000 units")]
    Limit,
}

impl Windows {
    /// Checks and sorts.
    ///
    /// # Errors
    /// [`WindowsFault`] names the first rule that is broken.
    pub fn new(mut list: Vec<Window>) -> Result<Self, WindowsFault> {
        if list.is_empty() || list.len() > WINDOWS_MAX {
            return Err(WindowsFault::Count);
        }
        list.sort_by_key(|window| window.length_ms);
        if list.iter().any(|window| window.length_ms == 0 || window.length_ms > WINDOW_MS_MAX) {
            return Err(WindowsFault::Length);
        }
        if list.iter().zip(list.iter().skip(1)).any(|(left, right)| left.length_ms == right.length_ms) {
            return Err(WindowsFault::Duplicate);
        }
        if list.iter().any(|window| window.limit > LIMIT_MAX) {
            return Err(WindowsFault::Limit);
        }
        Ok(Self(list.into()))
    }

    /// No windows at all: nothing is counted over time.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// These windows, and those of `base` whose lengths are not among them: whoever overrides states only what differs.
    ///
    /// # Errors
    /// [`WindowsFault::Count`] when they are too many together.
    pub fn over(&self, base: &Self) -> Result<Self, WindowsFault> {
        let is_kept = |window: &&Window| self.0.iter().all(|own| own.length_ms != window.length_ms);
        Self::new(self.0.iter().chain(base.0.iter().filter(is_kept)).copied().collect())
    }

    /// One instance's part of these limits among `instances`, rounded up. A part is never smaller than `cost` where the
    /// whole is not: otherwise a dear request could not pass at all.
    #[must_use]
    pub fn share(&self, instances: u32, cost: u32) -> Self {
        if instances <= 1 {
            return self.clone();
        }
        let part = |window: &Window| Window {
            limit: window.limit.div_ceil(instances).max(cost.min(window.limit)),
            ..*window
        };
        Self(self.0.iter().map(part).collect())
    }

    /// The windows, shortest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Window] {
        &self.0
    }

    /// The length of the longest window in milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> u32 {
        self.0.last().map_or(0, |window| window.length_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_lets_the_dear_request_pass() {
        let list = [(1_000, 10), (60_000, 100), (3_600_000, 0)];
        let windows = list.map(|(length_ms, limit)| Window { length_ms, limit }).to_vec();
        let windows = Windows::new(windows).expect("valid");
        let limits = |share: Windows| share.as_slice().iter().map(|window| window.limit).collect::<Vec<_>>();
        assert_eq!(limits(windows.share(3, 1)), [4, 34, 0]);
        assert_eq!(limits(windows.share(3, 7)), [7, 34, 0]);
        assert_eq!(limits(windows.share(3, 50)), [10, 50, 0], "more than the whole still never passes");
        assert_eq!(windows.share(1, 1), windows);
    }
}
