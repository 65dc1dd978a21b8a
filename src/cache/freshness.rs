//! Age and freshness lifetime of a response as it arrives (RFC 9111 section 4.2).
//!
//! Here stands what the origin says; how the namespace's `ttl` meets it is in [`crate::cache::storability`].

use crate::cache::date::parse_date;
use crate::cache::directives::{ResponseDirectives, delta_seconds};
use http::header::{AGE, DATE, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED};

/// The longest heuristic lifetime: a day (RFC 9111 section 4.2.2 asks for caution above it).
const HEURISTIC_MAX_S: u64 = 86_400;

/// Statuses with a heuristic lifetime (RFC 9110 section 15.1), without 206, which is never stored.
const HEURISTIC_STATUSES: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// When a response was asked for and when its head arrived: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When the request went out.
    pub request_sent_ms: u64,
    /// When the response head was complete.
    pub received_ms: u64,
}

/// The `Age` field: the first member of the first line, digits only; anything else is no age (RFC 9111 section 5.1).
#[must_use]
pub fn age_field_s(headers: &HeaderMap) -> Option<u64> {
    let line = headers.get(AGE)?.to_str().ok()?;
    delta_seconds(line.split(',').next()?.trim_matches([' ', '\t']))
}

/// When the response was 0 seconds old: received minus the corrected initial age (RFC 9111 section 4.2.3).
///
/// The apparent age is taken in whole seconds, because that is how finely `Date` speaks.
#[must_use]
pub fn age_base_ms(headers: &HeaderMap, timing: Timing) -> u64 {
    let received_ms = timing.received_ms;
    let apparent_s = match date_s(headers, &DATE, received_ms) {
        Some(date_s) => (received_ms / 1_000).saturating_sub(u64::try_from(date_s).unwrap_or(0)),
        None => 0,
    };
    let delay_ms = received_ms.saturating_sub(timing.request_sent_ms);
    let corrected_ms = age_field_s(headers).map_or(0, |age_s| age_s * 1_000 + delay_ms);
    received_ms.saturating_sub(corrected_ms.max(apparent_s.saturating_mul(1_000)))
}

/// The explicit freshness lifetime in seconds: `s-maxage`, else `max-age`, else `Expires` minus `Date`
/// (RFC 9111 section 4.2.1). `None`: the origin says nothing; 0: it says "stale", or nobody can read what it says.
#[must_use]
pub fn explicit_s(directives: &ResponseDirectives, headers: &HeaderMap, received_ms: u64) -> Option<u64> {
    let expires = || if directives.targeted { None } else { expires_s(headers, received_ms) };
    directives.s_maxage_s.or(directives.max_age_s).or_else(expires)
}

/// The heuristic lifetime in seconds: a tenth of the time since `Last-Modified`, at most a day, for statuses that
/// allow it or responses marked `public` (RFC 9111 section 4.2.2).
#[must_use]
pub fn heuristic_s(
    status: u16,
    directives: &ResponseDirectives,
    headers: &HeaderMap,
    received_ms: u64,
) -> Option<u64> {
    if !HEURISTIC_STATUSES.contains(&status) && !directives.public {
        return None;
    }
    let modified_s = date_s(headers, &LAST_MODIFIED, received_ms)?;
    let since_s = origin_now_s(headers, received_ms).saturating_sub(modified_s);
    Some((u64::try_from(since_s).unwrap_or(0) / 10).min(HEURISTIC_MAX_S))
}

fn expires_s(headers: &HeaderMap, received_ms: u64) -> Option<u64> {
    let first = headers.get(EXPIRES)?;
    // Lines that contradict each other are as good as a date that cannot be read.
    let one = headers.get_all(EXPIRES).iter().all(|value| value == first);
    let expires_s = date_s(headers, &EXPIRES, received_ms).filter(|_| one);
    let lifetime = expires_s.map(|expires_s| expires_s.saturating_sub(origin_now_s(headers, received_ms)));
    Some(lifetime.and_then(|lifetime_s| u64::try_from(lifetime_s).ok()).unwrap_or(0))
}

/// `Date`, or the time of receipt where it is missing or unreadable (RFC 9110 section 6.6.1).
fn origin_now_s(headers: &HeaderMap, received_ms: u64) -> i64 {
    let received_s = i64::try_from(received_ms / 1_000).unwrap_or(i64::MAX);
    date_s(headers, &DATE, received_ms).unwrap_or(received_s)
}

fn date_s(headers: &HeaderMap, name: &HeaderName, now_ms: u64) -> Option<i64> {
    parse_date(headers.get(name)?.to_str().ok()?, now_ms / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;
    use crate::cache::date::format_date;

    const NOW_S: u64 = 1_790_000_000;
    const TIMING: Timing = Timing { request_sent_ms: NOW_S * 1_000 + 100, received_ms: NOW_S * 1_000 + 700 };

    fn at(offset_s: i64) -> String {
        format_date(NOW_S.checked_add_signed(offset_s).expect("after 1970"))
    }

    #[test]
    fn age_is_the_first_number_of_the_first_line_or_nothing() {
        let age =
            |lines: &[&str]| age_field_s(&map(&lines.iter().map(|line| ("age", *line)).collect::<Vec<_>>()));
        for (lines, expected) in [
            (&["abc"][..], None),
            (&["-7200"], None),
            (&["7200.0"], None),
            (&["2147483647"], Some(2_147_483_647)),
            (&["2147483649"], Some(2_147_483_648)),
            (&["7200, 0"], Some(7_200)),
            (&["0, 7200"], Some(0)),
            (&["7200", "0"], Some(7_200)),
            (&["0", "7200"], Some(0)),
            (&["7200;foo=bar"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(age(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_larger_of_apparent_and_told_age_counts() {
        let base = |fields: &[(&'static str, &str)]| TIMING.received_ms - age_base_ms(&map(fields), TIMING);
        assert_eq!(base(&[]), 0);
        assert_eq!(base(&[("date", &at(0))]), 0, "the part of a second that Date cannot tell is no age");
        assert_eq!(base(&[("date", &at(-30))]), 30_000);
        assert_eq!(
            base(&[("date", &at(-30)), ("age", "100")]),
            100_600,
            "told age plus the response's delay"
        );
        assert_eq!(base(&[("date", &at(-300)), ("age", "100")]), 300_000);
        assert_eq!(base(&[("date", &at(300))]), 0, "an origin whose clock is ahead");
        assert_eq!(base(&[("date", "yesterday")]), 0);
    }

    #[test]
    fn s_maxage_then_max_age_then_expires() {
        let explicit = |fields: &[(&'static str, &str)]| {
            let headers = map(fields);
            explicit_s(&ResponseDirectives::read(&headers), &headers, TIMING.received_ms)
        };
        let expires = at(500);
        assert_eq!(explicit(&[("cache-control", "max-age=7, s-maxage=9"), ("expires", &expires)]), Some(9));
        assert_eq!(explicit(&[("cache-control", "max-age=7"), ("expires", &expires)]), Some(7));
        assert_eq!(explicit(&[("expires", &expires)]), Some(500));
        assert_eq!(
            explicit(&[("expires", &expires), ("date", &at(-100))]),
            Some(600),
            "against Date, not our clock"
        );
        assert_eq!(explicit(&[("expires", &at(-1))]), Some(0));
        assert_eq!(explicit(&[("expires", "0")]), Some(0));
        assert_eq!(explicit(&[("expires", &expires), ("expires", &at(900))]), Some(0));
        assert_eq!(explicit(&[("cdn-cache-control", "foo"), ("expires", &expires)]), None);
        assert_eq!(explicit(&[("cache-control", "public")]), None);
    }

    #[test]
    fn heuristics_take_a_tenth_and_at_most_a_day() {
        let heuristic = |status, fields: &[(&'static str, &str)]| {
            let headers = map(fields);
            heuristic_s(status, &ResponseDirectives::read(&headers), &headers, TIMING.received_ms)
        };
        let hour = at(-3_600);
        for status in HEURISTIC_STATUSES {
            assert_eq!(heuristic(status, &[("last-modified", &hour)]), Some(360), "{status}");
        }
        for status in [201, 202, 403, 502, 503, 504, 599] {
            assert_eq!(heuristic(status, &[("last-modified", &hour)]), None, "{status}");
        }
        assert_eq!(heuristic(599, &[("last-modified", &hour), ("cache-control", "public")]), Some(360));
        assert_eq!(heuristic(200, &[("last-modified", &at(-86_400_000))]), Some(86_400));
        assert_eq!(heuristic(200, &[("last-modified", &at(60))]), Some(0));
        assert_eq!(heuristic(200, &[]), None);
    }
}
