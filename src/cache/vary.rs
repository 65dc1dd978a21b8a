//! `Vary`: which request fields select a stored response, and the name of the variant that a request asks for
//! (RFC 9111 section 4.1).
//!
//! Two requests share a variant only if the origin could not tell them apart by the selecting fields, give or take
//! what section 4.1 lets a cache normalise: whitespace in lists, lines that are combined, and letter case and order
//! where the field's definition says that they mean nothing.

use crate::base::{Digest, Digester};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN,
    PROXY_AUTHORIZATION, REFERER, USER_AGENT, VARY,
};
use std::fmt;

/// How many fields may select, and how many variants one key may have. Beyond that nothing is stored: an origin that
/// varies on so much is not cacheable, and an attacker who varies so much must not fill the store.
pub const SELECTING_MAX: usize = 16;

/// See [`SELECTING_MAX`].
pub const VARIANTS_MAX: usize = 16;

/// Fields whose value is not a list, so that nothing inside may be touched.
const NOT_LISTS: [HeaderName; 7] =
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, USER_AGENT, HOST, ORIGIN, REFERER];

/// The fields in all `Vary` lines of a response, sorted, each once. `None`: never reused, because of `*`, something
/// unreadable, or more than [`SELECTING_MAX`] fields.
#[must_use]
pub fn selecting_fields(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in headers.get_all(VARY) {
        let line = value.to_str().ok()?;
        for member in line.split(',').map(trim).filter(|member| !member.is_empty()) {
            // `*` is a token and would pass as a field name.
            names.push(HeaderName::from_bytes(member.as_bytes()).ok().filter(|_| member != "*")?);
        }
    }
    Some(sorted(names)).filter(|names| names.len() <= SELECTING_MAX)
}

/// Sorts field names and drops repetitions: the form in which they are compared and stored.
#[must_use]
pub fn sorted(mut names: Vec<HeaderName>) -> Vec<HeaderName> {
    names.sort_unstable_by(|left, right| left.as_str().cmp(right.as_str()));
    names.dedup();
    names
}

/// Names one stored response among those of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variant(Digest);

impl Variant {
    /// The only response of a key without selecting fields.
    pub const SINGLE: Self = Self(Digest([0; 32]));

    /// Its bytes, for the stored record.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The inverse of [`Variant::as_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest(bytes))
    }
}

impl fmt::Display for Variant {
    /// `-` for the single response, else 22 characters in base 62.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SINGLE { f.write_str("-") } else { f.write_str(&self.0.short()) }
    }
}

/// The variant that `request` asks for, given the selecting fields (sorted). A field that is absent matches only
/// requests in which it is absent too.
#[must_use]
pub fn variant(fields: &[HeaderName], request: &HeaderMap) -> Variant {
    if fields.is_empty() {
        return Variant::SINGLE;
    }
    let mut digester = Digester::new("tidegate variant 1");
    for name in fields {
        digester.add(name.as_str().as_bytes());
        match normalised(name, request) {
            Some(value) => {
                digester.add(&[1]);
                digester.add(&value);
            }
            None => digester.add(&[0]),
        }
    }
    Variant(digester.finish())
}

/// The field's value as it is compared: lines combined, lists tidied. `None`: absent.
fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = request.get_all(name).into_iter().map(http::HeaderValue::as_bytes).peekable();
    lines.peek()?;
    if NOT_LISTS.contains(name) {
        return Some(lines.collect::<Vec<_>>().join(&b","[..]));
    }
    let mut members: Vec<Vec<u8>> = lines.flat_map(list_members).collect();
    if *name == ACCEPT_ENCODING || *name == ACCEPT_LANGUAGE {
        // Codings and language tags have no case, weights say what comes first, and the rest is space.
        for member in &mut members {
            member.make_ascii_lowercase();
            member.retain(|byte| !matches!(byte, b' ' | b'\t'));
        }
        members.sort_unstable();
        members.dedup();
    }
    Some(members.join(&b","[..]))
}

/// Splits at commas outside quoted strings, trims, drops empty members (RFC 9110 section 5.6.1.2).
fn list_members(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = line.split(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    pieces.map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty()).map(<[u8]>::to_vec).collect()
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;
    use proptest::prelude::*;

    fn vary(lines: &[&str]) -> Option<Vec<HeaderName>> {
        selecting_fields(&map(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()))
    }

    fn same(field: &'static str, left: &[&str], right: &[&str]) -> bool {
        let of = |lines: &[&str]| {
            let request = map(&lines.iter().map(|line| (field, *line)).collect::<Vec<_>>());
            variant(&[HeaderName::from_static(field)], &request)
        };
        of(left) == of(right)
    }

    #[test]
    fn a_star_anywhere_is_never_reused() {
        for lines in
            [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["a b"]]
        {
            assert_eq!(vary(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn fields_are_sorted_each_once_and_bounded() {
        let names = |list: &[&'static str]| Some(list.iter().map(|n| HeaderName::from_static(n)).collect());
        assert_eq!(vary(&["Origin, accept", "ORIGIN"]), names(&["accept", "origin"]));
        assert_eq!((vary(&[]), vary(&["", " , "])), (Some(Vec::new()), Some(Vec::new())));
        let many = |count: usize| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
        assert!(matches!(vary(&[&many(SELECTING_MAX)]), Some(list) if list.len() == SELECTING_MAX));
        assert_eq!(vary(&[&many(SELECTING_MAX + 1)]), None);
    }

    #[test]
    fn lists_are_compared_without_their_spacing() {
        assert!(same("foo", &["1,2"], &[" 1, 2 "]) && same("foo", &["1, 2"], &["1", "2"]));
        assert!(same("accept-language", &["en, de"], &[" dE ,   EN"]));
        assert!(same("accept-encoding", &["gzip;q=1.0, br"], &["br,gzip; q=1.0"]));
        assert!(!same("foo", &["1,2"], &["2,1"]) && !same("foo", &["a"], &["A"]));
        assert!(!same("foo", &["\"a,b\""], &["\"a, b\""]) && !same("cookie", &["a=1, b"], &["a=1,b"]));
        assert!(!same("accept-language", &["en"], &["en, de"]));
    }

    #[test]
    fn absent_matches_only_absent() {
        assert!(!same("foo", &[], &[""]) && same("foo", &[], &[]));
        assert_eq!(variant(&[], &map(&[("foo", "1")])), Variant::SINGLE);
        assert_eq!(Variant::SINGLE.to_string(), "-");
    }

    proptest! {
        #[test]
        fn different_values_of_a_plain_field_never_share(left in "[a-z]{0,4}", right in "[a-z]{0,4}", other in "[a-z]{0,4}") {
            let fields = [HeaderName::from_static("x"), HeaderName::from_static("y")];
            let of = |x: &str, y: &str| variant(&fields, &map(&[("x", x), ("y", y)]));
            prop_assert_eq!(of(&left, &other) == of(&right, &other), left == right);
            prop_assert_eq!(of(&left, &right) == of(&right, &left), left == right);
        }
    }
}
