//! The forms of a request target (RFC 9112 section 3.2), and of the version behind it.

use http::{Method, Version};

use super::fault::MessageFault;

/// A target taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Scheme and authority of absolute-form.
    pub(super) absolute: Option<(&'static str, &'a str)>,
    /// The path; `/` for asterisk-form and for an empty path of absolute-form.
    pub(super) path: &'a str,
    /// What follows the first `?`.
    pub(super) query: Option<&'a str>,
    /// Is it about the server as a whole: `*`, or its absolute-form, which has neither path nor query (RFC 9112
    /// section 3.2.4)?
    pub(super) is_asterisk: bool,
}

/// Splits a target. Authority-form is for CONNECT alone, which is refused earlier; asterisk-form for OPTIONS. Spaces,
/// controls, octets outside ASCII and fragments are refused, not encoded: who repairs a target disagrees with those
/// who repair it differently (RFC 9112 section 3.2: "MUST NOT attempt to autocorrect").
pub(super) fn split<'a>(method: &Method, target: &'a str) -> Result<Target<'a>, MessageFault> {
    if target.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
        return Err(MessageFault::TARGET);
    }
    if target == "*" {
        let is_fitting = *method == Method::OPTIONS;
        let asterisk = Target { absolute: None, path: "/", query: None, is_asterisk: true };
        return is_fitting.then_some(asterisk).ok_or(MessageFault::TARGET);
    }
    let (absolute, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let (scheme, rest) = after_scheme(target).ok_or(MessageFault::TARGET)?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(at).ok_or(MessageFault::TARGET)?;
        (Some((scheme, authority)), rest)
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let is_asterisk = rest.is_empty() && *method == Method::OPTIONS;
    // RFC 9110 section 4.2.3: an empty path is `/`.
    let path = if path.is_empty() { "/" } else { path };
    Ok(Target { absolute, path, query, is_asterisk })
}

fn after_scheme(target: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((known, rest))
}

/// RFC 9112 section 2.3: `HTTP/` DIGIT `.` DIGIT, in capitals.
pub(super) fn read_version(word: &[u8]) -> Result<Version, MessageFault> {
    match word {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(MessageFault::VERSION)
        }
        _ => Err(MessageFault::LINE),
    }
}

/// Does the target begin with a scheme and an authority?
pub(super) fn has_scheme(target: &[u8]) -> bool {
    str::from_utf8(target).is_ok_and(|target| target.contains("://"))
}

/// The authority of a target in absolute-form (RFC 9112 section 3.2.2).
pub(super) fn absolute(target: &[u8]) -> Option<String> {
    if target.starts_with(b"/") {
        return None;
    }
    let (_, rest) = str::from_utf8(target).ok()?.split_once("://")?;
    rest.split(['/', '?']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(target: &str) -> Option<Target<'_>> {
        split(&Method::GET, target).ok()
    }

    #[test]
    fn origin_form_is_path_and_query() {
        let target = get("/a/b?x=1?y").expect("target");
        assert_eq!((target.absolute, target.path, target.query), (None, "/a/b", Some("x=1?y")));
        assert_eq!(get("/a?").expect("target").query, Some(""));
        assert_eq!(get("//evil.example/x").expect("target").absolute, None);
    }

    #[test]
    fn absolute_form_has_an_authority_and_perhaps_an_empty_path() {
        let parts = |text| get(text).map(|target| (target.absolute, target.path, target.query));
        assert_eq!(parts("http://a/x"), Some((Some(("http", "a")), "/x", None)));
        assert_eq!(parts("HTTPS://a:1"), Some((Some(("https", "a:1")), "/", None)));
        assert_eq!(parts("http://a?q"), Some((Some(("http", "a")), "/", Some("q"))));
    }

    #[test]
    fn an_asterisk_is_for_options_alone() {
        assert_eq!(split(&Method::OPTIONS, "*").expect("target").path, "/");
        assert_eq!(get("*"), None);
        let is_asterisk = |method, target| split(&method, target).expect("target").is_asterisk;
        assert!(is_asterisk(Method::OPTIONS, "*") && is_asterisk(Method::OPTIONS, "http://a"));
        assert!(!is_asterisk(Method::GET, "http://a"));
        assert!(!["/", "http://a/", "http://a?"].iter().any(|target| is_asterisk(Method::OPTIONS, target)));
        assert_eq!(split(&Method::OPTIONS, "*/a"), Err(MessageFault::TARGET));
    }

    #[test]
    fn anything_else_is_refused() {
        for target in [
            "",
            "a.example:80",
            "x",
            "/a b",
            "/a\u{7f}",
            "/a\u{0}",
            "/#",
            "/a?b#c",
            "/caf\u{e9}",
            "ftp://a/",
            "http:/a",
            "mailto:a",
            "?a",
            "/a\tb",
            "http//a",
        ] {
            assert_eq!(get(target), None, "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_splitting(target in "/[!-~]{0,30}") {
            if let Some(parts) = get(&target) {
                let whole = parts.query.map_or(parts.path.to_owned(), |query| format!("{}?{query}", parts.path));
                prop_assert_eq!(whole, target);
            } else {
                prop_assert!(target.contains('#'));
            }
        }
    }
}
