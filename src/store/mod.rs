//! Where counts and entries live: this process, or Redis. Both may fail; neither may take traffic down.

pub mod breaker;
pub mod limiter;
pub mod memory_entries;
pub mod memory_limits;
pub mod redis;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod testing;

pub use limiter::{Admission, LimitStore, Limiter, Source};

use std::time::Duration;

/// A store could not be asked or gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// No answer within the budget; what was asked may or may not have happened.
    #[error("no answer from the store within {} ms", budget.as_millis())]
    TimedOut {
        /// How long was waited.
        budget: Duration,
    },
    /// Not connected, or left alone by the breaker; nothing was asked.
    #[error("the store is away")]
    Away,
    /// The server refused the command, or the URL cannot be used.
    #[error("the store refuses: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The answer is not what was asked for.
    #[error("the store answers nonsense: {what}")]
    Malformed {
        /// What was expected.
        what: &'static str,
    },
}

impl StoreFailure {
    /// A word for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timeout",
            Self::Away => "away",
            Self::Refused { .. } => "refused",
            Self::Malformed { .. } => "malformed",
        }
    }
}
