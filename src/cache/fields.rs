//! Which fields are stored, how a 304 freshens them, and what the client is told.
//!
//! Nothing that belongs to one connection, one request or one client is ever stored.

use crate::cache::date::format_date;
use crate::cache::directives::{CDN_CACHE_CONTROL, ResponseDirectives};
use crate::cache::label::{CACHE_TAG, SURROGATE_KEY};
use crate::cache::namespace::{Namespace, Scope, SetCookie};
use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, EXPIRES,
    HeaderMap, HeaderName, HeaderValue, PRAGMA, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, VIA,
};
use std::time::Duration;

/// Fields of one hop or one exchange (RFC 9110 section 7.6.1, RFC 9111 section 3.1) and those that Tidegate sets
/// itself on every answer.
const NEVER_STORED: [HeaderName; 17] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    AGE,
    VIA,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("traceparent"),
];

/// Fields that a 304 says about itself or about a body that it does not carry, or that chose the stored response.
const NOT_FRESHENED: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, VARY];

/// Cache directives and tags meant for shared caches; ours has read them.
const FOR_SHARED_CACHES: [HeaderName; 4] =
    [CDN_CACHE_CONTROL, HeaderName::from_static("surrogate-control"), SURROGATE_KEY, CACHE_TAG];

/// The fields of `headers` that an entry keeps: without hop-by-hop fields and those that `Connection` names, without
/// what `private="…"` and `no-cache="…"` take out, with `Set-Cookie` only where the namespace stores it, and with a
/// `Date` of receipt where the origin sent none (RFC 9110 section 6.6.1).
#[must_use]
pub fn stored_fields(namespace: &Namespace, headers: &HeaderMap, received_ms: u64) -> HeaderMap {
    let directives = ResponseDirectives::read(headers);
    let mut kept = HeaderMap::with_capacity(headers.len() + 1);
    let nominated = connection_members(headers);
    for (name, value) in headers {
        let taken_out = [&directives.private, &directives.no_cache]
            .into_iter()
            .any(|restriction| restriction.fields().contains(name));
        let cookie = *name == SET_COOKIE && namespace.set_cookie != SetCookie::Store;
        if !taken_out && !cookie && !never_stored(name) && !nominated.contains(name) {
            kept.append(name.clone(), value.clone());
        }
    }
    if !kept.contains_key(DATE)
        && let Ok(date) = HeaderValue::try_from(format_date(received_ms / 1_000))
    {
        kept.insert(DATE, date);
    }
    kept
}

/// The stored fields as a 304 freshens them (RFC 9111 section 3.2): each field of the update replaces all lines of
/// its name, `Set-Cookie` only where the namespace stores it: elsewhere it is for one client, and the entry must not be
/// refused for it. `Age` of the update stays, so that freshness can be computed anew; the stored `Date` goes when the
/// update has none. Pass the result through [`crate::cache::storability::storability`] and [`stored_fields`].
#[must_use]
pub fn merge_304(namespace: &Namespace, stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    merged.remove(DATE);
    let nominated = connection_members(update);
    for name in update.keys() {
        let own_hop = *name != AGE && never_stored(name);
        let cookie = *name == SET_COOKIE && namespace.set_cookie != SetCookie::Store;
        if own_hop || cookie || NOT_FRESHENED.contains(name) || nominated.contains(name) {
            continue;
        }
        merged.remove(name);
        for value in update.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    }
    merged
}

/// What caches between us and the client must read instead of the origin's words: fields to set, or (`None`) to
/// remove. For answers that were stored or come from the store.
///
/// - `ours` (our `ttl` made it storable): `private, no-cache`, or `private, max-age=N` with the namespace's
///   `client_max_age`. With [`crate::cache::Entry::made_tag`] asking again costs a 304.
/// - scope tenant or user with the origin's own freshness: the same words without those that would let another
///   shared cache keep the answer.
/// - scope public: the origin's words, with `max-age=N` where `ours` and `client_max_age` is set.
#[must_use]
pub fn client_fields(
    namespace: &Namespace,
    ours: bool,
    headers: &HeaderMap,
) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let public = namespace.scope == Scope::Public;
    let words = match (ours, public, namespace.client_max_age) {
        (true, true, None) | (false, true, _) => return Vec::new(),
        (true, true, Some(age)) => max_age(age),
        (true, false, Some(age)) => format!("private, {}", max_age(age)),
        (true, false, None) => "private, no-cache".to_owned(),
        (false, false, _) => privately(headers),
    };
    let misleading = if ours { &[EXPIRES, PRAGMA][..] } else { &[] };
    let shared = if public { &[] } else { &FOR_SHARED_CACHES[..] };
    let present = misleading.iter().chain(shared).filter(|name| headers.contains_key(*name));
    let mut changes: Vec<(HeaderName, Option<HeaderValue>)> =
        present.map(|name| (name.clone(), None)).collect();
    changes.extend(HeaderValue::try_from(words).ok().map(|words| (CACHE_CONTROL, Some(words))));
    changes
}

fn max_age(age: Duration) -> String {
    format!("max-age={}", age.as_secs())
}

/// The origin's `Cache-Control` without `public`, `s-maxage` and `proxy-revalidate`, with `private` in front.
fn privately(headers: &HeaderMap) -> String {
    let mut words = vec!["private".to_owned()];
    for line in headers.get_all(CACHE_CONTROL) {
        let members = line.to_str().map(crate::cache::directives::members).unwrap_or_default();
        words.extend(
            members
                .into_iter()
                .filter(|(name, _)| {
                    !matches!(name.as_str(), "public" | "s-maxage" | "proxy-revalidate" | "private")
                })
                .map(|(_, text)| text.to_owned()),
        );
    }
    words.join(", ")
}

fn never_stored(name: &HeaderName) -> bool {
    NEVER_STORED.contains(name) || name.as_str().starts_with("x-ratelimit-")
}

fn connection_members(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_belongs_to_a_hop_or_a_request_is_not_stored() {
        let headers = map(&[
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("trailer", "a"),
            ("upgrade", "h2c"),
            ("age", "1"),
            ("via", "1.1 a"),
            ("x-request-id", "1"),
            ("ratelimit", "a"),
            ("ratelimit-policy", "a"),
            ("x-ratelimit-limit-60s", "1"),
            ("x-ratelimit-remaining", "1"),
            ("set-cookie", "a=1"),
            ("content-type", "a/b"),
            ("x-other", "1"),
            ("x-other", "2"),
        ]);
        let kept = stored_fields(&Namespace::named("n"), &headers, 784_111_777_000);
        assert_eq!(names(&kept), ["content-type", "date", "x-other"]);
        assert_eq!(kept.get_all("x-other").iter().count(), 2);
        assert_eq!(kept[DATE], "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn qualified_directives_take_their_fields_out() {
        let headers = map(&[
            ("cache-control", "max-age=1, private=\"Set-Cookie, x-a\", no-cache=\"x-b\""),
            ("date", "d"),
            ("set-cookie", "a=1"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("x-c", "1"),
        ]);
        let namespace = Namespace { set_cookie: SetCookie::Store, ..Namespace::named("n") };
        assert_eq!(names(&stored_fields(&namespace, &headers, 0)), ["cache-control", "date", "x-c"]);
        let plain = map(&[("date", "d"), ("set-cookie", "a=1")]);
        assert_eq!(names(&stored_fields(&namespace, &plain, 0)), ["date", "set-cookie"]);
    }

    #[test]
    fn a_304_replaces_all_fields_but_those_of_the_body_it_does_not_carry() {
        let stored = map(&[
            ("date", "old"),
            ("etag", "\"a\""),
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-kept", "1"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("vary", "accept"),
        ]);
        let update = map(&[
            ("x-a", "3"),
            ("x-a", "4"),
            ("age", "7"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("content-range", "x"),
            ("vary", "*"),
            ("set-cookie", "a=1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-type", "a/b"),
        ]);
        let merged = merge_304(&Namespace::named("n"), &stored, &update);
        let expected = map(&[
            ("etag", "\"a\""),
            ("x-a", "3"),
            ("x-a", "4"),
            ("x-kept", "1"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("vary", "accept"),
            ("age", "7"),
            ("content-type", "a/b"),
        ]);
        assert_eq!(merged, expected, "an update without Date must not keep the old one: it would look aged");
        let dated = merge_304(&Namespace::named("n"), &stored, &map(&[("date", "new")]));
        assert_eq!(dated[DATE], "new");
    }

    #[test]
    fn a_304_replaces_cookies_where_cookies_are_stored() {
        let (stored, update) = (map(&[("set-cookie", "a=1")]), map(&[("set-cookie", "a=2")]));
        for (set_cookie, expected) in
            [(SetCookie::Store, "a=2"), (SetCookie::Strip, "a=1"), (SetCookie::Refuse, "a=1")]
        {
            let namespace = Namespace { set_cookie, ..Namespace::named("n") };
            assert_eq!(merge_304(&namespace, &stored, &update)[SET_COOKIE], expected, "{set_cookie:?}");
        }
    }

    fn for_client(namespace: &Namespace, ours: bool, fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = map(fields);
        for (name, value) in client_fields(namespace, ours, &headers) {
            match value {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
        headers
    }

    #[test]
    fn our_freshness_is_for_us_alone() {
        let tenant = Namespace::named("n");
        let given = [("expires", "x"), ("pragma", "x"), ("cdn-cache-control", "max-age=9")];
        let expected = map(&[("cache-control", "private, no-cache")]);
        assert_eq!(for_client(&tenant, true, &given), expected);
        let aged = Namespace { client_max_age: Some(Duration::from_secs(30)), ..tenant };
        let given = [("etag", "\"own\""), ("cache-control", "max-age=600, public")];
        let expected = map(&[("cache-control", "private, max-age=30"), ("etag", "\"own\"")]);
        assert_eq!(for_client(&aged, true, &given), expected);
    }

    #[test]
    fn the_origins_freshness_of_a_tenant_reaches_only_private_caches() {
        let words = |line| {
            for_client(&Namespace::named("n"), false, &[("cache-control", line), ("surrogate-control", "a")])
        };
        for (line, expected) in [
            (
                "public, max-age=60, s-maxage=600, proxy-revalidate, x=\"a, s-maxage=1\"",
                "private, max-age=60, x=\"a, s-maxage=1\"",
            ),
            ("S-MaxAge=600", "private"),
            ("private=\"a\", no-cache", "private, no-cache"),
        ] {
            assert_eq!(words(line), map(&[("cache-control", expected)]), "{line}");
        }
        let expires = for_client(&Namespace::named("n"), false, &[("expires", "x")]);
        assert_eq!(expires, map(&[("cache-control", "private"), ("expires", "x")]));
    }

    #[test]
    fn public_answers_keep_the_origins_words() {
        let public = Namespace { scope: Scope::Public, ..Namespace::named("n") };
        let given = [("cache-control", "public, s-maxage=600"), ("cdn-cache-control", "max-age=9")];
        assert_eq!(for_client(&public, false, &given), map(&given));
        let aged = Namespace { client_max_age: Some(Duration::from_secs(30)), ..public };
        assert_eq!(for_client(&aged, true, &[]), map(&[("cache-control", "max-age=30")]));
    }
}
