//! Fields of one hop (RFC 9110 section 7.6): what must not be passed on, what must be added.

use crate::message::fault::MessageFault;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

/// Who we are in `Via`.
const PSEUDONYM: &str = "tidegate";

/// A request that has passed here this often goes in circles.
const PASSES_MAX: usize = 3;

/// A request id of a trusted peer is kept up to this length.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Fields that concern one connection only, besides those that `Connection` names.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
];

/// The hop-by-hop fields of a message: the fixed ones that it has, and those that its `Connection` names.
#[must_use]
pub fn hop_by_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let nominated = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let fixed = HOP_BY_HOP.iter().map(|name| HeaderName::from_static(name));
    fixed.chain(nominated).filter(|name| headers.contains_key(name)).collect()
}

/// Our member of `Via`, for a message that was received in `version`.
#[must_use]
pub fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 tidegate",
        Version::HTTP_2 => "2 tidegate",
        _ => "1.1 tidegate",
    })
}

/// Has the message been here too often?
///
/// # Errors
/// [`MessageFault::LOOP`].
pub fn check_loop(headers: &HeaderMap) -> Result<(), MessageFault> {
    let lines = headers.get_all(header::VIA).iter().filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(','));
    let passes = members.filter(|member| member.split_whitespace().nth(1) == Some(PSEUDONYM)).count();
    if passes > PASSES_MAX { Err(MessageFault::LOOP) } else { Ok(()) }
}

/// The request's id: a trusted peer's when it is plain, otherwise one made of `bits`.
#[must_use]
pub fn request_id(headers: &HeaderMap, is_trusted: bool, bits: u128) -> String {
    let given = headers.get("x-request-id").filter(|_| is_trusted).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(is_plain).map_or_else(|| format!("{bits:032x}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn nominated_fields_end_here() {
        let headers = map(&[
            ("connection", "close, X-Internal"),
            ("x-internal", "1"),
            ("x-kept", "1"),
            ("te", "trailers"),
        ]);
        let mut names: Vec<_> =
            hop_by_hop(&headers).into_iter().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, ["connection", "te", "x-internal"]);
    }

    #[test]
    fn circles_are_found() {
        let once = map(&[("via", "1.1 tidegate, 1.1 other")]);
        assert!(check_loop(&once).is_ok());
        let often = map(&[("via", "1.1 tidegate, 1.1 tidegate"), ("via", "2 tidegate, 1.1 tidegate")]);
        assert_eq!(check_loop(&often), Err(MessageFault::LOOP));
    }

    #[test]
    fn only_a_trusted_peer_names_the_request() {
        let headers = map(&[("x-request-id", "abc-1")]);
        assert_eq!(request_id(&headers, true, 5), "abc-1");
        assert_eq!(request_id(&headers, false, 5), "00000000000000000000000000000005");
        assert_eq!(request_id(&map(&[("x-request-id", "a b")]), true, 5).len(), 32);
    }
}
