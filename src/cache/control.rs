//! `Cache-Control` (RFC 9111 section 5.2), `CDN-Cache-Control` (RFC 9213) and `Age`, read.

use http::HeaderMap;

/// Seconds that stand for "for ever" (RFC 9111 section 1.2.2).
const FOREVER_S: u64 = 1 << 31;

/// A directive that takes an optional list of fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scoped {
    /// Absent.
    #[default]
    No,
    /// Present without a list: it concerns the whole response.
    Whole,
    /// Present with a list of (lower-case) field names.
    Fields(Vec<String>),
}

/// The directives that a shared cache obeys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "directives are independent flags on the wire")]
pub struct Control {
    /// `max-age` in seconds; an unusable value is 0, which means stale.
    pub max_age: Option<u64>,
    /// `s-maxage`, likewise.
    pub s_maxage: Option<u64>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: Scoped,
    /// `private`.
    pub private: Scoped,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `stale-while-revalidate` (RFC 5861) in seconds.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861) in seconds.
    pub stale_if_error: Option<u64>,
    /// `min-fresh` of a request.
    pub min_fresh: Option<u64>,
    /// `max-stale` of a request; without a value: any staleness.
    pub max_stale: Option<u64>,
    /// `only-if-cached` of a request.
    pub only_if_cached: bool,
}

impl Control {
    /// All `Cache-Control` lines of a message together. Unknown directives mean nothing; of duplicates the stricter
    /// one counts.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(http::header::CACHE_CONTROL) {
            for (name, value) in directives(&String::from_utf8_lossy(line.as_bytes())) {
                control.add(&name, value.as_deref());
            }
        }
        control
    }

    /// What decides for a shared cache between the origin and a CDN's place: a valid `CDN-Cache-Control` stands in
    /// for `Cache-Control` and `Expires` (RFC 9213 section 2.2). The flag says whether it did.
    #[must_use]
    pub fn targeted(headers: &HeaderMap) -> (Self, bool) {
        match targeted(headers) {
            Some(control) => (control, true),
            None => (Self::of(headers), false),
        }
    }

    fn add(&mut self, name: &str, value: Option<&str>) {
        match name {
            "max-age" => tighten(&mut self.max_age, value),
            "s-maxage" => tighten(&mut self.s_maxage, value),
            "stale-while-revalidate" => tighten(&mut self.stale_while_revalidate, value),
            "stale-if-error" => tighten(&mut self.stale_if_error, value),
            "min-fresh" => self.min_fresh = value.and_then(delta),
            "max-stale" => self.max_stale = value.map_or(Some(FOREVER_S), delta),
            "no-store" => self.no_store = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "only-if-cached" => self.only_if_cached = true,
            "no-cache" => scope(&mut self.no_cache, value),
            "private" => scope(&mut self.private, value),
            _ => {}
        }
    }
}

/// An unreadable freshness is none at all: the response counts as stale (RFC 9111 section 4.2.1).
fn tighten(slot: &mut Option<u64>, value: Option<&str>) {
    let seconds = value.and_then(delta).unwrap_or(0);
    *slot = Some(slot.map_or(seconds, |before| before.min(seconds)));
}

fn scope(slot: &mut Scoped, value: Option<&str>) {
    let fields: Vec<String> = value
        .unwrap_or("")
        .split(',')
        .map(|field| field.trim().to_ascii_lowercase())
        .filter(|field| !field.is_empty())
        .collect();
    *slot = match (std::mem::take(slot), fields.is_empty()) {
        (Scoped::Whole, _) | (_, true) => Scoped::Whole,
        (Scoped::No, false) => Scoped::Fields(fields),
        (Scoped::Fields(before), false) => Scoped::Fields([before, fields].concat()),
    };
}

/// delta-seconds (RFC 9111 section 1.2.2): digits only, capped.
fn delta(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<u64>().unwrap_or(FOREVER_S).min(FOREVER_S))
}

/// `name[=token|=quoted]` separated by commas outside quotes; names in lower case.
fn directives(line: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for part in split_outside_quotes(line) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(unquote(value))),
            None => (part, None),
        };
        // White space around the name or before `=` makes it another, unknown directive.
        if !name.is_empty() && name == name.trim_end() {
            found.push((name.to_ascii_lowercase(), value));
        }
    }
    found
}

fn split_outside_quotes(line: &str) -> Vec<&str> {
    let (mut parts, mut from, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                parts.push(line.get(from..at).unwrap_or("").trim());
                from = at.saturating_add(1);
            }
            _ => {}
        }
    }
    parts.push(line.get(from..).unwrap_or("").trim());
    parts
}

fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace('\\', ""))
}

/// A structured-field dictionary, strictly (RFC 9651): anything malformed makes the whole field unusable.
fn targeted(headers: &HeaderMap) -> Option<Control> {
    let lines: Vec<&str> =
        headers.get_all("cdn-cache-control").iter().map(|line| line.to_str().unwrap_or("=")).collect();
    let whole = lines.join(",");
    if whole.trim().is_empty() {
        return None;
    }
    let mut control = Control::default();
    for member in split_outside_quotes(&whole) {
        let (name, value) =
            member.split_once('=').map_or((member, None), |(name, value)| (name, Some(value)));
        is_sf_key(name).then_some(())?;
        // Parameters do not change what a directive means.
        let value = value.map(|value| value.split(';').next().unwrap_or("").trim_end());
        let is_number = value.is_some_and(|value| delta(value).is_some());
        match name {
            "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" if !is_number => {
                return None;
            }
            _ if value.is_some_and(|value| !is_sf_item(value)) => return None,
            _ => control.add(name, value),
        }
    }
    Some(control)
}

fn is_sf_key(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'*';
    let is_next = |byte: u8| is_first(byte) || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    name.bytes().next().is_some_and(is_first) && name.bytes().all(is_next)
}

fn is_sf_item(value: &str) -> bool {
    let is_quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
    let is_token = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.*:/".contains(&byte));
    is_quoted || is_token || delta(value).is_some() || matches!(value, "?0" | "?1")
}

/// `Age` (RFC 9111 section 5.1): the first member of the first line, digits only; anything else is ignored.
#[must_use]
pub fn age_s(headers: &HeaderMap) -> u64 {
    let first = headers.get(http::header::AGE).and_then(|age| age.to_str().ok());
    first.and_then(|age| delta(age.split(',').next().unwrap_or("").trim())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn control(lines: &[&'static str]) -> Control {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("cache-control", HeaderValue::from_static(line));
        }
        Control::of(&headers)
    }

    #[test]
    fn directives_are_read_with_their_oddities() {
        assert_eq!(control(&["MAX-AGE=10, public"]).max_age, Some(10));
        assert_eq!(control(&["max-age=\"10\""]).max_age, Some(10));
        assert_eq!(control(&["max-age=-1"]).max_age, Some(0), "unusable means stale");
        assert_eq!(control(&["max-age=10", "max-age=5"]).max_age, Some(5), "the stricter counts");
        assert_eq!(control(&["max-age=99999999999999999999"]).max_age, Some(FOREVER_S));
        assert_eq!(control(&["max-age =10"]).max_age, None, "another directive");
        assert_eq!(control(&["a=\"max-age=3\", no-store"]), Control { no_store: true, ..Control::default() });
        assert_eq!(
            control(&["private=\"Set-Cookie, X-A\""]).private,
            Scoped::Fields(vec!["set-cookie".into(), "x-a".into()])
        );
        assert_eq!(control(&["private=\"x\", private"]).private, Scoped::Whole);
    }

    #[test]
    fn a_malformed_targeted_field_is_ignored_whole() {
        let of = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("cdn-cache-control", HeaderValue::from_static(line));
            headers.insert("cache-control", HeaderValue::from_static("max-age=1"));
            Control::targeted(&headers)
        };
        assert_eq!((of("max-age=60").0.max_age, of("max-age=60").1), (Some(60), true));
        for malformed in ["max-age=\"60\"", "max-age=abc", "max-age", "MAX-AGE=60", "max-age=60, &&", ""] {
            assert_eq!((of(malformed).0.max_age, of(malformed).1), (Some(1), false), "{malformed}");
        }
    }

    #[test]
    fn age_takes_the_first_number_only() {
        let of = |line: &'static str| {
            age_s(&HeaderMap::from_iter([(http::header::AGE, HeaderValue::from_static(line))]))
        };
        assert_eq!((of("7"), of("7, 9"), of("-7"), of("7.5"), of("abc")), (7, 7, 0, 0, 0));
    }
}
