//! What the client's `Cache-Control` asks of a stored answer (RFC 9111 section 5.2.1). Ignored unless the namespace
//! listens: whoever may send `no-cache` may make the origin work for every request.

use crate::cache::directives::RequestDirectives;
use crate::cache::lifetime::Lifetime;
use crate::cache::namespace::Namespace;
use http::HeaderMap;

/// A client's demand; the default demands nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// 504 rather than a request to the origin (RFC 9111 section 5.2.1.7).
    pub only_if_cached: bool,
    directives: RequestDirectives,
}

/// What a demand makes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It will do although it is stale.
    Fresh,
    /// The origin must confirm it first.
    Validate,
}

/// The demand of a request under a namespace.
#[must_use]
pub fn request_demand(headers: &HeaderMap, namespace: &Namespace) -> Demand {
    if !namespace.client_directives {
        return Demand::default();
    }
    let directives = RequestDirectives::read(headers);
    Demand { only_if_cached: directives.only_if_cached, directives }
}

impl Demand {
    /// What it makes of an entry with this lifetime; `None`: nothing that the entry's own times do not say.
    #[must_use]
    pub fn judge(&self, lifetime: &Lifetime, now_ms: u64) -> Option<Verdict> {
        let wanted = &self.directives;
        let ttl_s = lifetime.ttl_s(now_ms);
        let too_old = wanted.max_age_s.is_some_and(|limit_s| lifetime.age_s(now_ms) > limit_s);
        let ends_too_soon = wanted
            .min_fresh_s
            .is_some_and(|wanted_s| u64::try_from(ttl_s).map_or(true, |left_s| left_s < wanted_s));
        // `max-age=0` asks for an answer made for this request, however young the stored one is.
        if wanted.no_cache || wanted.no_store || wanted.max_age_s == Some(0) || too_old || ends_too_soon {
            return Some(Verdict::Validate);
        }
        let tolerated = wanted.max_stale_s.is_some_and(|limit_s| ttl_s.unsigned_abs() <= limit_s);
        (!lifetime.is_fresh(now_ms) && !lifetime.strict && tolerated).then_some(Verdict::Fresh)
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

    fn judge(words: &'static str, now_s: u64, strict: bool) -> Option<Verdict> {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static(words));
        let namespace = Namespace { client_directives: true, ..Namespace::named("n") };
        request_demand(&headers, &namespace).judge(&Lifetime { strict, ..LIFETIME }, now_s * 1_000)
    }

    #[test]
    fn the_client_may_ask_for_more_or_be_content_with_less() {
        let (validate, fresh) = (Some(Verdict::Validate), Some(Verdict::Fresh));
        for (words, now_s, expected) in [
            ("x", 30, None),
            ("x", 60, None),
            ("no-cache", 30, validate),
            ("max-age=29", 30, validate),
            ("max-age=30", 30, None),
            ("max-age=0", 0, validate),
            ("max-age=a", 30, validate),
            ("min-fresh=30", 30, None),
            ("min-fresh=31", 30, validate),
            ("min-fresh=0", 61, validate),
            ("max-stale", 30, None),
            ("max-stale", 600, fresh),
            ("max-stale=10", 70, fresh),
            ("max-stale=10", 71, None),
            ("max-stale=x", 61, None),
            ("max-stale=10, max-age=60", 61, validate),
        ] {
            assert_eq!(judge(words, now_s, false), expected, "{words} at {now_s} s");
        }
    }

    #[test]
    fn what_the_origin_forbids_no_client_allows() {
        assert_eq!(judge("max-stale", 60, true), None);
    }

    #[test]
    fn a_namespace_that_does_not_listen_hears_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("no-cache, only-if-cached"));
        let demand = request_demand(&headers, &Namespace::named("n"));
        assert_eq!((demand, demand.judge(&LIFETIME, 0)), (Demand::default(), None));
    }

    #[test]
    fn pragma_speaks_only_where_cache_control_is_silent() {
        let namespace = Namespace { client_directives: true, ..Namespace::named("n") };
        let mut headers = HeaderMap::new();
        headers.insert("pragma", HeaderValue::from_static("no-cache"));
        assert_eq!(request_demand(&headers, &namespace).judge(&LIFETIME, 0), Some(Verdict::Validate));
        headers.insert("cache-control", HeaderValue::from_static("max-age=100"));
        assert_eq!(request_demand(&headers, &namespace).judge(&LIFETIME, 0), None);
    }
}
