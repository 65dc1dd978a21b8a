//! One request as a log tells of it, and why a line tells of none.

use std::borrow::Cow;

/// A request. What the log does not say is empty, `None` or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it came, microseconds since 1970.
    pub start_us: u64,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// The request method.
    pub method: Cow<'a, str>,
    /// The authority, in lower case.
    pub host: Cow<'a, str>,
    /// The request target: a path with or without query, or a URL.
    pub target: Cow<'a, str>,
    /// The client's address.
    pub client: Cow<'a, str>,
    /// The user.
    pub user: Option<Cow<'a, str>>,
    /// The tenant.
    pub tenant: Option<Cow<'a, str>>,
    /// The name of the API key.
    pub api_key: Option<Cow<'a, str>>,
    /// The service tier.
    pub tier: Option<Cow<'a, str>>,
    /// The response status.
    pub status: u16,
    /// Was it answered from the cache, without the upstream?
    pub is_from_cache: bool,
    /// Was it refused by a limit?
    pub is_denied: bool,
}

/// Why a line is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It tells of something else.
    Other,
    /// The request was refused before limits are asked: no HTTP, no safe path, a rejected credential.
    Refused,
    /// It cannot be read, and this is why.
    Unreadable(&'static str),
}

/// `None` for the words by which logs say that they do not know.
#[must_use]
pub fn known(text: &str) -> Option<&str> {
    let text = text.trim();
    (!matches!(text, "" | "-" | "\"\"" | "null" | "NULL")).then_some(text)
}
