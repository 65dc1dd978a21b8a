//! `Vary` (RFC 9111 section 4.1): which request fields select among stored responses, and what they said.

use crate::base::{Digest, Digester};
use http::{HeaderMap, HeaderName, header};

/// More selecting fields than this make a response not worth storing.
const FIELDS_MAX: usize = 16;

/// The selecting fields of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selecting {
    /// No `Vary`.
    None,
    /// `*`, an unreadable list or too many fields: no other request is answered with it.
    Never,
    /// The fields, sorted, each once.
    Fields(Vec<HeaderName>),
}

/// Reads all `Vary` lines of a response.
#[must_use]
pub fn selecting_fields(headers: &HeaderMap) -> Selecting {
    let mut fields = Vec::new();
    for line in headers.get_all(header::VARY) {
        let Ok(line) = line.to_str() else { return Selecting::Never };
        for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match HeaderName::try_from(name) {
                Ok(name) if name.as_str() != "*" => fields.push(name),
                _ => return Selecting::Never,
            }
        }
    }
    fields.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    fields.dedup();
    match fields.len() {
        0 => Selecting::None,
        count if count > FIELDS_MAX => Selecting::Never,
        _ => Selecting::Fields(fields),
    }
}

/// Names the variant that a request selects: equal exactly when all selecting fields match after normalisation.
#[must_use]
pub fn variant(fields: &[HeaderName], request: &HeaderMap) -> Digest {
    let mut digester = Digester::new("tidegate variant 1");
    for name in fields {
        digester.add(name.as_str().as_bytes());
        match normal(name, request) {
            None => digester.add(b"absent"),
            Some(value) => {
                digester.add(b"present");
                digester.add(value.as_bytes());
            }
        }
    }
    digester.finish()
}

/// The field's lines as one list without idle white space. Codings and languages without weights are compared as
/// sets in lower case: order means nothing among equals.
fn normal(name: &HeaderName, request: &HeaderMap) -> Option<String> {
    let lines: Vec<String> = request
        .get_all(name)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let joined = lines.join(",");
    let mut members: Vec<String> =
        joined.split(',').map(|member| member.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    if matches!(*name, header::ACCEPT_ENCODING | header::ACCEPT_LANGUAGE) {
        members.iter_mut().for_each(|member| *member = member.replace(' ', "").to_ascii_lowercase());
        members.retain(|member| !member.is_empty());
        if !joined.contains(';') {
            members.sort_unstable();
        }
    }
    Some(members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_star_anywhere_selects_nothing() {
        assert_eq!(selecting_fields(&map(&[("vary", "Accept"), ("vary", "*")])), Selecting::Never);
        assert_eq!(selecting_fields(&map(&[("vary", "Accept, *")])), Selecting::Never);
        assert_eq!(selecting_fields(&map(&[("vary", " ")])), Selecting::None);
        let fields = vec![HeaderName::from_static("accept"), HeaderName::from_static("cookie")];
        assert_eq!(selecting_fields(&map(&[("vary", "Cookie, accept, ACCEPT")])), Selecting::Fields(fields));
    }

    #[test]
    fn absent_matches_only_absent_and_order_is_nothing_among_equals() {
        let fields = [header::ACCEPT_LANGUAGE, HeaderName::from_static("x-a")];
        let of = |lines: &[(&'static str, &'static str)]| variant(&fields, &map(lines));
        assert_ne!(of(&[("x-a", "")]), of(&[]));
        assert_eq!(of(&[("accept-language", "en, de")]), of(&[("accept-language", "DE,en")]));
        assert_ne!(of(&[("accept-language", "en;q=0.1, de")]), of(&[("accept-language", "de, en")]));
        assert_eq!(of(&[("x-a", "1, 2")]), of(&[("x-a", "1"), ("x-a", " 2")]));
        assert_ne!(of(&[("x-a", "1, 2")]), of(&[("x-a", "2, 1")]));
    }
}
