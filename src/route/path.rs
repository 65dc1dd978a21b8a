//! The one spelling of a path that is matched, limited, keyed and forwarded.
//!
//! RFC 3986 section 6.2.2 to a fixed point, and what no backend reads the same way is refused rather than guessed:
//! control octets, backslashes, hidden dot segments. Knows nothing of queries.

use std::fmt::Write as _;

/// What happens to `%2F` in a path. Backends disagree whether it separates segments (RFC 3986 section 2.2: it does
/// not), so a rule on `/a/b` may or may not cover `/a%2Fb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// The request is refused with 400.
    #[default]
    Reject,
    /// It stays as `%2F`, an ordinary part of its segment.
    Keep,
}

/// Why a path is refused (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with `/` (RFC 9112 section 3.2.1).
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits (RFC 3986 section 2.1).
    #[error("the path has a `%` that is not followed by two hexadecimal digits")]
    Escape,
    /// A control octet, raw or encoded; `%00` ends the path in many backends.
    #[error("the path has a control character")]
    Control,
    /// A space or an octet outside ASCII, not encoded (RFC 3986 section 2).
    #[error("the path has a space or a non-ASCII character that is not percent-encoded")]
    NotEncoded,
    /// A backslash, raw or encoded: a separator for some backends.
    #[error("the path has a backslash")]
    Backslash,
    /// A `?` or `#`: this is no path alone (RFC 3986 section 3.3).
    #[error("the path has a raw `?` or `#`")]
    Delimiter,
    /// `%2F` under [`EncodedSlash::Reject`].
    #[error("the path has an encoded slash (%2F)")]
    EncodedSlash,
    /// `.` or `..` next to `;` or `%2F`: some backends see a dot segment there.
    #[error("the path hides a dot segment behind `;` or an encoded slash")]
    HiddenDots,
}

/// The canonical spelling of `raw`, which is a path without a query. Always begins with `/`; canonical paths are
/// their own canonical spelling.
///
/// - Escapes of unreserved characters are decoded, all others kept with upper-case digits (RFC 3986 6.2.2.1–2).
/// - Printable characters that RFC 3986 allows only encoded (`"<>[]^{|}` and the grave accent) are encoded.
/// - Empty segments are dropped, then dot segments removed (6.2.2.3, 5.2.4); a trailing slash stays.
///
/// # Errors
/// [`PathFault`] when the path has no single safe meaning.
pub fn canonical_path(raw: &str, slash: EncodedSlash) -> Result<String, PathFault> {
    if !raw.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let spelled = respell(raw, slash)?;
    resolve_dots(&spelled)
}

/// Is this character written without an escape whatever its neighbours are (RFC 3986 section 2.3)?
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// May this character stand raw in a path besides the unreserved: sub-delims, `:`, `@` and the separator itself?
fn is_path_character(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'/'
    )
}

fn respell(raw: &str, slash: EncodedSlash) -> Result<String, PathFault> {
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = escape(bytes.next(), bytes.next()).ok_or(PathFault::Escape)?;
                push_escaped(&mut out, decoded, slash)?;
            }
            _ if is_unreserved(byte) || is_path_character(byte) => out.push(char::from(byte)),
            _ => push_raw(&mut out, byte)?,
        }
    }
    Ok(out)
}

fn escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn push_escaped(out: &mut String, decoded: u8, slash: EncodedSlash) -> Result<(), PathFault> {
    match decoded {
        _ if decoded.is_ascii_control() => return Err(PathFault::Control),
        b'\\' => return Err(PathFault::Backslash),
        b'/' if slash == EncodedSlash::Reject => return Err(PathFault::EncodedSlash),
        _ if is_unreserved(decoded) => out.push(char::from(decoded)),
        _ => push_escape(out, decoded),
    }
    Ok(())
}

fn push_raw(out: &mut String, byte: u8) -> Result<(), PathFault> {
    match byte {
        _ if byte.is_ascii_control() => Err(PathFault::Control),
        b' ' | 0x80.. => Err(PathFault::NotEncoded),
        b'\\' => Err(PathFault::Backslash),
        b'?' | b'#' => Err(PathFault::Delimiter),
        _ => {
            push_escape(out, byte);
            Ok(())
        }
    }
}

fn push_escape(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _infallible = write!(out, "%{byte:02X}");
}

fn resolve_dots(path: &str) -> Result<String, PathFault> {
    let mut kept: Vec<&str> = Vec::new();
    let mut open_end = false;
    for segment in path.split('/') {
        open_end = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ if hides_dots(segment) => return Err(PathFault::HiddenDots),
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if open_end || out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

/// Would a backend that decodes `%2F`, or cuts path parameters at `;`, see a dot segment in here?
fn hides_dots(segment: &str) -> bool {
    let is_dots = |piece: &str| matches!(piece.split(';').next(), Some("." | ".."));
    segment.split("%2F").any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(raw: &str) -> Result<String, PathFault> {
        canonical_path(raw, EncodedSlash::Reject)
    }

    fn same(raw: &str, expected: &str) {
        assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
    }

    #[test]
    fn decodes_unreserved_and_raises_hex_digits() {
        same("/%61%2D%2e%5f%7Eb", "/a-._~b");
        same("/caf%c3%a9", "/caf%C3%A9");
        same("/a%3ab", "/a%3Ab");
        same("/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b");
    }

    #[test]
    fn an_escaped_percent_stays_escaped() {
        same("/%2541", "/%2541");
        same("/%25%32%65", "/%252e");
    }

    #[test]
    fn both_spellings_of_a_character_that_must_be_encoded_meet() {
        same("/a[0]|{x}\"<>^`", "/a%5B0%5D%7C%7Bx%7D%22%3C%3E%5E%60");
        assert_eq!(canonical("/{x}"), canonical("/%7bx%7d"));
    }

    #[test]
    fn removes_dot_segments_plain_or_encoded() {
        same("/a/b/c/./../../g", "/a/g");
        same("/a/%2e%2E/b", "/b");
        same("/../../x", "/x");
        same("/..", "/");
        same("/a/.", "/a/");
        same("/a/b/..", "/a/");
        same("/a/...", "/a/...");
        same("/", "/");
    }

    #[test]
    fn merges_slashes_and_keeps_the_last_one() {
        same("//a///b//", "/a/b/");
        same("//", "/");
        same("//api/v1/./agents/7", "/api/v1/agents/7");
    }

    #[test]
    fn refuses_what_backends_read_differently() {
        for (raw, fault) in [
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
            ("a/b", PathFault::NotAbsolute),
            ("/a%00.css", PathFault::Control),
            ("/a%0d%0ab", PathFault::Control),
            ("/a%7f", PathFault::Control),
            ("/a\u{1}", PathFault::Control),
            ("/a\tb", PathFault::Control),
            ("/a b", PathFault::NotEncoded),
            ("/café", PathFault::NotEncoded),
            ("/a\\b", PathFault::Backslash),
            ("/a%5cb", PathFault::Backslash),
            ("/a%2", PathFault::Escape),
            ("/a%zz", PathFault::Escape),
            ("/a%+1", PathFault::Escape),
            ("/a%%32e", PathFault::Escape),
            ("/a%2Fb", PathFault::EncodedSlash),
            ("/static/..%2fID", PathFault::EncodedSlash),
            ("/a/..;/b", PathFault::HiddenDots),
            ("/a/.;x=1/b", PathFault::HiddenDots),
            ("/a?b", PathFault::Delimiter),
            ("/a#b", PathFault::Delimiter),
        ] {
            assert_eq!(canonical(raw), Err(fault), "{raw:?}");
        }
    }

    #[test]
    fn a_kept_encoded_slash_is_part_of_its_segment_but_hides_no_dots() {
        let keep = |raw| canonical_path(raw, EncodedSlash::Keep);
        assert_eq!(keep("/a%2fb/.."), Ok("/".to_owned()));
        assert_eq!(keep("/a%2fb"), Ok("/a%2Fb".to_owned()));
        assert_eq!(keep("/a/..%2fb"), Err(PathFault::HiddenDots));
        assert_eq!(keep("/a/b%2f%2e%2e"), Err(PathFault::HiddenDots));
    }

    #[test]
    fn semicolons_and_dots_in_names_are_ordinary() {
        same("/a;v=1/b..;/c", "/a;v=1/b..;/c");
        same("/x/..css", "/x/..css");
    }

    /// RFC 3986 5.2.4 letter by letter over a path without empty segments.
    fn remove_dot_segments(path: &str) -> String {
        let (mut input, mut output) = (path.to_owned(), String::new());
        while !input.is_empty() {
            if let Some(rest) =
                input.strip_prefix("/.").filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                input = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
            } else if let Some(rest) =
                input.strip_prefix("/..").filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                input = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
                output.truncate(output.rfind('/').unwrap_or(0));
            } else {
                let end = input.match_indices('/').nth(1).map_or(input.len(), |(at, _)| at);
                output.push_str(input.split_at(end).0);
                input = input.split_at(end).1.to_owned();
            }
        }
        output
    }

    proptest! {
        #[test]
        fn canonical_paths_are_fixed_points(raw in "/([a.%/;2fFeE5cC0{}~é \\\\]|%2[eEfF5]|%[0-9a-f]{2}|\\.\\./){0,24}") {
            for slash in [EncodedSlash::Reject, EncodedSlash::Keep] {
                if let Ok(once) = canonical_path(&raw, slash) {
                    prop_assert_eq!(canonical_path(&once, slash), Ok(once.clone()));
                    prop_assert!(once.starts_with('/') && !once.contains("//"));
                    prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
                    prop_assert!(once.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
                }
            }
        }

        #[test]
        fn never_panics(raw in ".{0,40}") {
            let _any = canonical_path(&raw, EncodedSlash::Keep);
        }

        #[test]
        fn dot_segments_go_as_in_the_rfc(segments in prop::collection::vec("\\.|\\.\\.|[ab]{1,2}", 1..9), open in any::<bool>()) {
            let path = format!("/{}{}", segments.join("/"), if open { "/" } else { "" });
            let oracle = remove_dot_segments(&path);
            prop_assert_eq!(canonical(&path), Ok(oracle));
        }

        #[test]
        fn every_spelling_of_a_path_meets(path in "(/[a-zA-Z0-9._~-]{1,6}){1,5}", which in prop::collection::vec(any::<bool>(), 40)) {
            prop_assume!(path.split('/').all(|segment| segment != "." && segment != ".."));
            let spell = |(byte, encode): (u8, &bool)| {
                if *encode && byte != b'/' { format!("%{byte:02x}") } else { char::from(byte).to_string() }
            };
            let other: String = path.bytes().zip(which.iter().cycle()).map(spell).collect();
            prop_assert_eq!(canonical(&other), Ok(path));
        }
    }
}
