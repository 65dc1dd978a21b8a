//! Is a backend's answer one that may be passed on: RFC 9110 and 9112, as strict as for requests.

use http::{HeaderMap, HeaderName, StatusCode, Version, header};

use super::fault::MessageFault;
use super::framing::{framing, has_control, is_token_byte};
use super::hop::asks_for_websocket;

/// Transfer codings that change the body (RFC 9112 section 7.2). We never say that we take them.
const CODINGS: &[&[u8]] = &[b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];

/// A response head as the backend sent it.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// Status.
    pub status: u16,
    /// Version.
    pub version: Version,
    /// Fields.
    pub headers: &'a HeaderMap,
}

/// Checks a response head. `asked_upgrade`: did the request ask to switch protocols?
///
/// # Errors
/// What is wrong, for the log and the 502. The connection to the backend must not be used again.
pub fn check_response(head: &ResponseHead<'_>, asked_upgrade: bool) -> Result<(), &'static str> {
    // RFC 9110 section 15: three digits, of which the first says the class.
    if !(100..600).contains(&head.status) {
        return Err("the backend's status is none of HTTP");
    }
    if head.status == 101 && !asked_upgrade {
        return Err("the backend switches protocols unasked");
    }
    // RFC 9110 section 7.8: to nothing but what the client named, and that is a WebSocket.
    if head.status == 101 && !asks_for_websocket(head.headers) {
        return Err("the backend switches to another protocol than was asked for");
    }
    match framing(head.headers, head.version) {
        Ok(_) => {}
        Err(MessageFault::CONTENT_LENGTH) => {
            return Err("the backend's answer has a malformed or repeated Content-Length");
        }
        Err(MessageFault::BOTH_LENGTHS) => return Err("the backend's answer has two lengths"),
        Err(_) if ends_with_the_connection(head) => {}
        Err(_) => return Err("the backend's answer has a Transfer-Encoding other than chunked"),
    }
    // RFC 9112 section 6.1: none of these has a body to encode.
    let is_bodiless = head.status < 200 || head.status == 204;
    if is_bodiless && head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err("the backend's answer announces a body that it cannot have");
    }
    if head.headers.values().any(has_control) {
        return Err("the backend's answer has control characters in a field");
    }
    Ok(())
}

/// RFC 9112 section 6.3, fourth item: the body of a response whose last coding is not chunked ends with the connection.
/// That holds for a name which nobody registered, and so nobody can undo. A body in one of [`CODINGS`] would reach the
/// client as noise, and what looks like chunked is a sender whom others may read otherwise: both stay refused.
fn ends_with_the_connection(head: &ResponseHead<'_>) -> bool {
    let mut lines = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let name = line.as_bytes().to_ascii_lowercase();
    let is_name = !name.is_empty() && name.iter().copied().all(is_token_byte);
    head.version == Version::HTTP_11
        && is_name
        && !name.windows(5).any(|part| part == b"chunk")
        && !CODINGS.contains(&name.as_slice())
        && !head.headers.contains_key(header::CONTENT_LENGTH)
}

/// Does a hop-by-hop field of a response stay all the same? Of a switch of protocols what says so, and in a 426 the
/// protocols that are required: without them neither could be understood (RFC 9110 sections 7.8 and 15.5.22).
#[must_use]
pub fn stays(name: &HeaderName, status: u16) -> bool {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::SWITCHING_PROTOCOLS) => name == header::UPGRADE || name == header::CONNECTION,
        Ok(StatusCode::UPGRADE_REQUIRED) => name == header::UPGRADE,
        _ => false,
    }
}

/// May a response of this status be sent to a client of this version? HTTP/1.0 has no interim responses (RFC 9110
/// section 15.2).
#[must_use]
pub fn may_reach_client(status: u16, version: Version) -> bool {
    status >= 200 || version >= Version::HTTP_11
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn check(status: u16, version: Version, lines: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("value"));
        }
        check_response(&ResponseHead { status, version, headers: &headers }, false)
    }

    fn ok(status: u16, lines: &[(&'static str, &str)]) -> bool {
        check(status, Version::HTTP_11, lines).is_ok()
    }

    #[test]
    fn a_body_has_one_length_in_one_spelling() {
        assert!(
            ok(200, &[("content-length", "5")])
                && ok(200, &[("transfer-encoding", "chunked")])
                && ok(200, &[])
        );
        for wrong in ["-1", "abc", "5, 5", "", "18446744073709551621"] {
            assert!(!ok(200, &[("content-length", wrong)]), "{wrong}");
        }
        assert!(!ok(200, &[("content-length", "5"), ("content-length", "5")]));
        assert!(!ok(200, &[("content-length", "5"), ("transfer-encoding", "chunked")]));
        assert!(!ok(200, &[("transfer-encoding", "gzip, chunked")]));
        assert!(check(200, Version::HTTP_10, &[("transfer-encoding", "chunked")]).is_err());
    }

    #[test]
    fn a_coding_that_nobody_knows_ends_with_the_connection() {
        assert!(ok(200, &[("transfer-encoding", "identity")]) && ok(200, &[("transfer-encoding", "qxyz")]));
        for wrong in
            ["", "gzip", "X-Gzip", "xchunked", "Chunked ", "a, b", "identity, chunked", "a b", "\u{e9}"]
        {
            assert!(!ok(200, &[("transfer-encoding", wrong)]), "{wrong}");
        }
        assert!(!ok(200, &[("transfer-encoding", "identity"), ("transfer-encoding", "identity")]));
        assert!(!ok(200, &[("transfer-encoding", "identity"), ("content-length", "5")]));
        assert!(!ok(204, &[("transfer-encoding", "identity")]));
        assert!(check(200, Version::HTTP_10, &[("transfer-encoding", "identity")]).is_err());
    }

    #[test]
    fn protocols_are_switched_only_when_asked() {
        assert!(!ok(101, &[]));
        let switch = |lines: &[(&'static str, &'static str)]| {
            let headers = crate::base::testing::headers(lines);
            check_response(&ResponseHead { status: 101, version: Version::HTTP_11, headers: &headers }, true)
        };
        assert_eq!(switch(&[("connection", "Upgrade"), ("upgrade", "WebSocket")]), Ok(()));
        for lines in
            [vec![], vec![("upgrade", "websocket")], vec![("connection", "upgrade"), ("upgrade", "foo")]]
        {
            assert!(switch(&lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn an_upgrade_is_told_when_it_happens_or_is_required() {
        let upgrade = |status| stays(&header::UPGRADE, status);
        assert!(upgrade(101) && upgrade(426) && !upgrade(200));
        assert!(stays(&header::CONNECTION, 101) && !stays(&header::CONNECTION, 426));
        assert!(!stays(&header::TRANSFER_ENCODING, 101));
    }

    #[test]
    fn answers_without_a_body_announce_none() {
        for status in [100, 103, 204] {
            assert!(!ok(status, &[("transfer-encoding", "chunked")]), "{status}");
        }
        // What a GET would have had (RFC 9112 section 6.1); a length on 204 is dropped on the way to the client.
        assert!(ok(304, &[("transfer-encoding", "chunked")]) && ok(304, &[("content-length", "5")]));
        assert!(ok(204, &[("content-length", "0")]));
    }

    #[test]
    fn statuses_have_a_class() {
        assert!(!ok(99, &[]) && !ok(600, &[]) && !ok(999, &[]) && ok(599, &[]));
    }

    #[test]
    fn interim_answers_do_not_reach_http_1_0() {
        assert!(!may_reach_client(103, Version::HTTP_10) && may_reach_client(200, Version::HTTP_10));
        assert!(may_reach_client(103, Version::HTTP_11) && may_reach_client(100, Version::HTTP_2));
    }
}
