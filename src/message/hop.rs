//! Fields of one hop (RFC 9110 section 7.6): what must not be passed on, what must be added.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::fault::MessageFault;
use super::framing::is_token_byte;

/// Who we are in `Via`. All instances share the name: a chain of a few of them is no circle.
const PSEUDONYM: &str = "tidegate";

/// A request that has passed here more often goes in circles.
const PASSES_MAX: usize = 3;

/// How many options a `Connection` may have; each costs a look-up in both directions. pingora takes no more, and closes
/// the connection without an answer.
const OPTIONS_MAX: usize = 9;

/// Fields that concern one connection only, besides those that `Connection` names (RFC 9110 sections 7.6.1, 7.8,
/// 11.7; RFC 9113 section 3.1; `Keep-Alive` and `Proxy-Connection` by long custom).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "http2-settings",
];

/// Fields that are for every recipient. Naming one of them in `Connection` would make it vanish between us and the
/// other side, who then sees another request or response than the one we judged: no credential, no cookie, no
/// `no-store` (RFC 9110 section 7.6.1 forbids to name them).
const END_TO_END: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "set-cookie",
    "vary",
    "via",
    "www-authenticate",
    "x-api-key",
    // pingora drops the connection without an answer when one of these is named.
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

/// Is it one of the fixed fields of one hop? In lower case.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

fn is_end_to_end(name: &str) -> bool {
    END_TO_END.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The fields that `Connection` names, as far as they end here: what no other side may see, and so nothing may be
/// selected by.
#[must_use]
pub fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = options(headers).filter(|name| !is_end_to_end(name));
    names
        .filter_map(|name| HeaderName::try_from(name).ok())
        .filter(|name| headers.contains_key(name))
        .collect()
}

/// Does a request's `Connection` name only what may be named?
///
/// # Errors
/// [`MessageFault::CONNECTION`].
pub(super) fn check_options(headers: &HeaderMap) -> Result<(), MessageFault> {
    let lines = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let is_readable =
        |line: &[u8]| line.iter().all(|byte| is_token_byte(*byte) || matches!(byte, b',' | b' ' | b'\t'));
    let is_wrong = !lines.into_iter().all(is_readable)
        || options(headers).any(|option| is_end_to_end(option) || option.contains([' ', '\t']))
        || options(headers).nth(OPTIONS_MAX).is_some();
    if is_wrong { Err(MessageFault::CONNECTION) } else { Ok(()) }
}

/// Does the request ask, in due form, to become a WebSocket (RFC 6455 section 4.1)? Every other upgrade is ignored,
/// which RFC 9110 section 7.8 allows; h2c would carry requests past all checks.
#[must_use]
pub fn is_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11 && *method == Method::GET && asks_for_websocket(headers)
}

/// Does the sender close the connection behind this message (RFC 9112 section 9.6)? The option may stand in any line.
#[must_use]
pub fn is_last(headers: &HeaderMap) -> bool {
    options(headers).any(|option| option.eq_ignore_ascii_case("close"))
}

/// Do these fields name a WebSocket in due form? In a request they ask for one, in a 101 they confirm it.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let is_websocket =
        upgrades.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    is_websocket
        && upgrades.next().is_none()
        && options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// The hop-by-hop fields of a message: the fixed ones that it has, and those that its `Connection` names. Fields that
/// are for every recipient are never among them.
#[must_use]
pub fn hop_by_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let nominated = nominated(headers).into_iter().filter(|name| !HOP_BY_HOP.contains(&name.as_str()));
    let fixed = HOP_BY_HOP.iter().copied().map(HeaderName::from_static);
    let mut names: Vec<HeaderName> =
        fixed.filter(|name| headers.contains_key(name)).chain(nominated).collect();
    names.dedup();
    names
}

/// The one `Cookie` of a request that has several: HTTP/2 lets clients send it in crumbs, and whoever passes them on
/// without HTTP/2 must put them together again (RFC 9113 section 8.2.3). `None`: there is one at most.
#[must_use]
pub fn whole_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return None;
    }
    HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).ok()
}

/// Our member of `Via`, for a message that was received in `version` (RFC 9110 section 7.6.3). To be appended in both
/// directions.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::headers as map;
    use proptest::prelude::*;

    /// What is left without the hop-by-hop fields.
    fn stripped(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = map(lines);
        for name in hop_by_hop(&headers) {
            headers.remove(name);
        }
        let show =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().expect("text"));
        let mut all: Vec<String> = headers.iter().map(show).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn fixed_and_nominated_fields_end_here() {
        for name in HOP_BY_HOP {
            assert_eq!(stripped(&[(name, "x"), ("x-kept", "1")]), ["x-kept: 1"], "{name}");
        }
        let lines = [
            ("connection", "close, X-Internal"),
            ("connection", "x-other,,te"),
            ("x-internal", "1"),
            ("x-other", "2"),
            ("x-kept", "1"),
            ("te", "trailers"),
        ];
        assert_eq!(stripped(&lines), ["x-kept: 1"]);
        assert_eq!(hop_by_hop(&map(&lines)).len(), 4);
    }

    #[test]
    fn fields_for_every_recipient_survive_their_nomination() {
        let lines = [
            ("connection", "Cache-Control, set-cookie"),
            ("cache-control", "no-store"),
            ("set-cookie", "a=b"),
        ];
        assert_eq!(stripped(&lines), ["cache-control: no-store", "set-cookie: a=b"]);
    }

    #[test]
    fn a_request_must_not_nominate_what_the_backend_needs() {
        for option in
            ["Authorization", "close, cookie", "Host", "content-length", "X-API-Key", "x-forwarded-for"]
        {
            let headers = HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static(option))]);
            assert_eq!(check_options(&headers), Err(MessageFault::CONNECTION), "{option}");
        }
        assert_eq!(
            check_options(&map(&[("connection", "keep-alive, Upgrade, X-User-Id, X-Custom")])),
            Ok(())
        );
        let many = ["x"; OPTIONS_MAX + 1].join(",");
        let headers =
            HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_str(&many).expect("value"))]);
        assert_eq!(check_options(&headers), Err(MessageFault::CONNECTION));
    }

    #[test]
    fn the_fields_of_a_handshake_are_of_one_hop() {
        let lines = [
            ("connection", "keep-alive, Upgrade, x-a"),
            ("upgrade", "websocket"),
            ("x-a", "1"),
            ("keep-alive", "9"),
        ];
        assert_eq!(stripped(&lines), Vec::<String>::new());
        assert_eq!(stripped(&[("connection", "close")]), Vec::<String>::new());
    }

    #[test]
    fn only_a_websocket_in_due_form_is_an_upgrade() {
        assert!(asks_for_websocket(&map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        for lines in [
            vec![("upgrade", "websocket")],
            vec![("connection", "upgrade")],
            vec![("connection", "upgrade, HTTP2-Settings"), ("upgrade", "h2c")],
            vec![("connection", "upgrade"), ("upgrade", "websocket, h2c")],
            vec![("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")],
        ] {
            assert!(!asks_for_websocket(&map(&lines)), "{lines:?}");
        }
    }

    #[test]
    fn any_line_may_say_that_the_message_is_the_last() {
        for lines in [
            vec![("connection", "close")],
            vec![("connection", "x-a, Close")],
            vec![("connection", "x-a"), ("connection", "close")],
        ] {
            assert!(is_last(&map(&lines)), "{lines:?}");
        }
        assert!(!is_last(&map(&[])) && !is_last(&map(&[("connection", "keep-alive, closed")])));
    }

    #[test]
    fn we_sign_with_the_version_that_was_received() {
        let all = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2].map(via);
        assert_eq!(all, ["1.0 tidegate", "1.1 tidegate", "2 tidegate"]);
    }

    #[test]
    fn circles_are_found_and_short_chains_are_not_circles() {
        let chain = map(&[
            ("via", "1.1 tidegate, 1.1 other (tidegate)"),
            ("via", "2 tidegate"),
            ("via", "1.1 tidegate (x)"),
        ]);
        assert_eq!(check_loop(&chain), Ok(()));
        let circle = map(&[("via", "1.1 tidegate, 1.1 tidegate"), ("via", "2 tidegate,HTTP/1.1 tidegate")]);
        assert_eq!(check_loop(&circle), Err(MessageFault::LOOP));
        assert_eq!(check_loop(&HeaderMap::new()), Ok(()));
    }

    proptest! {
        #[test]
        fn nothing_that_connection_names_survives(connection in "[a-zA-Z ,-]{0,40}") {
            let mut headers = HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_str(&connection).expect("value"))]);
            let named: Vec<HeaderName> = options(&headers).filter_map(|option| HeaderName::try_from(option).ok()).collect();
            for name in &named {
                headers.append(name.clone(), HeaderValue::from_static("1"));
            }
            for name in hop_by_hop(&headers) {
                headers.remove(name);
            }
            let may_stay = |name: &HeaderName| is_end_to_end(name.as_str());
            prop_assert!(named.iter().all(|name| !headers.contains_key(name) || may_stay(name)));
        }
    }
}
