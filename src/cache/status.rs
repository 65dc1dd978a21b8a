//! What the answer says about the cache: `Cache-Status` (RFC 9211) and the older `X-Cache`.

use http::HeaderValue;
use std::fmt;

/// How the cache took part in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// From a fresh entry.
    Hit,
    /// From the origin.
    Miss,
    /// From a stale entry: while it is refreshed, or because the origin failed.
    Stale,
    /// From an entry that the origin confirmed.
    Revalidated,
    /// Not looked up.
    Bypass,
}

impl Outcome {
    /// The word for `X-Cache`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Revalidated => "REVALIDATED",
            Self::Bypass => "BYPASS",
        }
    }
}

/// One member of `Cache-Status`. Append the field: members of caches nearer the origin stay in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// How the cache took part.
    pub outcome: Outcome,
    /// Freshness left in seconds; negative when stale.
    pub ttl_s: Option<i64>,
    /// Was the answer stored?
    pub is_stored: bool,
    /// Did the request wait for another one's fetch?
    pub is_collapsed: bool,
    /// Why it was not looked up or not stored, a token: `no-tenant`, `set-cookie`.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// The field's value.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("tidegate"))
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `hit` and `fwd` exclude each other (RFC 9211 section 2.2); that a hit is stale shows in its `ttl`.
        f.write_str(match self.outcome {
            Outcome::Hit | Outcome::Stale => "tidegate; hit",
            Outcome::Miss => "tidegate; fwd=uri-miss",
            Outcome::Revalidated => "tidegate; fwd=stale; fwd-status=304",
            Outcome::Bypass if self.detail == Some("method") => "tidegate; fwd=method",
            Outcome::Bypass => "tidegate; fwd=bypass",
        })?;
        if self.is_stored {
            f.write_str("; stored")?;
        }
        if self.is_collapsed {
            f.write_str("; collapsed")?;
        }
        if let Some(ttl_s) = self.ttl_s.filter(|_| self.outcome != Outcome::Bypass) {
            write!(f, "; ttl={ttl_s}")?;
        }
        self.detail.map_or(Ok(()), |detail| write!(f, "; detail={detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_happened_in_both_languages() {
        let said = |outcome, ttl_s, is_stored, is_collapsed, detail| {
            let status = CacheStatus { outcome, ttl_s, is_stored, is_collapsed, detail };
            format!("{} {}", outcome.word(), status.value().to_str().expect("text"))
        };
        assert_eq!(said(Outcome::Hit, Some(212), false, false, None), "HIT tidegate; hit; ttl=212");
        assert_eq!(said(Outcome::Stale, Some(-3), false, false, None), "STALE tidegate; hit; ttl=-3");
        assert_eq!(
            said(Outcome::Miss, Some(300), true, false, None),
            "MISS tidegate; fwd=uri-miss; stored; ttl=300"
        );
        assert_eq!(
            said(Outcome::Revalidated, Some(9), true, true, None),
            "REVALIDATED tidegate; fwd=stale; fwd-status=304; stored; collapsed; ttl=9"
        );
        assert_eq!(
            said(Outcome::Bypass, Some(9), false, false, Some("no-tenant")),
            "BYPASS tidegate; fwd=bypass; detail=no-tenant"
        );
        assert_eq!(
            said(Outcome::Bypass, None, false, false, Some("method")),
            "BYPASS tidegate; fwd=method; detail=method"
        );
    }
}
