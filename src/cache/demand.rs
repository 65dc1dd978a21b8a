//! What the client's `Cache-Control` asks of a stored answer (RFC 9111 section 5.2.1). Ignored unless the namespace
//! listens: whoever may send `no-cache` may make the origin work for every request.

use crate::cache::directives::RequestDirectives;
use crate::cache::lifetime::Lifetime;
use crate::cache::namespace::Namespace;
use http::HeaderMap;

/// A client's demand; the default demands nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand(RequestDirectives);

/// The demand of a request under a namespace.
#[must_use]
pub fn request_demand(headers: &HeaderMap, namespace: &Namespace) -> Demand {
    if namespace.client_directives { Demand(RequestDirectives::read(headers)) } else { Demand::default() }
}

impl Demand {
    /// May an entry be served without asking the origin first? Windows of stale serving are not looked at here.
    #[must_use]
    pub fn accepts(&self, lifetime: &Lifetime, now_ms: u64) -> bool {
        let wanted = &self.0;
        let too_old = wanted.max_age_s.is_some_and(|limit_s| lifetime.age_s(now_ms) > limit_s);
        if wanted.no_cache || too_old {
            return false;
        }
        let ttl_s = lifetime.ttl_s(now_ms);
        if lifetime.is_fresh(now_ms) {
            return wanted.min_fresh_s.is_none_or(|wanted_s| ttl_s.unsigned_abs() >= wanted_s);
        }
        !lifetime.strict && wanted.max_stale_s.is_some_and(|limit_s| ttl_s.unsigned_abs() <= limit_s)
    }

    /// Does it want the origin asked, so that no stale answer will do?
    #[must_use]
    pub fn insists(&self) -> bool {
        self.0.no_cache || self.0.max_age_s.is_some() || self.0.min_fresh_s.is_some()
    }

    /// 504 rather than a request to the origin (RFC 9111 section 5.2.1.7).
    #[must_use]
    pub fn only_if_cached(&self) -> bool {
        self.0.only_if_cached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const LIFETIME: Lifetime = Lifetime {
        age_base_ms: 0,
        fresh_until_ms: 60_000,
        swr_s: 0,
        sie_s: 0,
        keep_s: 0,
        ours: false,
        strict: false,
    };

    fn accepts(words: &'static str, now_s: u64, strict: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static(words));
        let namespace = Namespace { client_directives: true, ..Namespace::named("n") };
        request_demand(&headers, &namespace).accepts(&Lifetime { strict, ..LIFETIME }, now_s * 1_000)
    }

    #[test]
    fn the_client_may_ask_for_more_or_be_content_with_less() {
        assert!(accepts("x", 30, false) && !accepts("x", 60, false));
        assert!(!accepts("no-cache", 30, false) && !accepts("max-age=29", 30, false));
        assert!(accepts("max-age=30", 30, false) && !accepts("max-age=a", 30, false));
        assert!(accepts("min-fresh=30", 30, false) && !accepts("min-fresh=31", 30, false));
        assert!(accepts("max-stale", 600, false) && accepts("max-stale=10", 70, false));
        assert!(!accepts("max-stale=10", 71, false) && !accepts("max-stale=x", 61, false));
    }

    #[test]
    fn what_the_origin_forbids_no_client_allows() {
        assert!(!accepts("max-stale", 60, true) && accepts("max-stale", 59, true));
    }

    #[test]
    fn a_namespace_that_does_not_listen_hears_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("no-cache, only-if-cached"));
        let demand = request_demand(&headers, &Namespace::named("n"));
        assert_eq!(demand, Demand::default());
        assert!(demand.accepts(&LIFETIME, 0) && !demand.only_if_cached() && !demand.insists());
    }

    #[test]
    fn pragma_speaks_only_where_cache_control_is_silent() {
        let namespace = Namespace { client_directives: true, ..Namespace::named("n") };
        let mut headers = HeaderMap::new();
        headers.insert("pragma", HeaderValue::from_static("no-cache"));
        assert!(!request_demand(&headers, &namespace).accepts(&LIFETIME, 0));
        headers.insert("cache-control", HeaderValue::from_static("max-age=100"));
        assert!(request_demand(&headers, &namespace).accepts(&LIFETIME, 0));
    }
}
