//! Is a backend's answer one that may be passed on: RFC 9110 and 9112.

use http::{HeaderMap, header};

/// Checks a response head. `asked_upgrade`: did the request ask to switch protocols?
///
/// # Errors
/// What is wrong, for the log and the 502.
pub fn check_response(status: u16, headers: &HeaderMap, asked_upgrade: bool) -> Result<(), &'static str> {
    if status == 101 && !asked_upgrade {
        return Err("the backend switches protocols unasked");
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err("the backend's answer has two lengths");
    }
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if length.is_some_and(|length| !is_number(length.as_bytes())) {
        return Err("the backend's answer has a malformed Content-Length");
    }
    // RFC 9112 section 6.1: none of these has a body to encode.
    let is_bodiless = status < 200 || status == 204;
    if is_bodiless && headers.contains_key(header::TRANSFER_ENCODING) {
        return Err("the backend's answer announces a body that it cannot have");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_contradicts_itself_is_not_passed_on() {
        let with = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        assert!(check_response(200, &with("content-length", "5"), false).is_ok());
        for wrong in ["-1", "abc", "5, 5", ""] {
            assert!(check_response(200, &with("content-length", wrong), false).is_err(), "{wrong}");
        }
        assert!(check_response(101, &HeaderMap::new(), false).is_err());
        assert!(check_response(101, &HeaderMap::new(), true).is_ok());
        assert!(check_response(204, &with("transfer-encoding", "chunked"), false).is_err());
    }
}
