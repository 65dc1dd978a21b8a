//! The name of one request in logs and answers.

use http::HeaderMap;

/// The longest id that is kept.
const BYTES_MAX: usize = 128;

/// The request's id: that of a trusted peer when it is plain (visible ASCII, at most 128 bytes, one line), otherwise
/// one made of `bits`, which should be random. An id goes into logs and answers, so nothing else may pass.
#[must_use]
pub fn request_id(headers: &HeaderMap, is_trusted: bool, bits: u128) -> String {
    let mut lines = headers.get_all("x-request-id").iter();
    let given = lines.next().filter(|_| is_trusted && lines.next().is_none());
    let is_plain =
        |id: &&str| !id.is_empty() && id.len() <= BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    let kept = given.and_then(|id| id.to_str().ok()).filter(is_plain);
    kept.map_or_else(|| format!("{bits:032x}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(ids: &[&str], is_trusted: bool) -> String {
        let mut headers = HeaderMap::new();
        for id in ids {
            headers.append("x-request-id", HeaderValue::from_bytes(id.as_bytes()).expect("value"));
        }
        request_id(&headers, is_trusted, 5)
    }

    #[test]
    fn only_a_trusted_peer_names_the_request() {
        assert_eq!(of(&["abc-1"], true), "abc-1");
        assert_eq!(of(&["abc-1"], false), "00000000000000000000000000000005");
        assert_eq!(of(&[], true), "00000000000000000000000000000005");
    }

    #[test]
    fn what_is_not_plain_is_replaced() {
        for ids in
            [vec!["a b"], vec![""], vec!["a\tb"], vec!["caf\u{e9}"], vec!["a", "b"], vec![&*"x".repeat(129)]]
        {
            assert_eq!(of(&ids, true).len(), 32, "{ids:?}");
        }
        assert_eq!(of(&[&"x".repeat(128)], true).len(), 128);
    }
}
