//! What a gRPC client understands: calls are recognised by their media type, and refused with a status of gRPC, since
//! its clients take every HTTP status but 200 for a broken network (gRPC over HTTP/2, "Responses").

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// `OK` is 0; these are the others that we give (gRPC status codes).
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// Is it a call of gRPC, or of gRPC-Web?
#[must_use]
pub fn is_grpc(request: &HeaderMap) -> bool {
    let media = request.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let Some((name, rest)) = media.split_at_checked(b"application/grpc".len()) else { return false };
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b'-' | b';' | b' '))
}

/// The code of gRPC for a status of HTTP. Where the table of gRPC ("HTTP to gRPC status code mapping") would call a
/// spent limit, a time-out or a body that is too large unavailable, the code says what happened, so that clients do not
/// try again at once.
#[must_use]
pub fn grpc_status(status: u16) -> u8 {
    match status {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 429 => RESOURCE_EXHAUSTED,
        500..=599 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// A text as `grpc-message` carries it: visible ASCII but `%` as it is, every other byte as `%XX`.
#[must_use]
pub fn grpc_message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers;

    #[test]
    fn calls_are_known_by_their_media_type() {
        for (media, expected) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc-web-text", true),
            ("application/grpc; charset=x", true),
            ("application/grpcish", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(&headers(&[("content-type", media)])), expected, "{media}");
        }
        assert!(!is_grpc(&headers(&[])));
    }

    #[test]
    fn statuses_have_a_code_that_tells_clients_whether_to_try_again() {
        let codes = [400, 401, 403, 404, 408, 413, 429, 431, 500, 502, 503, 504].map(grpc_status);
        assert_eq!(codes, [13, 16, 7, 12, 4, 8, 8, 13, 14, 14, 14, 4]);
    }

    #[test]
    fn messages_are_ascii() {
        assert_eq!(grpc_message("100 % é\n"), "100 %25 %C3%A9%0A");
    }
}
