//! `Cache-Control`, structured fields and dates.

use super::{Target, text};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::fmt::Write as _;
use tidegate::cache::date::{format_date, parse_date};
use tidegate::cache::directives::{RequestDirectives, ResponseDirectives, delta_seconds};
use tidegate::cache::structured::{Bare, dictionary};

pub(crate) const TARGET: Target = Target {
    name: "fields",
    holds,
    words: &[
        "max-age=",
        "s-maxage=",
        "no-store",
        "no-cache",
        "private",
        "public",
        "=\"",
        "\"",
        ",",
        ", ",
        "=",
        ";",
        "\\",
        "?1",
        "?0",
        ":YQ==:",
        "(",
        ")",
        "1.5",
        "-1",
        "999999999999999",
        "2147483649",
        "a;b=1",
        "*",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "31 Feb",
        "24:00:00",
        "9999",
        "\t",
        "must-understand",
        "stale-while-revalidate=5",
        "only-if-cached",
        "max-stale",
        "min-fresh=1",
    ],
    seeds: &[],
};

const FIELD: HeaderName = HeaderName::from_static("cdn-cache-control");

fn holds(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let of = |name: HeaderName, value: &HeaderValue| HeaderMap::from_iter([(name, value.clone())]);
    directives(input, &of(header::CACHE_CONTROL, &value));
    structured(&of(FIELD, &value));
    date(&text(input));
    let seconds = delta_seconds(&text(input));
    assert!(seconds.is_none_or(|seconds| seconds <= 1 << 31), "{seconds:?}");
}

fn directives(input: &[u8], headers: &HeaderMap) {
    let (asked, answered) = (RequestDirectives::read(headers), ResponseDirectives::read(headers));
    // A quoted comma belongs to its member, so only lines without quotes can be cut.
    if input.contains(&b'"') {
        return;
    }
    let mut cut = HeaderMap::new();
    for member in input.split(|byte| *byte == b',') {
        cut.append(header::CACHE_CONTROL, HeaderValue::from_bytes(member).expect("part of a value"));
        let member = member.trim_ascii();
        if member.eq_ignore_ascii_case(b"no-store") {
            assert!(answered.no_store && asked.no_store, "no-store is not seen");
        }
        if member.eq_ignore_ascii_case(b"private") {
            assert!(answered.private.is_whole(), "private is not seen");
        }
    }
    assert_eq!(RequestDirectives::read(&cut), asked, "several lines are one list (RFC 9110 section 5.3)");
    assert_eq!(ResponseDirectives::read(&cut), answered, "several lines are one list (RFC 9110 section 5.3)");
}

fn structured(headers: &HeaderMap) {
    let Some(members) = dictionary(headers, &FIELD) else { return };
    let mut written = String::new();
    for (name, value) in &members {
        assert_eq!(members.iter().filter(|(other, _)| other == name).count(), 1, "{name} twice");
        let separator = if written.is_empty() { "" } else { ", " };
        write!(written, "{separator}{name}").expect("text");
        match value {
            Bare::Integer(number) => write!(written, "={number}").expect("text"),
            Bare::Boolean(is_true) => write!(written, "=?{}", u8::from(*is_true)).expect("text"),
            Bare::Text(text) => {
                let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
                write!(written, "=\"{escaped}\"").expect("text");
            }
            Bare::Other => write!(written, "=token").expect("text"),
        }
    }
    let value = HeaderValue::try_from(written).expect("a dictionary is a field value");
    let again = dictionary(&HeaderMap::from_iter([(FIELD, value)]), &FIELD);
    assert_eq!(again, Some(members), "written and read again");
}

fn date(text: &str) {
    const NOW_S: u64 = 1_767_225_600;
    let Some(seconds) = parse_date(text, NOW_S) else { return };
    if let Ok(since) = u64::try_from(seconds) {
        assert_eq!(
            parse_date(&format_date(since), NOW_S),
            Some(seconds),
            "{text} is written as another time"
        );
    }
}
