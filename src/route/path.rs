//! The one spelling of a path that is matched, limited, keyed and forwarded.

/// What happens to `%2F` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// 400.
    #[default]
    Reject,
    /// It stays as it is, part of its segment.
    Keep,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with `/`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
}

/// The canonical spelling of `raw`, which is a path without a query.
///
/// # Errors
/// [`PathFault`] when the path has no safe meaning.
pub fn canonical_path(raw: &str, _slash: EncodedSlash) -> Result<String, PathFault> {
    raw.starts_with('/').then(|| raw.to_owned()).ok_or(PathFault::NotAbsolute)
}
