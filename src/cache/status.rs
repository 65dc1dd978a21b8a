//! What the answer says about the cache: `Cache-Status` (RFC 9211) and `X-Cache`; and what the client may ask of it.

use crate::cache::control::Control;
use crate::cache::namespace::Namespace;
use crate::cache::storable::Lifetime;
use http::{HeaderMap, HeaderValue};

/// How the cache took part in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// From a fresh entry.
    Hit,
    /// From the origin.
    Miss,
    /// From a stale entry.
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

/// One member of `Cache-Status`.
#[derive(Debug, Clone, Copy)]
pub struct CacheStatus {
    /// How the cache took part.
    pub outcome: Outcome,
    /// Freshness left, seconds; negative when stale.
    pub ttl_s: Option<i64>,
    /// Was the answer stored?
    pub is_stored: bool,
    /// Did the request wait for another's fetch?
    pub is_collapsed: bool,
    /// Why it was not looked up or not stored.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// The member as text.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        let mut text = String::from("tidegate; ");
        text.push_str(match self.outcome {
            Outcome::Hit => "hit",
            Outcome::Stale => "hit; fwd=stale",
            Outcome::Revalidated => "fwd=stale; fwd-status=304",
            Outcome::Miss => "fwd=uri-miss",
            Outcome::Bypass if self.detail == Some("method") => "fwd=method",
            Outcome::Bypass => "fwd=bypass",
        });
        if self.is_stored {
            text.push_str("; stored");
        }
        if self.is_collapsed {
            text.push_str("; collapsed");
        }
        if let Some(ttl_s) = self.ttl_s.filter(|_| self.outcome != Outcome::Bypass) {
            text.push_str(&format!("; ttl={ttl_s}"));
        }
        if let Some(detail) = self.detail {
            text.push_str(&format!("; detail={detail}"));
        }
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("tidegate"))
    }
}

/// What a request's own `Cache-Control` asks of the cache (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Only a stored answer will do.
    pub only_if_cached: bool,
    validate: bool,
    max_age_s: Option<u64>,
    min_fresh_s: Option<u64>,
    max_stale_s: Option<u64>,
}

/// What the demand makes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It will do, even if it is stale.
    Fresh,
    /// It must be confirmed first.
    Validate,
}

/// Reads the demand. Namespaces ignore it unless told otherwise: a client must not be able to make the backend work
/// by asking for fresh answers.
#[must_use]
pub fn request_demand(headers: &HeaderMap, namespace: &Namespace) -> Demand {
    if !namespace.client_directives {
        return Demand::default();
    }
    let control = Control::of(headers);
    let has_control = headers.contains_key(http::header::CACHE_CONTROL);
    let is_pragma =
        !has_control && headers.get(http::header::PRAGMA).is_some_and(|value| value == "no-cache");
    Demand {
        only_if_cached: control.only_if_cached,
        validate: control.no_cache != crate::cache::control::Scoped::No || control.no_store || is_pragma,
        max_age_s: control.max_age,
        min_fresh_s: control.min_fresh,
        max_stale_s: control.max_stale,
    }
}

impl Demand {
    /// What it makes of an entry with this lifetime; `None`: nothing special.
    #[must_use]
    pub fn judge(&self, lifetime: &Lifetime, now_ms: u64) -> Option<Verdict> {
        let age_s = now_ms.saturating_sub(lifetime.age_base_ms) / 1_000;
        let left_s = lifetime.fresh_until_ms.saturating_sub(now_ms) / 1_000;
        let is_too_old = self.max_age_s.is_some_and(|max| age_s > max || (max == 0));
        let is_too_stale_soon = self.min_fresh_s.is_some_and(|min| left_s < min);
        if self.validate || is_too_old || is_too_stale_soon {
            return Some(Verdict::Validate);
        }
        let stale_s = now_ms.saturating_sub(lifetime.fresh_until_ms) / 1_000;
        let is_stale = now_ms > lifetime.fresh_until_ms;
        // The origin's must-revalidate leaves no stale window at all; the client cannot lift it.
        let may_be_stale = lifetime.sie_s > 0 || lifetime.swr_s > 0;
        (is_stale && may_be_stale && self.max_stale_s.is_some_and(|max| stale_s <= max))
            .then_some(Verdict::Fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_as_rfc_9211_has_them() {
        let status = |outcome, ttl_s, is_stored, detail| {
            CacheStatus { outcome, ttl_s, is_stored, is_collapsed: false, detail }.value()
        };
        assert_eq!(status(Outcome::Hit, Some(212), false, None), "tidegate; hit; ttl=212");
        assert_eq!(status(Outcome::Miss, Some(300), true, None), "tidegate; fwd=uri-miss; stored; ttl=300");
        assert_eq!(
            status(Outcome::Bypass, None, false, Some("no-tenant")),
            "tidegate; fwd=bypass; detail=no-tenant"
        );
        assert_eq!(
            status(Outcome::Revalidated, Some(9), true, None),
            "tidegate; fwd=stale; fwd-status=304; stored; ttl=9"
        );
    }

    #[test]
    fn client_directives_count_only_where_the_namespace_says_so() {
        let headers =
            HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
        let lifetime =
            Lifetime { age_base_ms: 0, fresh_until_ms: 60_000, swr_s: 0, sie_s: 0, keep_s: 0, ours: false };
        let shy = Namespace::named("n");
        assert_eq!(request_demand(&headers, &shy).judge(&lifetime, 1_000), None);
        let obedient = Namespace { client_directives: true, ..shy };
        assert_eq!(request_demand(&headers, &obedient).judge(&lifetime, 1_000), Some(Verdict::Validate));
    }
}
