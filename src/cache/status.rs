//! What the answer says about the cache: `Cache-Status` (RFC 9211) and the older `X-Cache`.

use http::HeaderValue;
use std::fmt;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// From the store, without asking the origin; fresh, or stale while it is refreshed.
    Hit,
    /// The origin was asked.
    Forward(Forward),
}

/// Why the origin was asked: `fwd` of RFC 9211 section 2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache was not consulted.
    Bypass,
    /// The method is not one that the cache answers.
    Method,
    /// Nothing is stored for the key.
    UriMiss,
    /// Something is stored for the key, but not for this variant.
    VaryMiss,
    /// The client's directives asked for it.
    Request,
    /// What is stored is stale.
    Stale,
}

impl Forward {
    fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

/// One member of `Cache-Status`. Append the field; those of caches nearer the origin stay in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// How it was answered.
    pub outcome: Outcome,
    /// The origin's status where it is not that of the answer: 304 after revalidation, 503 before a stale answer.
    pub forward_status: Option<u16>,
    /// The answer was put into the store.
    pub stored: bool,
    /// The request waited for another one's answer.
    pub collapsed: bool,
    /// Remaining freshness in seconds; negative when stale.
    pub ttl_s: Option<i64>,
    /// A reason that has no parameter of its own: `no-tenant`, `store-down`. A token.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Nothing but the outcome.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, forward_status: None, stored: false, collapsed: false, ttl_s: None, detail: None }
    }

    /// The field's value.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("tidegate"))
    }

    /// The word for `X-Cache`.
    #[must_use]
    pub fn x_cache(&self) -> XCache {
        match self.outcome {
            Outcome::Hit if self.ttl_s.is_some_and(|ttl_s| ttl_s < 0) => XCache::Stale,
            Outcome::Hit => XCache::Hit,
            Outcome::Forward(Forward::Bypass | Forward::Method) => XCache::Bypass,
            Outcome::Forward(_) => match self.forward_status {
                Some(304) => XCache::Revalidated,
                Some(_) => XCache::Stale,
                None => XCache::Miss,
            },
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Hit => f.write_str("tidegate; hit")?,
            Outcome::Forward(why) => write!(f, "tidegate; fwd={}", why.word())?,
        }
        if let Some(status) = self.forward_status {
            write!(f, "; fwd-status={status}")?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        if let Some(ttl_s) = self.ttl_s {
            write!(f, "; ttl={ttl_s}")?;
        }
        self.detail.map_or(Ok(()), |detail| write!(f, "; detail={detail}"))
    }
}

/// The word of `X-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XCache {
    /// Fresh from the store.
    Hit,
    /// From the origin.
    Miss,
    /// Stale from the store.
    Stale,
    /// From the store after the origin said that it still holds.
    Revalidated,
    /// The cache was not asked.
    Bypass,
}

impl XCache {
    /// The field's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Revalidated => "REVALIDATED",
            Self::Bypass => "BYPASS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(why: Forward) -> CacheStatus {
        CacheStatus::new(Outcome::Forward(why))
    }

    #[test]
    fn says_what_happened_in_both_languages() {
        let hit = CacheStatus { ttl_s: Some(212), ..CacheStatus::new(Outcome::Hit) };
        let stale = CacheStatus { ttl_s: Some(-3), ..hit };
        let miss = CacheStatus { stored: true, ttl_s: Some(300), ..forward(Forward::UriMiss) };
        let again = CacheStatus { forward_status: Some(304), collapsed: true, ..forward(Forward::Stale) };
        let failed = CacheStatus { forward_status: Some(503), ttl_s: Some(-9), ..forward(Forward::Stale) };
        let bypass = CacheStatus { detail: Some("no-tenant"), ..forward(Forward::Bypass) };
        let said: Vec<(String, &str)> = [hit, stale, miss, again, failed, bypass]
            .iter()
            .map(|status| (status.value().to_str().expect("text").to_owned(), status.x_cache().as_str()))
            .collect();
        let expected = [
            ("tidegate; hit; ttl=212", "HIT"),
            ("tidegate; hit; ttl=-3", "STALE"),
            ("tidegate; fwd=uri-miss; stored; ttl=300", "MISS"),
            ("tidegate; fwd=stale; fwd-status=304; collapsed", "REVALIDATED"),
            ("tidegate; fwd=stale; fwd-status=503; ttl=-9", "STALE"),
            ("tidegate; fwd=bypass; detail=no-tenant", "BYPASS"),
        ];
        assert_eq!(said, expected.map(|(field, word)| (field.to_owned(), word)));
    }
}
