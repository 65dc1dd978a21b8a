//! One line a request, at the tracing target `access`.
//!
//! Never credentials: no field of the request but the user agent, of the query only the names. What a client chose
//! is cut to a length and freed of control characters, so that one request cannot forge another's line.

use crate::telemetry::labels::{CacheResult, LimitDecision};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

/// The tracing target of access lines.
pub const TARGET: &str = "access";

const HOST_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 2_048;
const QUERY_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 256;

/// What is written about one request.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// The value of `X-Request-Id`.
    pub request_id: &'a str,
    /// The client's address as identified, not the peer's.
    pub client: IpAddr,
    /// The request method.
    pub method: &'a str,
    /// The authority.
    pub host: &'a str,
    /// The path without its query.
    pub path: &'a str,
    /// The query as sent; only the names of its parameters are written.
    pub query: Option<&'a str>,
    /// `1.0`, `1.1` or `2`.
    pub http: &'static str,
    /// The response status.
    pub status: u16,
    /// Bytes of the response body.
    pub bytes: u64,
    /// From the end of the request head to the last byte of the response.
    pub duration: Duration,
    /// From choosing a server to the head of its response, if one was asked.
    pub upstream_duration: Option<Duration>,
    /// The route's name as configured.
    pub route: Option<&'a str>,
    /// The upstream's name, if one was asked.
    pub upstream: Option<&'a str>,
    /// The cache's part, on cached routes.
    pub cache: Option<CacheResult>,
    /// What the limits did, on limited routes.
    pub limit: Option<LimitDecision>,
    /// The policy that refused.
    pub policy: Option<&'a str>,
    /// The verified tenant.
    pub tenant: Option<&'a str>,
    /// The verified user.
    pub user: Option<&'a str>,
    /// The name (never the value) of the known API key.
    pub api_key: Option<&'a str>,
    /// The service tier.
    pub tier: Option<&'a str>,
    /// Why Tidegate itself answered with an error: the last part of the problem's type.
    pub refusal: Option<&'static str>,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// Is it a request of ours, made to fill the cache?
    pub is_warming: bool,
}

/// Writes the line; costs a comparison when nobody listens.
pub fn access(record: &AccessRecord<'_>) {
    if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
        return;
    }
    let query = record.query.map(redacted_query);
    let texts = [record.tenant, record.user, record.api_key, record.tier, record.user_agent];
    let [tenant, user, api_key, tier, user_agent] =
        texts.map(|value| value.map(|value| clean(value, TEXT_BYTES_MAX)));
    tracing::info!(
        target: TARGET,
        request_id = &*clean(record.request_id, TEXT_BYTES_MAX),
        client = %record.client,
        method = &*clean(record.method, NAME_BYTES_MAX),
        host = &*clean(record.host, HOST_BYTES_MAX),
        path = &*clean(record.path, PATH_BYTES_MAX),
        query = query.as_deref(),
        http = record.http,
        status = record.status,
        bytes = record.bytes,
        duration_us = micros(record.duration),
        upstream_duration_us = record.upstream_duration.map(micros),
        route = record.route,
        upstream = record.upstream,
        cache = record.cache.map(CacheResult::as_str),
        limit = record.limit.map(LimitDecision::as_str),
        policy = record.policy,
        tenant = tenant.as_deref(),
        user = user.as_deref(),
        api_key = api_key.as_deref(),
        tier = tier.as_deref(),
        refusal = record.refusal,
        user_agent = user_agent.as_deref(),
        warming = record.is_warming.then_some(true),
    );
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The text, at most `bytes_max` bytes of it, with whatever could move a cursor, break a line or turn the direction
/// of writing as percent-encoded bytes.
#[must_use]
pub fn clean(text: &str, bytes_max: usize) -> Cow<'_, str> {
    let cut = cut(text, bytes_max);
    let ellipsis = if cut.len() < text.len() { "…" } else { "" };
    if ellipsis.is_empty() && !cut.chars().any(is_unsafe) {
        return Cow::Borrowed(cut);
    }
    let mut out = String::with_capacity(cut.len() + 16);
    for character in cut.chars() {
        if is_unsafe(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                write!(out, "%{byte:02X}").unwrap_or_default();
            }
        } else {
            out.push(character);
        }
    }
    out.push_str(ellipsis);
    Cow::Owned(out)
}

/// The longest head of the text that is whole characters and at most `bytes_max` bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = bytes_max.min(text.len());
    (0..=end).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// Control characters, line and paragraph separators, bidirectional marks (Unicode TR 9), zero-width characters.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// The query with every value as `*`. A part without `=`, or with a name longer than any sensible one, may be a
/// value itself and is written as `*` whole.
#[must_use]
pub fn redacted_query(query: &str) -> String {
    let mut out = String::with_capacity(query.len().min(QUERY_BYTES_MAX));
    for part in query.split('&') {
        if out.len() >= QUERY_BYTES_MAX {
            out.push('…');
            break;
        }
        if !out.is_empty() {
            out.push('&');
        }
        match part.split_once('=') {
            Some((name, _)) if name.len() <= NAME_BYTES_MAX => {
                out.push_str(&clean(name, NAME_BYTES_MAX));
                out.push_str("=*");
            }
            _ => out.push('*'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_client_cannot_begin_a_new_line_or_move_the_cursor() {
        assert_eq!(clean("/a\r\n2026 ok\u{1b}[2J\u{7f}", 100), "/a%0D%0A2026 ok%1B[2J%7F");
        assert_eq!(clean("user\u{202e}nimda", 100), "user%E2%80%AEnimda");
        assert_eq!(clean("größe", 100), "größe");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(clean("größe", 3), "gr…");
        assert_eq!(clean("größe", 4), "grö…");
        assert_eq!(clean("", 4), "");
    }

    #[test]
    fn of_a_query_only_names_are_written() {
        assert_eq!(redacted_query("page=2&token=s3cret&x="), "page=*&token=*&x=*");
        assert_eq!(redacted_query("s3cret"), "*");
        assert_eq!(redacted_query("a=b=c&&d"), "a=*&*&*");
        assert_eq!(redacted_query(&format!("{}=1", "k".repeat(65))), "*");
        assert!(redacted_query(&"ab=1&".repeat(1_000)).len() < QUERY_BYTES_MAX + 16);
    }

    proptest! {
        #[test]
        fn cleaned_text_is_one_bounded_line_of_visible_characters(text in any::<String>(), bytes_max in 0_usize..40) {
            let cleaned = clean(&text, bytes_max);
            prop_assert!(!cleaned.chars().any(is_unsafe));
            prop_assert!(cleaned.len() <= 3 * bytes_max + "…".len());
        }

        #[test]
        fn no_value_of_a_query_survives(names in prop::collection::vec("[a-f]{1,8}", 1..6), value in "[0-9]{6,20}") {
            let parts: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
            prop_assert!(!redacted_query(&parts.join("&")).contains(&value));
        }
    }
}
