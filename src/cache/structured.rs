//! Structured Fields (RFC 8941): the strict reading of a dictionary, for `CDN-Cache-Control`.
//!
//! One wrong character and the whole field is nothing: that is the point of the format. Parameters are checked and
//! dropped; inner lists are checked and reported as such.

use http::header::{HeaderMap, HeaderName};

/// A member's value without its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bare {
    /// A whole number of at most 15 digits.
    Integer(i64),
    /// A string, unescaped.
    Text(String),
    /// `?0`, `?1`, or a key without a value.
    Boolean(bool),
    /// A decimal, token, byte sequence or inner list: valid, of no use here.
    Other,
}

/// The members of a dictionary field in order; a key that is said twice has its last value. `None` when the
/// combined lines are not a dictionary.
#[must_use]
pub fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(String, Bare)>> {
    let mut text = String::new();
    for value in headers.get_all(name) {
        let separator = if text.is_empty() { "" } else { "," };
        text.push_str(separator);
        text.push_str(value.to_str().ok()?);
    }
    Parser { rest: text.as_bytes() }.dictionary()
}

struct Parser<'t> {
    rest: &'t [u8],
}

impl Parser<'_> {
    fn dictionary(mut self) -> Option<Vec<(String, Bare)>> {
        let mut members: Vec<(String, Bare)> = Vec::new();
        self.skip(b" ");
        while !self.rest.is_empty() {
            let key = self.key()?;
            let value = if self.take(b'=') { self.item_or_list()? } else { Bare::Boolean(true) };
            self.parameters()?;
            members.retain(|(known, _)| *known != key);
            members.push((key, value));
            self.skip(b" \t");
            if self.rest.is_empty() {
                break;
            }
            if !self.take(b',') {
                return None;
            }
            self.skip(b" \t");
            if self.rest.is_empty() {
                return None;
            }
        }
        Some(members)
    }

    fn item_or_list(&mut self) -> Option<Bare> {
        if !self.take(b'(') {
            return self.bare();
        }
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(Bare::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.peek()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<String> {
        if !matches!(self.peek()?, b'a'..=b'z' | b'*') {
            return None;
        }
        let name =
            self.take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'));
        String::from_utf8(name.to_vec()).ok()
    }

    fn bare(&mut self) -> Option<Bare> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'a'..=b'z' | b'A'..=b'Z' | b'*' => {
                self.take_while(|byte| is_token(byte) || matches!(byte, b':' | b'/'));
                Some(Bare::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let negative = self.take(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if self.take(b'.') {
            let (whole, fraction) = (whole.len(), self.take_while(|byte| byte.is_ascii_digit()).len());
            let fits = (1..=12).contains(&whole) && (1..=3).contains(&fraction);
            return fits.then_some(Bare::Other);
        }
        if !(1..=15).contains(&whole.len()) {
            return None;
        }
        let value: i64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
        Some(Bare::Integer(if negative { -value } else { value }))
    }

    fn string(&mut self) -> Option<Bare> {
        let mut text = String::new();
        self.next()?;
        loop {
            match self.next()? {
                b'"' => return Some(Bare::Text(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(char::from(byte)),
                    _ => return None,
                },
                byte @ 0x20..=0x7e => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    fn bytes(&mut self) -> Option<Bare> {
        self.next()?;
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.take(b':').then_some(Bare::Other)
    }

    fn boolean(&mut self) -> Option<Bare> {
        self.next()?;
        match self.next()? {
            b'0' => Some(Bare::Boolean(false)),
            b'1' => Some(Bare::Boolean(true)),
            _ => None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let here = self.peek() == Some(wanted);
        if here {
            self.next();
        }
        here
    }

    fn skip(&mut self, set: &[u8]) {
        self.take_while(|byte| set.contains(&byte));
    }
}

impl<'t> Parser<'t> {
    fn take_while(&mut self, test: impl Fn(u8) -> bool) -> &'t [u8] {
        let length = self.rest.iter().position(|byte| !test(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        taken
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const FIELD: HeaderName = HeaderName::from_static("x");

    fn read(lines: &[&str]) -> Option<Vec<(String, Bare)>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FIELD, HeaderValue::from_str(line).expect("a value"));
        }
        dictionary(&headers, &FIELD)
    }

    #[test]
    fn reads_a_dictionary_over_several_lines() {
        let members =
            read(&["max-age=3600, foobar", "no-store=?0;a=1, private=\"a, \\\"b\", x=(1 \"y\";z tok)"]);
        let expected = vec![
            ("max-age".to_owned(), Bare::Integer(3_600)),
            ("foobar".to_owned(), Bare::Boolean(true)),
            ("no-store".to_owned(), Bare::Boolean(false)),
            ("private".to_owned(), Bare::Text("a, \"b".to_owned())),
            ("x".to_owned(), Bare::Other),
        ];
        assert_eq!(members, Some(expected));
        assert_eq!(read(&["a=1, a=-2"]), Some(vec![("a".to_owned(), Bare::Integer(-2))]));
        assert_eq!(read(&[""]), Some(Vec::new()));
        assert_eq!(read(&["d=1.5, b=:aGk=:, t=a/b:c"]).map(|members| members.len()), Some(3));
    }

    #[test]
    fn one_wrong_character_is_no_field() {
        for line in [
            "max-age=10000, &&&&&",
            "MaX-aGe=3600",
            "max-age =100",
            "max-age= 100",
            "a,",
            ",a",
            "a=\"x",
            "a=1234567890123456",
            "a=1.",
            "a=-",
            "a=?2",
            "a=@1",
            "a=(1",
            "a=(1\"x\")",
            "a b",
            "a;B",
        ] {
            assert_eq!(read(&[line]), None, "{line:?} was read");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~]{0,40}") {
            read(&[&text]);
        }
    }
}
