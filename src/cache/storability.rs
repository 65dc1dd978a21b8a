//! May this response be stored, and for how long: RFC 9111 sections 3 and 4.2, the namespace's rules, and the
//! stricter rules of a cache that several tenants share.

use crate::base::clock::millis;
use crate::cache::directives::ResponseDirectives;
use crate::cache::freshness::{self, Timing};
use crate::cache::lifetime::{KEEP_S, Lifetime};
use crate::cache::namespace::{Namespace, Scope, SetCookie, TtlMode};
use crate::cache::vary::selecting_fields;
use crate::identity::Caller;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, SET_COOKIE};
use std::time::Duration;

/// A response on its way from the origin. `headers` are the origin's, unchanged.
#[derive(Debug, Clone, Copy)]
pub struct ResponseInput<'r> {
    /// The route's namespace.
    pub namespace: &'r Namespace,
    /// Who asked.
    pub caller: &'r Caller,
    /// The fields that the client sent.
    pub request: &'r HeaderMap,
    /// The response's status; after a 304 that of the stored response.
    pub status: u16,
    /// The response's fields; after a 304 the merged ones.
    pub headers: &'r HeaderMap,
    /// When the request went to the origin, wall milliseconds.
    pub request_sent_ms: u64,
    /// When the response head arrived, wall milliseconds.
    pub received_ms: u64,
}

/// The verdict on a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storability {
    /// Store it for this long, selected by these request fields (sorted).
    Store(Lifetime, Vec<HeaderName>),
    /// Do not.
    Refuse(Refused),
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its status is never stored here, or only with freshness that it does not bring.
    Status,
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// `must-understand` with a status that we do not.
    MustUnderstand,
    /// The request carried credentials and nothing allows sharing (RFC 9111 section 3.5).
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`, unreadable, or too many fields.
    Vary,
    /// A stream without an end (`text/event-stream`).
    Stream,
    /// Nobody says how long it is fresh.
    NoFreshness,
    /// It is stale already and there is no validator to ask with.
    AlreadyStale,
}

impl Refused {
    /// A stable word for `explain`, `Cache-Status` and metrics.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::MustUnderstand => "must-understand",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Stream => "stream",
            Self::NoFreshness => "no-freshness",
            Self::AlreadyStale => "already-stale",
        }
    }
}

/// Decides. The order is that of severity, so that `explain` names the strongest reason.
#[must_use]
pub fn storability(input: &ResponseInput<'_>) -> Storability {
    let directives = ResponseDirectives::read(input.headers);
    let verdict = permitted(input, &directives)
        .and_then(|(rule, selecting)| Ok((lifetime(input, &directives, rule)?, selecting)));
    match verdict {
        Ok((lifetime, selecting)) => Storability::Store(lifetime, selecting),
        Err(refused) => Storability::Refuse(refused),
    }
}

/// What a status needs in order to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusRule {
    /// The namespace's `ttl` is enough.
    Ordinary,
    /// "Not there": the namespace's `negative_ttl` is enough.
    Negative,
    /// The origin's explicit freshness.
    Explicit,
    /// Nothing helps.
    Never,
}

fn status_rule(status: u16, error_statuses: bool) -> StatusRule {
    match status {
        200 | 203 | 301 | 308 => StatusRule::Ordinary,
        404 | 410 => StatusRule::Negative,
        // About this request, this caller or this moment, never about the resource.
        206 | 304 | 401 | 403 | 407 | 412 | 416 | 429 | 431 => StatusRule::Never,
        200..400 => StatusRule::Explicit,
        400..600 if error_statuses => StatusRule::Explicit,
        _ => StatusRule::Never,
    }
}

/// Final statuses whose caching rules we follow (RFC 9111 section 5.2.2.3).
fn understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300..=303 | 307 | 308 | 404 | 405 | 410 | 414 | 451 | 501)
}

/// What its status needs, and the fields that select it.
fn permitted(
    input: &ResponseInput<'_>,
    directives: &ResponseDirectives,
) -> Result<(StatusRule, Vec<HeaderName>), Refused> {
    let rule = status_rule(input.status, input.namespace.error_statuses);
    if rule == StatusRule::Never {
        return Err(Refused::Status);
    }
    if directives.must_understand && !understood(input.status) {
        return Err(Refused::MustUnderstand);
    }
    if directives.no_store && !directives.must_understand {
        return Err(Refused::NoStore);
    }
    if directives.private.is_whole() {
        return Err(Refused::Private);
    }
    if !may_share(input, directives) {
        return Err(Refused::Authorization);
    }
    if sets_cookie(input, directives) {
        return Err(Refused::SetCookie);
    }
    let selecting = selecting_fields(input.headers).ok_or(Refused::Vary)?;
    if endless(input.headers) {
        return Err(Refused::Stream);
    }
    Ok((rule, selecting))
}

/// RFC 9111 section 3.5 for scope public. Scope tenant or user is the operator's permission to share inside the
/// scope, and the key keeps it there.
fn may_share(input: &ResponseInput<'_>, directives: &ResponseDirectives) -> bool {
    let caller = input.caller;
    let credentials = input.request.contains_key(AUTHORIZATION)
        || caller.rejected_credential
        || caller.user.is_some()
        || caller.api_key.is_some()
        || caller.tenant.is_some();
    let allowed = directives.public || directives.must_revalidate || directives.s_maxage_s.is_some();
    input.namespace.scope != Scope::Public || !credentials || allowed
}

fn sets_cookie(input: &ResponseInput<'_>, directives: &ResponseDirectives) -> bool {
    // A field that `private="set-cookie"` or `no-cache="set-cookie"` takes out is not stored with the rest.
    let taken_out = [&directives.private, &directives.no_cache]
        .into_iter()
        .any(|restriction| restriction.fields().contains(&SET_COOKIE));
    input.namespace.set_cookie == SetCookie::Refuse && input.headers.contains_key(SET_COOKIE) && !taken_out
}

fn endless(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    ["text/event-stream", "multipart/x-mixed-replace"].iter().any(|name| media.eq_ignore_ascii_case(name))
}

/// Who made the response fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Origin,
    Heuristic,
    /// Our `ttl`, where the origin says nothing.
    Namespace,
    /// Our `ttl`, whatever the origin says.
    Override,
}

fn lifetime(
    input: &ResponseInput<'_>,
    directives: &ResponseDirectives,
    rule: StatusRule,
) -> Result<Lifetime, Refused> {
    let timing = Timing { request_sent_ms: input.request_sent_ms, received_ms: input.received_ms };
    let age_base_ms = freshness::age_base_ms(input.headers, timing);
    let (fresh_until_ms, source) = fresh_until(input, directives, rule, age_base_ms)?;
    let overriding = source == Source::Override;
    let strict = directives.must_revalidate
        || directives.proxy_revalidate
        || (!overriding && (directives.no_cache.is_whole() || directives.s_maxage_s.is_some()));
    let (swr_s, sie_s) = if strict { (0, 0) } else { windows(input.namespace, directives, source) };
    let keep_s = if has_validator(input.headers) { KEEP_S } else { 0 };
    let ours = overriding || source == Source::Namespace;
    let found = Lifetime { age_base_ms, fresh_until_ms, swr_s, sie_s, keep_s, ours, strict };

    // The namespace's windows are for answers that were fresh once: without this, every `max-age=0` would be kept
    // for the day when the origin fails.
    let by_origin = directives.stale_while_revalidate_s.is_some() || directives.stale_if_error_s.is_some();
    let worth_keeping = keep_s > 0 || (by_origin && swr_s.max(sie_s) > 0);
    if found.is_fresh(input.received_ms) || worth_keeping { Ok(found) } else { Err(Refused::AlreadyStale) }
}

/// The origin's freshness and ours, met by the namespace's mode: table "what the origin says" of `docs/caching.md`.
fn fresh_until(
    input: &ResponseInput<'_>,
    directives: &ResponseDirectives,
    rule: StatusRule,
    age_base_ms: u64,
) -> Result<(u64, Source), Refused> {
    let received_ms = input.received_ms;
    let origin_until = |lifetime_s: u64| age_base_ms.saturating_add(lifetime_s.saturating_mul(1_000));
    let explicit_until = freshness::explicit_s(directives, input.headers, received_ms).map(origin_until);
    let own_until = own_ttl(input.namespace, rule).map(|ttl| received_ms.saturating_add(millis(ttl)));
    let no_cache =
        directives.no_cache.is_whole() && (explicit_until.is_some() || rule != StatusRule::Explicit);

    match (input.namespace.mode, explicit_until, own_until) {
        (TtlMode::Override, _, Some(until_ms)) => Ok((until_ms, Source::Override)),
        _ if no_cache => Ok((age_base_ms, Source::Origin)),
        (TtlMode::Cap, Some(origin_ms), Some(own_ms)) => Ok((origin_ms.min(own_ms), Source::Origin)),
        (_, Some(origin_ms), _) => Ok((origin_ms, Source::Origin)),
        (_, None, Some(own_ms)) => Ok((own_ms, Source::Namespace)),
        (_, None, None) if input.namespace.heuristic => {
            freshness::heuristic_s(input.status, directives, input.headers, received_ms)
                .map(|lifetime_s| (origin_until(lifetime_s), Source::Heuristic))
                .ok_or(Refused::NoFreshness)
        }
        (_, None, None) => Err(Refused::NoFreshness),
    }
}

/// The namespace's freshness for a status. An absence is believed for a tenth of the time at most, and only where
/// the namespace has a `ttl` at all.
fn own_ttl(namespace: &Namespace, rule: StatusRule) -> Option<Duration> {
    let ttl = namespace.ttl?;
    match rule {
        StatusRule::Ordinary => Some(ttl),
        StatusRule::Negative => Some(namespace.negative_ttl.min(ttl / 10)).filter(|ttl| !ttl.is_zero()),
        StatusRule::Explicit | StatusRule::Never => None,
    }
}

/// `stale-while-revalidate` and `stale-if-error` in seconds.
///
/// Where the origin gives explicit freshness, only the origin may allow serving its answer stale while nothing is
/// wrong. When it fails, the namespace's `stale_if_error` counts too.
fn windows(namespace: &Namespace, directives: &ResponseDirectives, source: Source) -> (u32, u32) {
    let own_swr = namespace.stale_while_revalidate.map(whole_seconds);
    let own_sie = namespace.stale_if_error.map(whole_seconds);
    let origin_swr = directives.stale_while_revalidate_s.map(clamp);
    let origin_sie = directives.stale_if_error_s.map(clamp);
    if source == Source::Override {
        return (own_swr.or(origin_swr).unwrap_or(0), own_sie.or(origin_sie).unwrap_or(0));
    }
    let default_swr = if source == Source::Origin { None } else { own_swr };
    let swr = origin_swr.or(default_swr).unwrap_or(0);
    let sie = origin_sie.or(own_sie).unwrap_or(0);
    if namespace.mode == TtlMode::Cap {
        return (swr.min(own_swr.unwrap_or(swr)), sie.min(own_sie.unwrap_or(sie)));
    }
    (swr, sie)
}

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

fn whole_seconds(duration: Duration) -> u32 {
    clamp(duration.as_secs())
}

fn clamp(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;
    use crate::cache::date::format_date;

    const NOW_S: u64 = 1_790_000_000;
    const NOW_MS: u64 = NOW_S * 1_000;

    fn anonymous() -> Caller {
        Caller::default()
    }

    fn verdict_for(
        namespace: &Namespace,
        caller: &Caller,
        request: &[(&'static str, &str)],
        status: u16,
        fields: &[(&'static str, &str)],
    ) -> Storability {
        let (request, headers) = (&map(request), &map(fields));
        let (request_sent_ms, received_ms) = (NOW_MS, NOW_MS);
        storability(&ResponseInput {
            namespace,
            caller,
            request,
            status,
            headers,
            request_sent_ms,
            received_ms,
        })
    }

    fn verdict(namespace: &Namespace, status: u16, fields: &[(&'static str, &str)]) -> Storability {
        verdict_for(namespace, &anonymous(), &[], status, fields)
    }

    fn refused(namespace: &Namespace, status: u16, fields: &[(&'static str, &str)]) -> Option<Refused> {
        match verdict(namespace, status, fields) {
            Storability::Store(..) => None,
            Storability::Refuse(why) => Some(why),
        }
    }

    fn stored(namespace: &Namespace, status: u16, fields: &[(&'static str, &str)]) -> Lifetime {
        match verdict(namespace, status, fields) {
            Storability::Store(lifetime, _) => lifetime,
            Storability::Refuse(why) => panic!("refused: {why:?}"),
        }
    }

    /// Remaining freshness at receipt in seconds, and whether it is ours; `None`: not stored.
    type Verdict = Option<(i64, bool)>;

    type Fields<'f> = &'f [(&'static str, &'f str)];

    fn ttl(mode: TtlMode, fields: &[(&'static str, &str)]) -> Verdict {
        let namespace = Namespace { mode, ttl: Some(Duration::from_secs(300)), ..Namespace::named("n") };
        match verdict(&namespace, 200, fields) {
            Storability::Store(lifetime, _) => Some((lifetime.ttl_s(NOW_MS), lifetime.ours)),
            Storability::Refuse(_) => None,
        }
    }

    fn plain() -> Namespace {
        Namespace::named("n")
    }

    fn cc(words: &str) -> [(&'static str, &str); 1] {
        [("cache-control", words)]
    }

    #[test]
    fn the_table_of_modes() {
        use TtlMode::{Cap, Override, Respect};
        let tag = ("etag", "\"a\"");
        let expires = format_date(NOW_S + 700);
        let rows: [(Fields<'_>, [Verdict; 3]); 12] = [
            (&[], [Some((300, true)); 3]),
            (&cc("max-age=60"), [Some((60, false)), Some((60, false)), Some((300, true))]),
            (&cc("max-age=900"), [Some((900, false)), Some((300, false)), Some((300, true))]),
            (&cc("s-maxage=900, max-age=1"), [Some((900, false)), Some((300, false)), Some((300, true))]),
            (&[("expires", &expires)], [Some((700, false)), Some((300, false)), Some((300, true))]),
            (
                &[("cdn-cache-control", "max-age=900"), ("cache-control", "no-store")],
                [Some((900, false)), Some((300, false)), Some((300, true))],
            ),
            (
                &[("cache-control", "max-age=900"), ("age", "850")],
                [Some((50, false)), Some((50, false)), Some((300, true))],
            ),
            (&[("cache-control", "max-age=0"), tag], [Some((0, false)), Some((0, false)), Some((300, true))]),
            (&[("cache-control", "no-cache"), tag], [Some((0, false)), Some((0, false)), Some((300, true))]),
            (&cc("max-age=oops"), [None, None, Some((300, true))]),
            (&cc("no-store"), [None; 3]),
            (&cc("private, max-age=60"), [None; 3]),
        ];
        for (fields, expected) in rows {
            for (mode, expected) in [Respect, Cap, Override].into_iter().zip(expected) {
                assert_eq!(ttl(mode, fields), expected, "{mode:?} {fields:?}");
            }
        }
    }

    #[test]
    fn without_any_freshness_nothing_is_stored_unless_heuristics_are_on() {
        let modified = format_date(NOW_S - 1_000);
        let fields = [("last-modified", modified.as_str())];
        assert_eq!(refused(&plain(), 200, &[]), Some(Refused::NoFreshness));
        assert_eq!(refused(&plain(), 200, &fields), Some(Refused::NoFreshness));
        let heuristic = Namespace { heuristic: true, ..plain() };
        let lifetime = stored(&heuristic, 200, &fields);
        assert_eq!((lifetime.ttl_s(NOW_MS), lifetime.ours), (100, false));
        assert_eq!(refused(&heuristic, 200, &[]), Some(Refused::NoFreshness));
        assert_eq!(refused(&heuristic, 201, &fields), Some(Refused::NoFreshness));
    }

    #[test]
    fn statuses_by_their_rule() {
        let with_ttl = Namespace { ttl: Some(Duration::from_secs(60)), ..plain() };
        let permissive = Namespace { error_statuses: true, ..plain() };
        let fresh = cc("max-age=60, public");
        for status in 100..=600 {
            let ordinary = [200, 203, 301, 308].contains(&status);
            let negative = [404, 410].contains(&status);
            assert_eq!(refused(&with_ttl, status, &[]).is_none(), ordinary || negative, "{status} by ttl");
            let success = (200..400).contains(&status) && ![206, 304].contains(&status);
            assert_eq!(refused(&plain(), status, &fresh).is_none(), success || negative, "{status} explicit");
        }
        for status in [400, 405, 413, 414, 499, 500, 502, 503, 504, 599] {
            assert_eq!(refused(&permissive, status, &fresh), None, "{status}");
            assert_eq!(refused(&permissive, status, &[]), Some(Refused::NoFreshness), "{status}");
        }
        for status in [100, 103, 206, 304, 401, 403, 407, 412, 416, 429, 431, 600] {
            assert_eq!(refused(&permissive, status, &fresh), Some(Refused::Status), "{status}");
        }
    }

    #[test]
    fn an_absence_is_believed_for_a_short_time_only() {
        let of = |ttl_s: Option<u64>, negative_s, fields: &[(&'static str, &str)]| {
            let ttl = ttl_s.map(Duration::from_secs);
            let namespace = Namespace { ttl, negative_ttl: Duration::from_secs(negative_s), ..plain() };
            match verdict(&namespace, 404, fields) {
                Storability::Store(lifetime, _) => Some(lifetime.ttl_s(NOW_MS)),
                Storability::Refuse(_) => None,
            }
        };
        assert_eq!((of(Some(300), 10, &[]), of(Some(60), 10, &[])), (Some(10), Some(6)));
        assert_eq!((of(Some(300), 0, &[]), of(None, 10, &[])), (None, None));
        assert_eq!(of(None, 0, &cc("max-age=50")), Some(50));
    }

    #[test]
    fn credentials_are_shared_in_scope_public_only_where_the_origin_allows() {
        let public = Namespace { scope: Scope::Public, ..plain() };
        let known = Caller { api_key: Some("k".into()), ..anonymous() };
        let rejected = Caller { rejected_credential: true, ..anonymous() };
        let token = [("authorization", "Bearer x")];
        let no = Storability::Refuse(Refused::Authorization);
        for (caller, request) in [(anonymous(), &token[..]), (known, &[]), (rejected, &[])] {
            let of = |words| verdict_for(&public, &caller, request, 200, &cc(words));
            assert_eq!(of("max-age=60"), no);
            for words in ["public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"] {
                assert_ne!(of(words), no, "{words}");
            }
            assert_eq!(of("max-age=60, proxy-revalidate"), no);
            let tenant = verdict_for(&plain(), &caller, request, 200, &cc("max-age=60"));
            assert!(matches!(tenant, Storability::Store(..)), "inside its scope the answer is shared");
        }
    }

    #[test]
    fn cookies_set_by_the_answer_follow_the_namespace() {
        let fields = [("cache-control", "max-age=60"), ("set-cookie", "a=1")];
        assert_eq!(refused(&plain(), 200, &fields), Some(Refused::SetCookie));
        for set_cookie in [SetCookie::Strip, SetCookie::Store] {
            assert_eq!(refused(&Namespace { set_cookie, ..plain() }, 200, &fields), None);
        }
        let taken_out = [("cache-control", "max-age=60, private=\"Set-Cookie\""), ("set-cookie", "a=1")];
        assert_eq!(refused(&plain(), 200, &taken_out), None);
        let other = [("cache-control", "max-age=60, private=\"x\""), ("set-cookie", "a=1")];
        assert_eq!(refused(&plain(), 200, &other), Some(Refused::SetCookie));
    }

    #[test]
    fn what_cannot_be_one_answer_for_many_is_refused() {
        let with = |name, value| {
            let namespace =
                Namespace { ttl: Some(Duration::from_secs(60)), mode: TtlMode::Override, ..plain() };
            refused(&namespace, 200, &[("cache-control", "max-age=60"), (name, value)])
        };
        assert_eq!(with("vary", "accept, *"), Some(Refused::Vary));
        assert_eq!(with("content-type", "Text/Event-Stream; charset=utf-8"), Some(Refused::Stream));
        assert_eq!(with("vary", "accept"), None);
    }

    #[test]
    fn must_understand_stands_for_no_store_where_we_understand() {
        let words = cc("max-age=60, no-store, must-understand");
        let permissive = Namespace { error_statuses: true, ..plain() };
        assert_eq!(refused(&permissive, 200, &words), None);
        assert_eq!(refused(&permissive, 599, &words), Some(Refused::MustUnderstand));
        assert_eq!(
            refused(&permissive, 299, &cc("max-age=60, must-understand")),
            Some(Refused::MustUnderstand)
        );
    }

    #[test]
    fn a_stale_answer_is_kept_only_for_its_validator_or_by_the_origins_wish() {
        assert_eq!(refused(&plain(), 200, &cc("max-age=0")), Some(Refused::AlreadyStale));
        assert_eq!(refused(&plain(), 200, &cc("no-cache")), Some(Refused::AlreadyStale));
        assert_eq!(refused(&plain(), 200, &cc("no-cache, stale-if-error=60")), Some(Refused::AlreadyStale));
        assert_eq!(stored(&plain(), 200, &cc("max-age=0, stale-if-error=60")).sie_s, 60);
        for validator in [("etag", "\"a\""), ("last-modified", "x")] {
            let lifetime = stored(&plain(), 200, &[("cache-control", "no-cache"), validator]);
            assert_eq!((lifetime.keep_s, lifetime.swr_s, lifetime.sie_s), (KEEP_S, 0, 0));
            assert!(!lifetime.is_fresh(NOW_MS) && lifetime.strict);
        }
    }

    fn stale_windows(namespace: &Namespace, words: &str) -> (u32, u32) {
        let lifetime = stored(namespace, 200, &cc(words));
        (lifetime.swr_s, lifetime.sie_s)
    }

    #[test]
    fn windows_of_stale_serving() {
        let respect = plain();
        assert_eq!(
            stale_windows(&respect, "max-age=60"),
            (0, 3_600),
            "fresh words of the origin: no SWR of ours"
        );
        assert_eq!(stale_windows(&respect, "max-age=60, stale-while-revalidate=5, stale-if-error=6"), (5, 6));
        let ours = Namespace { ttl: Some(Duration::from_secs(60)), ..plain() };
        assert_eq!(stale_windows(&ours, "x"), (10, 3_600));
        let cap = Namespace { mode: TtlMode::Cap, stale_if_error: Some(Duration::ZERO), ..ours.clone() };
        assert_eq!(stale_windows(&cap, "max-age=60, stale-while-revalidate=99, stale-if-error=99"), (10, 0));
        let over = Namespace { mode: TtlMode::Override, ..ours };
        assert_eq!(stale_windows(&over, "s-maxage=60, stale-while-revalidate=99, no-cache"), (10, 3_600));
        let silent = Namespace { stale_while_revalidate: None, stale_if_error: None, ..over.clone() };
        assert_eq!(stale_windows(&silent, "stale-while-revalidate=99"), (99, 0));
        for words in ["must-revalidate", "proxy-revalidate"] {
            let words = format!("max-age=60, stale-if-error=9, {words}");
            assert_eq!(stale_windows(&respect, &words), (0, 0), "{words}");
            assert_eq!(stale_windows(&over, &words), (0, 0), "{words}");
        }
        assert_eq!(stale_windows(&respect, "s-maxage=60, stale-if-error=9"), (0, 0));
    }
}
