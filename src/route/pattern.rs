//! One path pattern of a route as it is written in the configuration.

use std::sync::Arc;

/// A checked pattern: exact, with `{name}` segments, a prefix (ends in `/`) or a regex (begins with `~`).
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// It begins with neither `/` nor `~`.
    #[error("a path begins with `/`, or with `~` for a regular expression")]
    NotAbsolute,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternFault`] says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.starts_with('/') || text.starts_with('~') {
            return Ok(Self { text: Arc::from(text) });
        }
        Err(PatternFault::NotAbsolute)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it match this canonical path?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        path == self.as_str()
    }
}
