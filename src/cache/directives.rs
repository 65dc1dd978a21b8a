//! What `Cache-Control` says, in responses and requests (RFC 9111 section 5.2), and `CDN-Cache-Control` in its
//! place (RFC 9213).
//!
//! In doubt the restrictive reading wins: a lifetime that cannot be read is 0, a restriction with a strange argument
//! is the unqualified restriction, and contradicting duplicates count as 0 (RFC 9111 section 4.2.1).

use crate::cache::structured::{self, Bare};
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use std::borrow::Cow;

/// The field that speaks to caches like this one (RFC 9213 section 3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Longest delta-seconds that is told apart (RFC 9111 section 1.2.2).
pub const DELTA_MAX_S: u64 = 1 << 31;

/// A restriction that may be limited to fields: `private`, `no-cache` (RFC 9111 sections 5.2.2.4, 5.2.2.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Restriction {
    /// Not said.
    #[default]
    Absent,
    /// Said of these fields (lower-case) only.
    Fields(Vec<HeaderName>),
    /// Said of the whole response.
    Whole,
}

impl Restriction {
    /// Is the whole response restricted?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::Whole
    }

    /// The fields that are restricted, if only fields are.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Whole => &[],
        }
    }

    fn add(&mut self, argument: Option<&Argument<'_>>) {
        let named = match argument {
            Some(Argument::Quoted(list)) => field_names(list),
            Some(Argument::Token(_) | Argument::Malformed) | None => None,
        };
        match (named, &mut *self) {
            (Some(names), Self::Absent) => *self = Self::Fields(names),
            (Some(names), Self::Fields(known)) => known.extend(names),
            (Some(_), Self::Whole) => {}
            (None, _) => *self = Self::Whole,
        }
    }
}

/// The directives of a response that a shared cache obeys. Lifetimes are seconds; `Some(0)` also stands for one that
/// could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one directive of the RFC")]
pub struct ResponseDirectives {
    /// `max-age`
    pub max_age_s: Option<u64>,
    /// `s-maxage`
    pub s_maxage_s: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861 section 3)
    pub stale_while_revalidate_s: Option<u64>,
    /// `stale-if-error` (RFC 5861 section 4)
    pub stale_if_error_s: Option<u64>,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`
    pub no_cache: Restriction,
    /// `private`
    pub private: Restriction,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// The directives come from `CDN-Cache-Control`: `Cache-Control` and `Expires` say nothing to us.
    pub targeted: bool,
}

impl ResponseDirectives {
    /// Reads a response's fields. A valid, non-empty `CDN-Cache-Control` replaces `Cache-Control`; an invalid one is
    /// ignored (RFC 9213 section 2.2).
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        targeted(headers).unwrap_or_else(|| general(headers))
    }

    fn apply(&mut self, name: &str, argument: Option<&Argument<'_>>) {
        let slot = match name {
            "max-age" => &mut self.max_age_s,
            "s-maxage" => &mut self.s_maxage_s,
            "stale-while-revalidate" => &mut self.stale_while_revalidate_s,
            "stale-if-error" => &mut self.stale_if_error_s,
            "no-cache" => return self.no_cache.add(argument),
            "private" => return self.private.add(argument),
            _ => return self.apply_flag(name),
        };
        *slot = Some(agree(*slot, seconds(argument).unwrap_or(0)));
    }

    fn apply_flag(&mut self, name: &str) {
        match name {
            "no-store" => self.no_store = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            _ => {}
        }
    }

    /// A field of which a part could not be read grants nothing.
    fn grant_nothing(&mut self) {
        self.public = false;
        for slot in [&mut self.max_age_s, &mut self.s_maxage_s] {
            *slot = slot.map(|_| 0);
        }
        self.stale_while_revalidate_s = Some(0);
        self.stale_if_error_s = Some(0);
    }
}

/// The directives of a request (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// `max-age`: an older answer is not wanted.
    pub max_age_s: Option<u64>,
    /// `min-fresh`: it must stay fresh this much longer.
    pub min_fresh_s: Option<u64>,
    /// `max-stale`: it may be stale this long; `u64::MAX` without an argument.
    pub max_stale_s: Option<u64>,
    /// `no-cache`: only after asking the origin.
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `only-if-cached`: 504 rather than ask the origin.
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads a request's `Cache-Control`; without one, `Pragma: no-cache` counts as `no-cache`.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut any = false;
        for line in lines(headers, &CACHE_CONTROL) {
            any = true;
            for member in Members::new(&line) {
                found.apply(&member.name, member.argument.as_ref());
            }
        }
        if !any {
            let mut pragma = lines(headers, &http::header::PRAGMA);
            found.no_cache = pragma.any(|line| Members::new(&line).any(|member| member.name == "no-cache"));
        }
        found
    }

    fn apply(&mut self, name: &str, argument: Option<&Argument<'_>>) {
        match name {
            "max-age" => self.max_age_s = Some(agree(self.max_age_s, seconds(argument).unwrap_or(0))),
            "min-fresh" => self.min_fresh_s = seconds(argument),
            "max-stale" => {
                self.max_stale_s = if argument.is_none() { Some(u64::MAX) } else { seconds(argument) };
            }
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// The members of one `Cache-Control` line: lower-case name and the text as it was written.
#[must_use]
pub fn members(line: &str) -> Vec<(String, &str)> {
    Members::new(line).map(|member| (member.name, member.text)).collect()
}

/// Delta-seconds: digits only, capped at [`DELTA_MAX_S`].
#[must_use]
pub fn delta_seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are beyond the cap.
    digits.then(|| text.parse().unwrap_or(DELTA_MAX_S).min(DELTA_MAX_S))
}

fn agree(before: Option<u64>, now: u64) -> u64 {
    if before.is_none_or(|before| before == now) { now } else { 0 }
}

fn seconds(argument: Option<&Argument<'_>>) -> Option<u64> {
    match argument? {
        Argument::Token(text) => delta_seconds(text),
        Argument::Quoted(text) => delta_seconds(text),
        Argument::Malformed => None,
    }
}

fn general(headers: &HeaderMap) -> ResponseDirectives {
    let mut found = ResponseDirectives::default();
    let mut doubtful = false;
    for value in headers.get_all(CACHE_CONTROL) {
        let line = String::from_utf8_lossy(value.as_bytes());
        let mut members = Members::new(&line);
        for member in members.by_ref() {
            found.apply(&member.name, member.argument.as_ref());
        }
        doubtful |= members.doubtful || value.to_str().is_err();
    }
    if doubtful {
        found.grant_nothing();
    }
    found
}

/// The directives of `CDN-Cache-Control`, `None` when it is absent, empty or not valid.
fn targeted(headers: &HeaderMap) -> Option<ResponseDirectives> {
    if !headers.contains_key(CDN_CACHE_CONTROL) {
        return None;
    }
    let dictionary = structured::dictionary(headers, &CDN_CACHE_CONTROL)?;
    let mut found = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (name, value) in &dictionary {
        match (name.as_str(), value) {
            (_, Bare::Boolean(false)) => {}
            ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", value) => {
                let Bare::Integer(number) = value else { return None };
                let text = u64::try_from(*number).unwrap_or(0).to_string();
                found.apply(name, Some(&Argument::Token(&text)));
            }
            ("no-cache" | "private", Bare::Text(list)) => {
                found.apply(name, Some(&Argument::Quoted(list.clone())));
            }
            _ => found.apply(name, None),
        }
    }
    (!dictionary.is_empty()).then_some(found)
}

fn field_names(list: &str) -> Option<Vec<HeaderName>> {
    let names = list.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty());
    let names: Option<Vec<HeaderName>> =
        names.map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
    names.filter(|names| !names.is_empty())
}

/// One octet outside ASCII must not hide the rest of its line: `no-store` beside it still holds (RFC 9110 section 5.5).
fn lines<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = Cow<'h, str>> {
    headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

#[derive(Debug, PartialEq, Eq)]
enum Argument<'t> {
    Token(&'t str),
    Quoted(String),
    Malformed,
}

#[derive(Debug)]
struct Member<'t> {
    name: String,
    text: &'t str,
    argument: Option<Argument<'t>>,
}

/// Splits a line at commas outside quoted strings. A semicolon separates too, so that a restriction behind it is
/// seen, but marks the line as doubtful; so does a quoted string without an end.
struct Members<'t> {
    rest: &'t str,
    doubtful: bool,
}

impl<'t> Members<'t> {
    fn new(line: &'t str) -> Self {
        Self { rest: line, doubtful: false }
    }

    /// Takes the text up to the next separator.
    fn piece(&mut self) -> &'t str {
        let (mut quoted, mut escaped) = (false, false);
        let end = self.rest.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                b';' if !quoted => {
                    self.doubtful = true;
                    return true;
                }
                _ => {}
            }
            false
        });
        self.doubtful |= quoted && end.is_none();
        let (piece, rest) = match end {
            Some(end) => (self.rest.get(..end), self.rest.get(end + 1..)),
            None => (Some(self.rest), None),
        };
        self.rest = rest.unwrap_or_default();
        piece.unwrap_or_default().trim_matches([' ', '\t'])
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = Member<'t>;

    fn next(&mut self) -> Option<Member<'t>> {
        while !self.rest.is_empty() {
            let piece = self.piece();
            if piece.is_empty() {
                continue;
            }
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (piece, None),
            };
            let spaced = name.trim_end_matches([' ', '\t']);
            let argument = match value {
                Some(_) if spaced != name => Some(Argument::Malformed),
                Some(value) => Some(argument(value)),
                None => None,
            };
            return Some(Member { name: spaced.to_ascii_lowercase(), text: piece, argument });
        }
        None
    }
}

fn argument(value: &str) -> Argument<'_> {
    let Some(quoted) = value.strip_prefix('"') else {
        return if value.is_empty() { Argument::Malformed } else { Argument::Token(value) };
    };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Argument::Quoted(text),
            '"' => return Argument::Malformed,
            '\\' => text.extend(characters.next()),
            _ => text.push(character),
        }
    }
    Argument::Malformed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn response(line: &str) -> ResponseDirectives {
        ResponseDirectives::read(&map(&[("cache-control", line)]))
    }

    fn max_age(line: &str) -> Option<u64> {
        response(line).max_age_s
    }

    #[test]
    fn reads_lifetimes_as_delta_seconds_and_the_unreadable_as_stale() {
        for (line, expected) in [
            ("max-age=3600", 3_600),
            ("MaX-aGe=3600", 3_600),
            ("max-age=003600", 3_600),
            ("max-age=\"3600\"", 3_600),
            ("max-age=99999999999999999999999", DELTA_MAX_S),
            ("max-age='3600'", 0),
            ("max-age =3600", 0),
            ("max-age= 3600", 0),
            ("max-age=3600.0", 0),
            ("max-age=-1", 0),
            ("max-age=a3600", 0),
            ("max-age", 0),
            ("max-age=", 0),
            ("max-age=1;public", 0),
        ] {
            assert_eq!(max_age(line), Some(expected), "{line}");
        }
        assert_eq!(max_age("x-max-age=1, maxage=1"), None);
    }

    #[test]
    fn quoted_strings_hide_what_is_in_them() {
        assert_eq!(max_age("extension=\"max-age=3600, max-age=1800\", max-age=1"), Some(1));
        assert_eq!(max_age("max-age=1, extension=\"a\\\", max-age=3600\""), Some(1));
        assert!(!response("extension=\"no-store\"").no_store);
    }

    #[test]
    fn duplicates_that_disagree_are_stale_and_those_that_agree_are_not() {
        assert_eq!((max_age("max-age=5, max-age=9"), max_age("max-age=5, max-age=5")), (Some(0), Some(5)));
        let lines = map(&[("cache-control", "max-age=5"), ("cache-control", "max-age=9, no-store")]);
        let read = ResponseDirectives::read(&lines);
        assert_eq!((read.max_age_s, read.no_store), (Some(0), true));
    }

    #[test]
    fn restrictions_survive_octets_outside_ascii_beside_them() {
        let value = HeaderValue::from_bytes(b"private, no-store, max-age=60, x=\xe9").expect("obs-text");
        let headers = HeaderMap::from_iter([(CACHE_CONTROL, value)]);
        let found = ResponseDirectives::read(&headers);
        assert!(found.private.is_whole() && found.no_store, "{found:?}");
        assert_eq!(found.max_age_s, Some(0), "what could be read only in part grants nothing");
        assert!(RequestDirectives::read(&headers).no_store);
    }

    #[test]
    fn restrictions_survive_strange_arguments_and_separators() {
        assert!(response("no-store=1").no_store && response("max-age=1; no-store").no_store);
        for line in
            ["private", "private=", "private=set-cookie", "private=\"\"", "private=\"a b\"", "private=\"x"]
        {
            assert!(response(line).private.is_whole(), "{line}");
        }
        let named = response("private=\"Set-Cookie, X-A\", no-cache=\"b\", max-age=1");
        let names =
            |list: &[&'static str]| list.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
        assert_eq!(named.private.fields(), names(&["set-cookie", "x-a"]));
        assert_eq!((named.no_cache.fields(), named.max_age_s), (&names(&["b"])[..], Some(1)));
        assert!(response("private=\"a\", private").private.is_whole());
        assert!(response("private, private=\"a\"").private.is_whole());
    }

    #[test]
    fn a_line_that_cannot_be_read_grants_nothing() {
        let mut headers = map(&[("cache-control", "public, max-age=60, stale-if-error=9")]);
        headers.append("cache-control", HeaderValue::from_bytes(b"\xff").expect("opaque"));
        let read = ResponseDirectives::read(&headers);
        assert_eq!((read.public, read.max_age_s, read.stale_if_error_s), (false, Some(0), Some(0)));
        assert!(!response("public, x=\"").public);
    }

    fn cdn(targeted: &str, general: &str) -> ResponseDirectives {
        ResponseDirectives::read(&map(&[("cdn-cache-control", targeted), ("cache-control", general)]))
    }

    #[test]
    fn a_valid_targeted_field_speaks_alone() {
        let read = cdn("max-age=3600, foobar", "no-store, max-age=1");
        assert_eq!((read.max_age_s, read.no_store, read.targeted), (Some(3_600), false, true));
        assert_eq!(cdn("max-age=99999999999", "").max_age_s, Some(DELTA_MAX_S));
        assert_eq!(cdn("max-age=-5", "max-age=9").max_age_s, Some(0));
        assert!(cdn("private", "max-age=10000").private.is_whole());
        assert!(cdn("no-store", "max-age=10000").no_store && !cdn("no-store=?0, max-age=1", "").no_store);
        assert_eq!(cdn("private=\"a\"", "").private.fields(), [HeaderName::from_static("a")]);
    }

    #[test]
    fn an_invalid_targeted_field_is_ignored() {
        for line in ["max-age=10000, &&&&&", "max-age=\"10000\"", "max-age", "MaX-aGe=1", "max-age =1", ""] {
            let read = cdn(line, "no-store");
            assert!(read.no_store && !read.targeted, "{line:?}");
        }
    }

    #[test]
    fn reads_what_clients_ask() {
        let read =
            RequestDirectives::read(&map(&[("cache-control", "max-stale, min-fresh=5, only-if-cached")]));
        let expected = RequestDirectives {
            max_stale_s: Some(u64::MAX),
            min_fresh_s: Some(5),
            only_if_cached: true,
            ..RequestDirectives::default()
        };
        assert_eq!(read, expected);
        assert!(RequestDirectives::read(&map(&[("pragma", "x, no-cache")])).no_cache);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(line in "[ -~]{0,60}") {
            response(&line);
            cdn(&line, &line);
            std::hint::black_box(RequestDirectives::read(&map(&[("cache-control", &line), ("pragma", &line)])));
        }

        /// Oracle: without quotes, backslashes and equals signs a line is its comma-separated words.
        #[test]
        fn plain_words_are_what_stands_between_commas(words in prop::collection::vec("(no-store|public|x|must-revalidate)", 0..5)) {
            let read = response(&words.join(" , "));
            let has = |word: &str| words.iter().any(|other| other == word);
            prop_assert_eq!((read.no_store, read.public, read.must_revalidate), (has("no-store"), has("public"), has("must-revalidate")));
        }
    }
}
