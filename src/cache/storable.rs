//! May a response be stored, and for how long: RFC 9111 sections 3 and 4.2 for a shared cache, with namespaces.

use crate::cache::control::{Control, Scoped, age_s};
use crate::cache::date;
use crate::cache::namespace::{Namespace, Scope, SetCookie, TtlMode};
use http::{HeaderMap, header};
use std::time::Duration;

/// How long an expired entry with a validator is kept so that the origin can confirm it.
const KEEP_S: u32 = 600;

/// Heuristic freshness is at most a day.
const HEURISTIC_MAX_S: u64 = 86_400;

/// Statuses that are stored without explicit freshness of the origin (by ours).
const PLAIN: &[u16] = &[200, 203, 301, 308];

/// Statuses of absence, stored for `negative_ttl`.
const NEGATIVE: &[u16] = &[404, 410];

/// Never stored, whatever is said: partial, conditional, or about this one request.
const NEVER: &[u16] =
    &[206, 304, 400, 401, 403, 405, 407, 408, 413, 414, 415, 416, 417, 421, 425, 426, 428, 429, 431];

/// Heuristically cacheable (RFC 9110 section 15.1).
const HEURISTIC: &[u16] = &[200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// When an entry is fresh, and what it is good for afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The moment at which the response had age 0, wall milliseconds.
    pub age_base_ms: u64,
    /// Until when it is fresh, wall milliseconds.
    pub fresh_until_ms: u64,
    /// Seconds after expiry during which it is served while it is refreshed.
    pub swr_s: u32,
    /// Seconds after expiry during which it is served instead of an error.
    pub sie_s: u32,
    /// Seconds after expiry during which it is kept for revalidation.
    pub keep_s: u32,
    /// Our `ttl`, not the origin, made it fresh.
    pub ours: bool,
}

impl Lifetime {
    /// Until when it is worth keeping, wall milliseconds.
    #[must_use]
    pub fn useful_until_ms(&self) -> u64 {
        let after_s = self.swr_s.max(self.sie_s).max(self.keep_s);
        self.fresh_until_ms.saturating_add(u64::from(after_s).saturating_mul(1_000))
    }
}

/// What is known when a response head arrives.
#[derive(Debug, Clone, Copy)]
pub struct ResponseInput<'a> {
    /// The route's namespace.
    pub namespace: &'a Namespace,
    /// The request's fields.
    pub request: &'a HeaderMap,
    /// The response's status.
    pub status: u16,
    /// The response's fields.
    pub headers: &'a HeaderMap,
    /// When the request was sent to the origin, wall milliseconds.
    pub request_sent_ms: u64,
    /// Now, wall milliseconds.
    pub received_ms: u64,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storability {
    /// It may be stored.
    Store(Lifetime),
    /// It may not; the word goes into `Cache-Status`.
    Refuse(&'static str),
}

/// Judges a response.
#[must_use]
pub fn storability(input: &ResponseInput<'_>) -> Storability {
    let (control, is_targeted) = Control::targeted(input.headers);
    if let Some(reason) = forbidden(input, &control) {
        return Storability::Refuse(reason);
    }
    let origin = origin_s(input, &control, is_targeted);
    let Some((fresh_s, ours)) = fresh_s(input, &control, origin) else {
        return Storability::Refuse("no-freshness");
    };
    let validator =
        input.headers.contains_key(header::ETAG) || input.headers.contains_key(header::LAST_MODIFIED);
    let (swr_s, sie_s) = stale_s(input.namespace, &control, ours);
    let keep_s = if validator { KEEP_S } else { 0 };
    // What is stale on arrival and cannot be confirmed is of no use.
    let age_base_ms = age_base_ms(input);
    let fresh_until_ms = age_base_ms.saturating_add(fresh_s.saturating_mul(1_000));
    if fresh_until_ms <= input.received_ms && keep_s == 0 && swr_s == 0 && sie_s == 0 {
        return Storability::Refuse("stale");
    }
    Storability::Store(Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours })
}

/// What forbids storing, before freshness is looked at.
fn forbidden(input: &ResponseInput<'_>, control: &Control) -> Option<&'static str> {
    let (namespace, headers) = (input.namespace, input.headers);
    let understood = control.must_understand && HEURISTIC.contains(&input.status);
    // RFC 9111 section 5.2.2.3: must-understand lifts no-store for a status that is understood.
    if control.no_store && !understood {
        return Some("no-store");
    }
    // A targeted field does not excuse a plain prohibition: the backend may not know that it speaks to a CDN.
    if control.private == Scoped::Whole {
        return Some("private");
    }
    if input.status < 200 || NEVER.contains(&input.status) || (input.status >= 500 && input.status != 501) {
        return Some("status");
    }
    if headers.contains_key(header::SET_COOKIE) && namespace.set_cookie == SetCookie::Refuse {
        return Some("set-cookie");
    }
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
    if media.starts_with(b"text/event-stream") {
        return Some("event-stream");
    }
    // RFC 9111 section 3.5. Scopes tenant and user key by the verified identity instead.
    let is_shared_permission = control.public || control.s_maxage.is_some() || control.must_revalidate;
    if namespace.scope == Scope::Public
        && input.request.contains_key(header::AUTHORIZATION)
        && !is_shared_permission
    {
        return Some("authorization");
    }
    None
}

/// The origin's own freshness in seconds, if it says any (RFC 9111 section 4.2.1).
fn origin_s(input: &ResponseInput<'_>, control: &Control, is_targeted: bool) -> Option<u64> {
    // no-cache: stored, never used unconfirmed.
    if control.no_cache == Scoped::Whole {
        return Some(0);
    }
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(seconds);
    }
    let expires = input.headers.get(header::EXPIRES).filter(|_| !is_targeted)?;
    let mut lines = input.headers.get_all(header::EXPIRES).iter();
    let is_single = lines.next().is_some() && lines.next().is_none();
    let until = expires.to_str().ok().filter(|_| is_single).and_then(date::parse);
    // An invalid date, and "0" above all, means expired (RFC 9111 section 5.3).
    Some(until.map_or(0, |until| until.saturating_sub(date_s(input))))
}

/// `Date`, or the time of receipt.
fn date_s(input: &ResponseInput<'_>) -> u64 {
    let date = input.headers.get(header::DATE).and_then(|date| date.to_str().ok()).and_then(date::parse);
    date.unwrap_or(input.received_ms / 1_000)
}

/// Freshness in seconds by the namespace's mode, and whether it is ours.
fn fresh_s(input: &ResponseInput<'_>, control: &Control, origin: Option<u64>) -> Option<(u64, bool)> {
    let ttl = if NEGATIVE.contains(&input.status) {
        Some(input.namespace.negative_ttl).filter(|ttl| !ttl.is_zero())
    } else if PLAIN.contains(&input.status) {
        input.namespace.ttl
    } else {
        None
    };
    let ttl = ttl.map(|ttl| ttl.as_secs());
    match (input.namespace.mode, origin, ttl) {
        (TtlMode::Override, _, Some(ttl)) => Some((ttl, true)),
        (TtlMode::Cap, Some(origin), Some(ttl)) => Some((origin.min(ttl), ttl < origin)),
        (_, Some(origin), _) => Some((origin, false)),
        (_, None, Some(ttl)) => Some((ttl, true)),
        (_, None, None) => heuristic_s(input, control).map(|seconds| (seconds, false)),
    }
}

/// A tenth of the time since the last change (RFC 9111 section 4.2.2), where the namespace allows it.
fn heuristic_s(input: &ResponseInput<'_>, control: &Control) -> Option<u64> {
    let is_eligible = HEURISTIC.contains(&input.status) || control.public;
    let changed = input.headers.get(header::LAST_MODIFIED)?.to_str().ok().and_then(date::parse)?;
    let tenth = date_s(input).saturating_sub(changed) / 10;
    (input.namespace.heuristic && is_eligible).then_some(tenth.min(HEURISTIC_MAX_S))
}

/// Seconds of stale-while-revalidate and stale-if-error (RFC 5861), within what RFC 9111 section 4.2.4 allows.
fn stale_s(namespace: &Namespace, control: &Control, ours: bool) -> (u32, u32) {
    let forbids = control.must_revalidate
        || control.proxy_revalidate
        || control.no_cache == Scoped::Whole
        || control.s_maxage.is_some();
    if forbids && !(ours && namespace.mode == TtlMode::Override) {
        return (0, 0);
    }
    let of = |origin: Option<u64>, ours: Option<Duration>| {
        let ours = ours.map(|window| window.as_secs());
        let seconds = match (namespace.mode, origin, ours) {
            (TtlMode::Override, _, Some(ours)) => ours,
            (TtlMode::Cap, Some(origin), Some(ours)) => origin.min(ours),
            (_, origin, ours) => origin.or(ours).unwrap_or(0),
        };
        u32::try_from(seconds).unwrap_or(u32::MAX)
    };
    (
        of(control.stale_while_revalidate, namespace.stale_while_revalidate),
        of(control.stale_if_error, namespace.stale_if_error),
    )
}

/// The moment at which the response had age 0 (RFC 9111 section 4.2.3).
fn age_base_ms(input: &ResponseInput<'_>) -> u64 {
    let date = input.headers.get(header::DATE).and_then(|date| date.to_str().ok()).and_then(date::parse);
    let apparent_ms = date.map_or(0, |date| input.received_ms.saturating_sub(date.saturating_mul(1_000)));
    // Below a second it is the date's missing precision, not age.
    let apparent_ms = if apparent_ms < 1_000 { 0 } else { apparent_ms };
    let delay_ms = input.received_ms.saturating_sub(input.request_sent_ms);
    let age_ms = age_s(input.headers).saturating_mul(1_000);
    let corrected_ms = if age_ms == 0 { 0 } else { age_ms.saturating_add(delay_ms) };
    input.received_ms.saturating_sub(apparent_ms.max(corrected_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn judge(namespace: &Namespace, status: u16, lines: &[(&'static str, &'static str)]) -> Storability {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let mut request = HeaderMap::new();
        request.insert("authorization", HeaderValue::from_static("Bearer x"));
        let (request_sent_ms, received_ms) = (NOW_MS, NOW_MS);
        storability(&ResponseInput {
            namespace,
            request: &request,
            status,
            headers: &headers,
            request_sent_ms,
            received_ms,
        })
    }

    fn namespace(mode: TtlMode) -> Namespace {
        Namespace { ttl: Some(Duration::from_secs(300)), mode, ..Namespace::named("n") }
    }

    fn fresh(storability: Storability) -> Option<(u64, bool)> {
        match storability {
            Storability::Store(life) => Some((life.fresh_until_ms.saturating_sub(NOW_MS) / 1_000, life.ours)),
            Storability::Refuse(_) => None,
        }
    }

    #[test]
    fn the_modes_meet_the_origin_as_the_table_says() {
        use TtlMode::{Cap, Override, Respect};
        let with = |mode, control| {
            fresh(judge(&namespace(mode), 200, &[("cache-control", control), ("etag", "\"a\"")]))
        };
        for mode in [Respect, Cap, Override] {
            assert_eq!(fresh(judge(&namespace(mode), 200, &[])), Some((300, true)), "nothing said");
            assert_eq!(with(mode, "no-store"), None);
            assert_eq!(with(mode, "private"), None);
        }
        assert_eq!(
            (with(Respect, "max-age=900"), with(Cap, "max-age=900"), with(Override, "max-age=900")),
            (Some((900, false)), Some((300, true)), Some((300, true)))
        );
        assert_eq!(
            (with(Respect, "no-cache"), with(Cap, "no-cache"), with(Override, "no-cache")),
            (Some((0, false)), Some((0, false)), Some((300, true)))
        );
        assert_eq!(with(Respect, "s-maxage=5, max-age=900"), Some((5, false)));
    }

    #[test]
    fn age_and_date_shorten_freshness() {
        let plain = Namespace::named("n");
        assert_eq!(
            fresh(judge(&plain, 200, &[("cache-control", "max-age=100"), ("age", "40")])),
            Some((60, false))
        );
        let old = [("cache-control", "max-age=100"), ("date", "Tue, 14 Nov 2023 22:12:50 GMT")];
        assert_eq!(fresh(judge(&plain, 200, &old)), Some((70, false)), "the answer was made 30 s ago");
        let expires =
            [("date", "Tue, 14 Nov 2023 22:13:20 GMT"), ("expires", "Tue, 14 Nov 2023 22:14:20 GMT")];
        assert_eq!(fresh(judge(&plain, 200, &expires)), Some((60, false)));
        assert_eq!(
            judge(
                &Namespace { stale_while_revalidate: None, stale_if_error: None, ..plain },
                200,
                &[("expires", "0")]
            ),
            Storability::Refuse("stale")
        );
    }

    #[test]
    fn what_must_never_be_stored_is_not() {
        let all = namespace(TtlMode::Override);
        for status in [206, 304, 400, 401, 403, 429, 500, 502, 503] {
            assert_eq!(judge(&all, status, &[]), Storability::Refuse("status"), "{status}");
        }
        assert_eq!(judge(&all, 200, &[("set-cookie", "a=b")]), Storability::Refuse("set-cookie"));
        assert_eq!(
            judge(&all, 200, &[("content-type", "text/event-stream")]),
            Storability::Refuse("event-stream")
        );
        let public = Namespace { scope: Scope::Public, ..all.clone() };
        assert_eq!(
            judge(&public, 200, &[("cache-control", "max-age=9")]),
            Storability::Refuse("authorization")
        );
        assert!(fresh(judge(&public, 200, &[("cache-control", "public, max-age=9")])).is_some());
        assert_eq!(judge(&Namespace::named("n"), 200, &[]), Storability::Refuse("no-freshness"));
        assert_eq!(fresh(judge(&all, 404, &[])), Some((10, true)), "negative_ttl");
        assert_eq!(judge(&all, 302, &[]), Storability::Refuse("no-freshness"));
    }

    #[test]
    fn stale_windows_end_where_the_origin_insists() {
        let windows = |control| match judge(&Namespace::named("n"), 200, &[("cache-control", control)]) {
            Storability::Store(life) => (life.swr_s, life.sie_s),
            Storability::Refuse(reason) => panic!("{reason}"),
        };
        assert_eq!(windows("max-age=60"), (10, 3_600));
        assert_eq!(windows("max-age=60, stale-while-revalidate=7, stale-if-error=8"), (7, 8));
        for insists in ["must-revalidate", "proxy-revalidate"] {
            let line = format!("max-age=60, {insists}");
            assert_eq!(windows(Box::leak(line.into_boxed_str())), (0, 0));
        }
        assert_eq!(windows("s-maxage=60"), (0, 0));
    }
}
