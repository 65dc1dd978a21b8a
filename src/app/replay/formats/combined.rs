//! The combined and the common log format of nginx and Apache:
//! `client ident user [time] "METHOD target HTTP/1.1" status bytes "referer" "agent"`; what follows the status is not read.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::app::replay::entry::{Entry, Skip, known};
use crate::app::replay::time::parse_us;

const NOT_COMBINED: Skip = Skip::Unreadable("it is not `client - user [time] \"request\" status …`");

/// Reads a line.
///
/// # Errors
/// [`Skip`]: what was no HTTP request is [`Skip::Refused`].
pub fn read(line: &[u8]) -> Result<Entry<'_>, Skip> {
    let line = line.trim_ascii_start();
    let (client, rest) = until(line, b' ').ok_or(NOT_COMBINED)?;
    // A user may have spaces, but no server writes it with a bracket.
    let (names, rest) = until(rest, b'[').ok_or(NOT_COMBINED)?;
    let (_ident, user) = until(names, b' ').ok_or(NOT_COMBINED)?;
    let (time, rest) = until(rest, b']').ok_or(NOT_COMBINED)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"").ok_or(NOT_COMBINED)?;
    let (request, rest) = quoted(rest).ok_or(NOT_COMBINED)?;
    let status = status(rest.trim_ascii_start()).ok_or(Skip::Unreadable("it has no status"))?;
    let start_us = parse_us(time).ok_or(Skip::Unreadable("its time cannot be read"))?;
    let text =
        |bytes| str::from_utf8(bytes).map_err(|_not_text| Skip::Unreadable("client or user is no text"));
    let (client, user) = (text(client)?, text(user)?);
    let (method, target) = request_line(request).ok_or(Skip::Refused)?;
    Ok(Entry {
        start_us,
        method,
        target,
        client: client.into(),
        user: known(user).map(Cow::Borrowed),
        status,
        is_denied: status == 429,
        ..Entry::default()
    })
}

/// What stands before and after the first `byte`.
fn until(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What stands before and after the closing quote; a backslash takes the next octet's meaning.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        at += 2;
    }
}

fn status(text: &[u8]) -> Option<u16> {
    let (digits, rest) = text.split_first_chunk::<3>()?;
    let is_end = rest.first().is_none_or(|next| *next == b' ');
    let code: u16 = str::from_utf8(digits).ok()?.parse().ok()?;
    (is_end && code >= 100).then_some(code)
}

/// Method and target; `None` for what is no request line.
fn request_line(request: &[u8]) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (method, rest) = until(request, b' ')?;
    let target = match rest.iter().rposition(|byte| *byte == b' ') {
        Some(at) => rest.get(at + 1..)?.starts_with(b"HTTP/").then(|| rest.get(..at))??,
        None => rest,
    };
    let method = str::from_utf8(method).ok().filter(|method| !method.is_empty())?;
    Some((method.into(), unescaped(target)?))
}

/// Both servers write what is not plain as `\xHH`, quote and backslash as `\"` and `\\`.
fn unescaped(text: &[u8]) -> Option<Cow<'_, str>> {
    if memchr(b'\\', text).is_none() {
        return str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                b'x' => {
                    let mut digit = || char::from(bytes.next()?).to_digit(16);
                    out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
                }
                other => out.push(other),
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NGINX: &str = r#"192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET /api/v1/agents/?page=2 HTTP/1.1" 200 2326 "https://example.com/" "Mozilla/5.0 (X11; \x22Linux\x22)" "203.0.113.9""#;

    #[test]
    fn a_combined_line_is_read() {
        let entry = read(NGINX.as_bytes()).expect("a request");
        assert_eq!(
            (&*entry.client, entry.user.as_deref(), entry.start_us),
            ("192.0.2.7", Some("ada"), 971_211_336_000_000)
        );
        assert_eq!((&*entry.method, &*entry.target, entry.status), ("GET", "/api/v1/agents/?page=2", 200));
    }

    #[test]
    fn common_lines_apache_escapes_and_old_requests_are_read() {
        for (line, user, target) in [
            (r#"::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 429 -"#, None, "/"),
            (r#"10.0.0.1 - a b [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/2.0" 200 1"#, Some("a b"), "/a"),
            (
                r#"10.0.0.1 id "" [10/Oct/2000:13:55:36 -0700] "GET /a\"b\x20c HTTP/1.1" 200 1"#,
                None,
                "/a\"b c",
            ),
            (r#"10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /old" 200 1 "-" "-""#, None, "/old"),
        ] {
            let entry = read(line.as_bytes()).expect(line);
            assert_eq!((entry.user.as_deref(), &*entry.target), (user, target), "{line}");
            assert_eq!(entry.is_denied, entry.status == 429);
        }
    }

    #[test]
    fn what_was_no_request_is_refused() {
        for request in ["-", "", r"\x16\x03\x01\x02\x00", "GET", r"GET /\xff HTTP/1.1", "GET /a b c"] {
            let line = NGINX.replace("GET /api/v1/agents/?page=2 HTTP/1.1", request);
            assert_eq!(read(line.as_bytes()), Err(Skip::Refused), "{request}");
        }
    }

    #[test]
    fn hostile_lines_are_unreadable_and_no_more() {
        for (from, to) in [
            ("10/Oct/2000", "10/Oct/1960"),
            ("10/Oct/2000", "-1/Oct/2000"),
            (" 200 ", " 2000 "),
            (" 200 ", " OK "),
            (" 200 ", " 099 "),
            ("]", ""),
            ("HTTP/1.1\" 200", "HTTP/1.1\\"),
            (NGINX, "\u{0}"),
            (NGINX, "listening http=127.0.0.1:8080 admin=127.0.0.1:9901"),
        ] {
            let line = NGINX.replace(from, to);
            assert!(matches!(read(line.as_bytes()), Err(Skip::Unreadable(_))), "{line}");
        }
        let mut line = NGINX.replace("ada", "\u{0}").into_bytes();
        assert_eq!(read(&line).expect("a request").user.as_deref(), Some("\u{0}"));
        line[12] = 0xff;
        assert!(matches!(read(&line), Err(Skip::Unreadable(_))));
        let long = NGINX.replace("page=2", &"x".repeat(60_000));
        assert_eq!(read(long.as_bytes()).expect("a request").target.len(), 60_000 + "/api/v1/agents/?".len());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(at in 0..NGINX.len(), byte in any::<u8>(), cut in 0..NGINX.len()) {
            let mut line = NGINX.as_bytes().to_vec();
            line[at] = byte;
            line.truncate(line.len() - cut / 4);
            drop(read(&line));
        }
    }
}
