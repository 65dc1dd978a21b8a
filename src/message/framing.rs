//! How long the body is: one statement in one spelling, or the message is refused (RFC 9112 section 6).

use http::{HeaderMap, HeaderValue, Version, header};

use super::fault::MessageFault;

/// What the head says about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Reads `Content-Length` and `Transfer-Encoding` of a request or response.
pub(super) fn framing(headers: &HeaderMap, version: Version) -> Result<Framing, MessageFault> {
    let length = content_length(headers)?;
    let is_chunked = is_chunked(headers, version)?;
    match (length, is_chunked) {
        // RFC 9112 section 6.3, third item: "ought to be handled as an error".
        (Some(_), true) => Err(MessageFault::BOTH_LENGTHS),
        (None, true) => Ok(Framing::Chunked),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, false) => Ok(Framing::None),
    }
}

/// RFC 9110 section 8.6: `1*DIGIT`, once. Equal repetitions may be merged by the RFC; a party that does not merge
/// them as we do would see another length.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, MessageFault> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let number = |line: &HeaderValue| -> Option<u64> {
        let text = line.to_str().ok()?;
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    match (number(line), lines.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(MessageFault::CONTENT_LENGTH),
    }
}

/// RFC 9112 section 6.1: `chunked`, once and last; HTTP/1.0 has no transfer codings.
fn is_chunked(headers: &HeaderMap, version: Version) -> Result<bool, MessageFault> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(line) = lines.next() else { return Ok(false) };
    if version < Version::HTTP_11 {
        return Err(MessageFault::TRANSFER_ENCODING);
    }
    if line.as_bytes().eq_ignore_ascii_case(b"chunked") && lines.next().is_none() {
        return Ok(true);
    }
    let all: Vec<&str> = headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect();
    let is_coding = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    match all.split_last() {
        Some((last, rest))
            if last.eq_ignore_ascii_case("chunked")
                && !rest.is_empty()
                && rest.iter().all(|coding| is_coding(coding) && !coding.eq_ignore_ascii_case("chunked")) =>
        {
            Err(MessageFault::TRANSFER_CODING)
        }
        _ => Err(MessageFault::TRANSFER_ENCODING),
    }
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 5.5: no control octets but the tab.
pub(super) fn has_control(value: &HeaderValue) -> bool {
    value.as_bytes().iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(version: Version, lines: &[(&'static str, &str)]) -> Result<Framing, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("value"));
        }
        framing(&headers, version).map_err(|fault| fault.status())
    }

    fn lengths(values: &[&str]) -> Result<Framing, u16> {
        let lines: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
        of(Version::HTTP_11, &lines)
    }

    fn codings(values: &[&str]) -> Result<Framing, u16> {
        let lines: Vec<_> = values.iter().map(|value| ("transfer-encoding", *value)).collect();
        of(Version::HTTP_11, &lines)
    }

    #[test]
    fn a_content_length_is_one_decimal_number() {
        assert_eq!(
            (lengths(&[]), lengths(&["0"]), lengths(&["0012"])),
            (Ok(Framing::None), Ok(Framing::Length(0)), Ok(Framing::Length(12)))
        );
        for wrong in ["+5", "-5", "5, 5", "5,5", "", "0x5", "5.0", "18446744073709551616", "5 5", "\u{665}"] {
            assert_eq!(lengths(&[wrong]), Err(400), "{wrong:?}");
        }
        assert_eq!((lengths(&["5", "5"]), lengths(&["5", "6"])), (Err(400), Err(400)));
    }

    #[test]
    fn a_transfer_encoding_is_chunked_alone() {
        assert_eq!(
            (codings(&["chunked"]), codings(&["Chunked"])),
            (Ok(Framing::Chunked), Ok(Framing::Chunked))
        );
        for wrong in [
            vec!["xchunked"],
            vec!["chunked, chunked"],
            vec!["chunked", "chunked"],
            vec!["chunked, gzip"],
            vec!["identity"],
            vec!["gzip"],
            vec![""],
            vec!["chunked,"],
            vec![",chunked"],
            vec!["chunked;a=b"],
            vec!["\"chunked\""],
            vec!["gzip x, chunked"],
            vec!["chunked", "identity"],
        ] {
            assert_eq!(codings(&wrong), Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn a_coding_that_is_not_ours_is_not_implemented() {
        assert_eq!((codings(&["gzip, chunked"]), codings(&["gzip", "chunked"])), (Err(501), Err(501)));
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        assert_eq!(of(Version::HTTP_10, &[("transfer-encoding", "chunked")]), Err(400));
        assert_eq!(of(Version::HTTP_10, &[("content-length", "5")]), Ok(Framing::Length(5)));
    }

    #[test]
    fn two_statements_about_the_length_are_refused_even_when_they_agree() {
        assert_eq!(
            of(Version::HTTP_11, &[("content-length", "5"), ("transfer-encoding", "chunked")]),
            Err(400)
        );
    }

    proptest! {
        #[test]
        fn only_plain_numbers_and_chunked_pass(length in "[0-9+ ,x-]{0,6}", coding in "[chunkedgzip, ]{0,20}") {
            let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(lengths(&[&length]).is_ok(), plain);
            prop_assert_eq!(codings(&[&coding]).is_ok(), coding.eq_ignore_ascii_case("chunked"));
        }
    }
}
