//! Fields on their way into an entry, out of one, and when the origin confirms one.

use crate::cache::control::{Control, Scoped};
use crate::cache::namespace::{Namespace, Scope, SetCookie};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields of one answer or one hop, never of the representation: not stored.
const NEVER_STORED: &[&str] = &[
    "age",
    "cache-status",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-cache",
    "x-request-id",
];

/// Fields of a 304 that say nothing about the stored body (RFC 9111 section 3.2).
const NOT_UPDATED: &[&str] = &[
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "transfer-encoding",
    "connection",
    "vary",
];

/// The fields that are stored: without those of the hop, of this one answer, and those that the origin marks private.
#[must_use]
pub fn stored_fields(namespace: &Namespace, headers: &HeaderMap) -> HeaderMap {
    let control = Control::of(headers);
    let mut marked: Vec<&String> = Vec::new();
    for scoped in [&control.private, &control.no_cache] {
        if let Scoped::Fields(names) = scoped {
            marked.extend(names);
        }
    }
    let is_kept = |name: &HeaderName| {
        let text = name.as_str();
        let is_cookie = *name == header::SET_COOKIE && namespace.set_cookie != SetCookie::Store;
        let is_marked = marked.iter().any(|marked| *marked == text);
        let is_of_one_answer = NEVER_STORED.contains(&text) || text.starts_with("x-ratelimit-");
        !(is_cookie || is_marked || is_of_one_answer)
    };
    headers.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).fold(
        HeaderMap::with_capacity(headers.len()),
        |mut kept, (name, value)| {
            kept.append(name, value);
            kept
        },
    )
}

/// The stored fields after the origin confirmed them: each field of the 304 replaces the stored one.
#[must_use]
pub fn merge_304(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    for name in update.keys().filter(|name| !NOT_UPDATED.contains(&name.as_str())) {
        merged.remove(name);
        for value in update.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    }
    merged
}

/// What a client may do with the answer: fields to set. Freshness of ours is not the client's, and a tenant's answer
/// must not be taken for a shared one by a cache further down.
#[must_use]
pub fn client_fields(
    namespace: &Namespace,
    ours: bool,
    headers: &HeaderMap,
) -> Vec<(HeaderName, HeaderValue)> {
    if ours {
        let line = match namespace.client_max_age {
            Some(age) if namespace.scope == Scope::Public => format!("max-age={}", age.as_secs()),
            Some(age) => format!("private, max-age={}", age.as_secs()),
            None => "private, no-cache".to_owned(),
        };
        return HeaderValue::from_str(&line).map(|line| (header::CACHE_CONTROL, line)).into_iter().collect();
    }
    if namespace.scope == Scope::Public {
        return Vec::new();
    }
    let control = Control::of(headers);
    if !(control.public || control.s_maxage.is_some()) {
        return Vec::new();
    }
    let age = control.max_age.or(control.s_maxage).unwrap_or(0);
    HeaderValue::from_str(&format!("private, max-age={age}"))
        .map(|line| (header::CACHE_CONTROL, line))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_and_private_fields_are_not_stored() {
        let kept = stored_fields(
            &Namespace { set_cookie: SetCookie::Strip, ..Namespace::named("n") },
            &map(&[
                ("cache-control", "max-age=5, private=\"x-user\", no-cache=\"x-nonce\""),
                ("x-user", "ada"),
                ("x-nonce", "1"),
                ("x-ratelimit-limit-60s", "1"),
                ("set-cookie", "a=b"),
                ("via", "1.1 x"),
                ("x-kept", "1"),
                ("x-kept", "2"),
            ]),
        );
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["cache-control", "x-kept"]);
        assert_eq!(kept.get_all("x-kept").iter().count(), 2);
    }

    #[test]
    fn a_304_updates_all_but_the_bodys_own_fields() {
        let stored = map(&[("etag", "\"1\""), ("content-length", "5"), ("x-a", "old"), ("x-a", "older")]);
        let merged = merge_304(&stored, &map(&[("x-a", "new"), ("content-length", "0"), ("x-b", "b")]));
        assert_eq!(merged, map(&[("etag", "\"1\""), ("content-length", "5"), ("x-a", "new"), ("x-b", "b")]));
    }

    #[test]
    fn a_tenants_answer_is_never_public_downstream() {
        let tenant = Namespace::named("n");
        let says = |ours, line: &'static str| {
            client_fields(&tenant, ours, &map(&[("cache-control", line)])).pop().map(|(_, v)| v)
        };
        assert_eq!(says(true, ""), Some(HeaderValue::from_static("private, no-cache")));
        assert_eq!(says(false, "public, s-maxage=60"), Some(HeaderValue::from_static("private, max-age=60")));
        assert_eq!(says(false, "max-age=60"), None);
    }
}
