//! Is a request well formed, beyond what the reader of the data plane checks: RFC 9110, 9112 and 9113.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::authority::normal_authority;
use super::fault::MessageFault;
use super::framing::{Framing, framing, has_control};
use super::hop::check_options;
use super::target::{Target, split};

/// A request head as it was received.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// Method.
    pub method: &'a Method,
    /// The request target, byte for byte (`:path` of HTTP/2).
    pub target: &'a str,
    /// Version.
    pub version: Version,
    /// `http` or `https`: which port is the default one.
    pub scheme: &'a str,
    /// `:authority` of HTTP/2.
    pub authority: Option<&'a str>,
    /// Fields.
    pub headers: &'a HeaderMap,
}

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub struct RequestBounds {
    /// Bytes of the whole head.
    pub head_bytes: usize,
    /// Number of field lines.
    pub fields: usize,
    /// Bytes of the request line, and of each field line.
    pub line_bytes: usize,
}

/// What `Max-Forwards` of an OPTIONS request says (RFC 9110 section 7.6.2); other methods may ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxForwards {
    /// Nothing that concerns us.
    Unlimited,
    /// The request ends here: answer it as the final recipient.
    Spent,
    /// Forward it with this value.
    Next(u64),
}

/// What is known of a request that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// Host and port: lower case, without the scheme's default port and a final dot. Empty for HTTP/1.0 without Host.
    pub authority: String,
    /// The path of the target; `/` when the target is `*`.
    pub path: &'a str,
    /// The query of the target.
    pub query: Option<&'a str>,
    /// Is it about the server as a whole, and so to be forwarded as `*` (RFC 9112 section 3.2.4)?
    pub is_asterisk: bool,
    /// Does the head announce a body that is not empty? HTTP/2 may send one without announcing it.
    pub has_body: bool,
    /// Bytes of the body by `Content-Length`; 0 where none is announced. The route says how many are too many.
    pub body_bytes: u64,
    /// May it be forwarded?
    pub max_forwards: MaxForwards,
}

/// An authority without its port.
#[must_use]
pub fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Checks a request head.
///
/// # Errors
/// [`MessageFault`] with the status and the rule.
pub fn check_request<'a>(
    head: &RequestHead<'a>,
    bounds: &RequestBounds,
) -> Result<Checked<'a>, MessageFault> {
    check_version(head)?;
    check_bounds(head, bounds)?;
    check_method(head)?;
    let framing = framing(head.headers, head.version)?;
    check_fields(head)?;
    let target = split(head.method, head.target)?;
    let authority = check_authority(head, &target)?;
    Ok(Checked {
        authority,
        path: target.path,
        query: target.query,
        is_asterisk: target.is_asterisk,
        has_body: !matches!(framing, Framing::None | Framing::Length(0)),
        body_bytes: if let Framing::Length(bytes) = framing { bytes } else { 0 },
        max_forwards: max_forwards(head),
    })
}

/// RFC 9112 section 2.3: major version 1, or HTTP/2 by its own framing. HTTP/0.9 has no head to check.
fn check_version(head: &RequestHead<'_>) -> Result<(), MessageFault> {
    match head.version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
        _ => Err(MessageFault::VERSION),
    }
}

/// RFC 6585 section 5, RFC 9110 sections 5.4 and 15.5.15.
fn check_bounds(head: &RequestHead<'_>, bounds: &RequestBounds) -> Result<(), MessageFault> {
    // Two spaces, the version, CR and LF; field lines have a colon, a space, CR and LF.
    let request_line = head.method.as_str().len() + head.target.len() + 12;
    if request_line > bounds.line_bytes {
        return Err(MessageFault::TARGET_TOO_LONG);
    }
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let fields: usize = head.headers.iter().map(line).sum();
    let is_long = head.headers.iter().map(line).any(|length| length > bounds.line_bytes);
    if is_long || head.headers.len() > bounds.fields || request_line + fields > bounds.head_bytes {
        return Err(MessageFault::FIELDS_TOO_LARGE);
    }
    Ok(())
}

/// CONNECT would make an open proxy, TRACE reflects credentials (RFC 9110 sections 9.3.6, 9.3.8). An expectation of
/// an HTTP/1.0 client is ignored (section 10.1.1).
fn check_method(head: &RequestHead<'_>) -> Result<(), MessageFault> {
    if matches!(*head.method, Method::CONNECT | Method::TRACE) {
        return Err(MessageFault::METHOD);
    }
    let mut expectations = head.headers.get_all(header::EXPECT).iter();
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if head.version > Version::HTTP_10 && !expectations.all(is_known) {
        return Err(MessageFault::EXPECTATION);
    }
    Ok(())
}

/// Names whose underscore spelling is refused: CGI-like backends (WSGI, PHP, Rack) read `content_length` as
/// `Content-Length`, so it would frame, route or authorise a request behind our back. The names that only the proxy
/// writes are dropped in either spelling by `identity`.
const NEVER_WITH_UNDERSCORES: &[&str] = &[
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "cache-control",
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
    "max-forwards",
    "x-request-id",
];

fn check_fields(head: &RequestHead<'_>) -> Result<(), MessageFault> {
    if head.headers.values().any(has_control) {
        return Err(MessageFault::FIELD_VALUE);
    }
    let is_disguised = |name: &HeaderName| {
        name.as_str().contains('_')
            && NEVER_WITH_UNDERSCORES.contains(&name.as_str().replace('_', "-").as_str())
    };
    if head.headers.keys().any(is_disguised) {
        return Err(MessageFault::FIELD_NAME);
    }
    if head.headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return Err(MessageFault::REPEATED_FIELD);
    }
    if head.version == Version::HTTP_2 {
        check_http2_fields(head.headers)
    } else {
        check_options(head.headers)
    }
}

/// RFC 9113 section 8.2.2: a message with connection-specific fields is malformed; `TE` may say `trailers` only.
fn check_http2_fields(headers: &HeaderMap) -> Result<(), MessageFault> {
    const FORBIDDEN: &[&str] =
        &["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];
    let te_is_fine = headers.get_all(header::TE).iter().all(|value| value.as_bytes() == b"trailers");
    if te_is_fine && !FORBIDDEN.iter().any(|name| headers.contains_key(*name)) {
        return Ok(());
    }
    Err(MessageFault::HTTP2_FIELD)
}

/// RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 9113 section 8.3.1: exactly one Host, grammatical, and the same as
/// in absolute-form or `:authority`. HTTP/1.0 may do without, HTTP/2 may name either.
fn check_authority(head: &RequestHead<'_>, target: &Target<'_>) -> Result<String, MessageFault> {
    let normal = |text: &str, scheme| normal_authority(text, scheme).ok_or(MessageFault::HOST);
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(MessageFault::HOST);
    }
    let (scheme, named) = match (target.absolute, head.authority) {
        (Some((scheme, authority)), _) => (scheme, Some(authority)),
        (None, authority) => (head.scheme, authority),
    };
    let named = named.map(|named| normal(named, scheme)).transpose()?;
    let host = host.map(|host| normal(host.to_str().unwrap_or_default(), scheme)).transpose()?;
    match (named, host) {
        (Some(named), Some(host)) if named != host => Err(MessageFault::HOST),
        // RFC 9112 section 3.2: HTTP/1.1 needs Host even when the target has an authority.
        (Some(_), None) if head.version == Version::HTTP_11 => Err(MessageFault::HOST),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) if head.version == Version::HTTP_10 => Ok(String::new()),
        (None, None) => Err(MessageFault::HOST),
    }
}

fn max_forwards(head: &RequestHead<'_>) -> MaxForwards {
    let value = head.headers.get(header::MAX_FORWARDS).filter(|_| *head.method == Method::OPTIONS);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return MaxForwards::Unlimited;
    }
    match text.parse::<u64>().unwrap_or(u64::MAX).checked_sub(1) {
        None => MaxForwards::Spent,
        Some(next) => MaxForwards::Next(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: RequestBounds = RequestBounds { head_bytes: 1_000, fields: 10, line_bytes: 220 };

    struct Case {
        method: Method,
        target: String,
        version: Version,
        scheme: &'static str,
        authority: Option<&'static str>,
        headers: HeaderMap,
    }

    fn request(lines: &[(&'static str, &str)]) -> Case {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        Case {
            method: Method::GET,
            target: "/".to_owned(),
            version: Version::HTTP_11,
            scheme: "http",
            authority: None,
            headers,
        }
    }

    /// With a good Host in front.
    fn hosted(lines: &[(&'static str, &str)]) -> Case {
        let all: Vec<_> = [("host", "a.example")].iter().chain(lines).copied().collect();
        request(&all)
    }

    impl Case {
        fn method(mut self, method: Method) -> Self {
            self.method = method;
            self
        }

        fn target(mut self, target: &str) -> Self {
            self.target = target.to_owned();
            self
        }

        fn version(mut self, version: Version) -> Self {
            self.version = version;
            self
        }

        fn http2(mut self, authority: Option<&'static str>) -> Self {
            (self.version, self.authority) = (Version::HTTP_2, authority);
            self
        }

        fn check(&self) -> Result<Checked<'_>, MessageFault> {
            let Self { method, target, version, scheme, authority, headers } = self;
            let head =
                RequestHead { method, target, version: *version, scheme, authority: *authority, headers };
            check_request(&head, &BOUNDS)
        }

        fn fault(&self) -> Option<MessageFault> {
            self.check().err()
        }

        fn authority(&self) -> Result<String, u16> {
            self.check().map(|checked| checked.authority).map_err(|fault| fault.status())
        }
    }

    #[test]
    fn there_is_exactly_one_well_formed_host() {
        assert_eq!(request(&[("host", "A.Example.:80")]).authority().as_deref(), Ok("a.example"));
        assert_eq!(
            host(&request(&[("host", "a.example:8080")]).check().expect("fine").authority),
            "a.example"
        );
        assert_eq!(host(&request(&[("host", "[::1]")]).check().expect("fine").authority), "[::1]");
        for host in ["", "a b", "a/b", "a, b", "a:b", "u@a", "caf\u{e9}"] {
            assert_eq!(request(&[("host", host)]).authority(), Err(400), "{host:?}");
        }
        assert_eq!(request(&[]).authority(), Err(400));
        assert_eq!(request(&[("host", "a"), ("host", "a")]).authority(), Err(400));
    }

    #[test]
    fn http_1_0_may_lack_a_host_but_not_have_a_bad_one() {
        assert_eq!(request(&[]).version(Version::HTTP_10).authority().as_deref(), Ok(""));
        assert_eq!(request(&[("host", "a b")]).version(Version::HTTP_10).authority(), Err(400));
        assert_eq!(
            request(&[]).version(Version::HTTP_10).target("http://a/").authority().as_deref(),
            Ok("a")
        );
    }

    #[test]
    fn absolute_form_must_name_the_host() {
        let to = |target: &str| hosted(&[]).target(target).authority();
        assert_eq!(to("http://A.example:80/x").as_deref(), Ok("a.example"));
        assert_eq!(
            (to("http://evil.example/x"), to("http:///x"), to("http://u@a.example/")),
            (Err(400), Err(400), Err(400))
        );
        assert_eq!(
            request(&[]).target("http://a/").authority(),
            Err(400),
            "HTTP/1.1 needs Host all the same"
        );
    }

    #[test]
    fn http2_names_its_authority_in_either_place_or_twice_alike() {
        assert_eq!(request(&[]).http2(Some("A:80")).authority().as_deref(), Ok("a"));
        assert_eq!(request(&[("host", "a")]).http2(None).authority().as_deref(), Ok("a"));
        assert_eq!(request(&[("host", "a")]).http2(Some("a")).authority().as_deref(), Ok("a"));
        assert_eq!(request(&[("host", "b")]).http2(Some("a")).authority(), Err(400));
        assert_eq!(
            (request(&[]).http2(None).authority(), request(&[]).http2(Some("")).authority()),
            (Err(400), Err(400))
        );
    }

    #[test]
    fn http2_has_no_connection_fields() {
        for (name, value) in [
            ("connection", "close"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
        ] {
            assert_eq!(
                hosted(&[(name, value)]).http2(None).fault(),
                Some(MessageFault::HTTP2_FIELD),
                "{name}"
            );
        }
        assert_eq!(hosted(&[("te", "trailers")]).http2(None).fault(), None);
    }

    #[test]
    fn targets_have_one_of_three_forms() {
        let case = hosted(&[]).target("/a?b=1");
        let checked = case.check().expect("fine");
        assert_eq!((checked.path, checked.query), ("/a", Some("b=1")));
        let case = hosted(&[]).method(Method::OPTIONS).target("*");
        let checked = case.check().expect("fine");
        assert_eq!((checked.path, checked.query), ("/", None));
        for target in ["*", "a.example:80", "/a b", "/#", "/caf\u{e9}"] {
            assert_eq!(hosted(&[]).target(target).fault(), Some(MessageFault::TARGET), "{target}");
        }
    }

    #[test]
    fn a_body_has_one_length() {
        let has_body = |lines: &[(&'static str, &str)]| hosted(lines).check().map(|checked| checked.has_body);
        assert_eq!((has_body(&[]), has_body(&[("content-length", "0")])), (Ok(false), Ok(false)));
        assert_eq!(
            (has_body(&[("content-length", "5")]), has_body(&[("transfer-encoding", "chunked")])),
            (Ok(true), Ok(true))
        );
        let announced = hosted(&[("content-length", "1001")]).check().map(|checked| checked.body_bytes);
        assert_eq!(announced, Ok(1_001));
        assert_eq!(has_body(&[("content-length", "+5")]), Err(MessageFault::CONTENT_LENGTH));
        assert_eq!(has_body(&[("transfer-encoding", "xchunked")]), Err(MessageFault::TRANSFER_ENCODING));
        assert_eq!(has_body(&[("transfer-encoding", "gzip, chunked")]), Err(MessageFault::TRANSFER_CODING));
        assert_eq!(
            has_body(&[("transfer-encoding", "chunked"), ("content-length", "5")]),
            Err(MessageFault::BOTH_LENGTHS)
        );
    }

    #[test]
    fn connect_and_trace_are_not_passed_on_unknown_methods_are() {
        assert_eq!(hosted(&[]).method(Method::TRACE).fault(), Some(MessageFault::METHOD));
        assert_eq!(
            hosted(&[("max-forwards", "0")]).method(Method::TRACE).fault(),
            Some(MessageFault::METHOD)
        );
        assert_eq!(
            hosted(&[]).method(Method::CONNECT).target("a.example:80").fault(),
            Some(MessageFault::METHOD)
        );
        assert_eq!(hosted(&[]).method(Method::from_bytes(b"M-SEARCH").expect("method")).fault(), None);
    }

    #[test]
    fn max_forwards_counts_for_options_only() {
        let of = |method, value: &str| {
            hosted(&[("max-forwards", value)]).method(method).check().map(|checked| checked.max_forwards)
        };
        assert_eq!(of(Method::OPTIONS, "0"), Ok(MaxForwards::Spent));
        assert_eq!(of(Method::OPTIONS, "7"), Ok(MaxForwards::Next(6)));
        assert_eq!(of(Method::OPTIONS, "99999999999999999999"), Ok(MaxForwards::Next(u64::MAX - 1)));
        assert_eq!(
            (of(Method::GET, "0"), of(Method::OPTIONS, "x")),
            (Ok(MaxForwards::Unlimited), Ok(MaxForwards::Unlimited))
        );
    }

    #[test]
    fn only_one_expectation_is_known() {
        assert_eq!(hosted(&[("expect", "100-Continue")]).fault(), None);
        assert_eq!(hosted(&[("expect", "magic")]).fault(), Some(MessageFault::EXPECTATION));
        assert_eq!(
            hosted(&[("expect", "100-continue"), ("expect", "more")]).fault(),
            Some(MessageFault::EXPECTATION)
        );
        assert_eq!(hosted(&[("expect", "magic")]).version(Version::HTTP_10).fault(), None);
    }

    #[test]
    fn versions_that_are_not_spoken_here_are_refused() {
        for version in [Version::HTTP_09, Version::HTTP_3] {
            assert_eq!(hosted(&[]).version(version).fault(), Some(MessageFault::VERSION));
        }
    }

    #[test]
    fn heads_are_bounded_in_every_direction() {
        assert_eq!(
            hosted(&[]).target(&format!("/{}", "a".repeat(220))).fault(),
            Some(MessageFault::TARGET_TOO_LONG)
        );
        assert_eq!(hosted(&[("x-a", &"a".repeat(220))]).fault(), Some(MessageFault::FIELDS_TOO_LARGE));
        let long = "a".repeat(150);
        assert_eq!(hosted(&[("x-a", &*long); 9]).fault(), Some(MessageFault::FIELDS_TOO_LARGE), "together");
        assert_eq!(hosted(&[("x-a", "1"); 10]).fault(), Some(MessageFault::FIELDS_TOO_LARGE), "too many");
        assert_eq!(hosted(&[("x-a", "1"); 9]).fault(), None);
    }

    #[test]
    fn standard_fields_in_disguise_are_refused_other_underscores_pass() {
        for name in ["content_length", "transfer_encoding", "content-type", "x_request_id", "if_none-match"] {
            let refused = hosted(&[(name, "1")]).fault() == Some(MessageFault::FIELD_NAME);
            assert_eq!(refused, name != "content-type", "{name}");
        }
        assert_eq!(hosted(&[("x_custom", "1")]).fault(), None);
    }

    #[test]
    fn a_credential_is_sent_once() {
        let twice = hosted(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        assert_eq!(twice.fault(), Some(MessageFault::REPEATED_FIELD));
    }

    #[test]
    fn connection_must_not_hide_fields_from_the_backend() {
        assert_eq!(hosted(&[("connection", "close, Authorization")]).fault(), Some(MessageFault::CONNECTION));
    }

    #[test]
    fn a_websocket_is_asked_for_with_get_over_http_1_1() {
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        let asks = |case: Case| super::super::hop::is_websocket(&case.method, case.version, &case.headers);
        assert!(asks(hosted(&upgrade)));
        assert!(
            !asks(hosted(&upgrade).method(Method::POST)) && !asks(hosted(&upgrade).version(Version::HTTP_10))
        );
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_passes_is_clean(target in "[ -~]{0,40}", host in "[ -~]{0,20}", length in "[0-9a+]{0,4}") {
            let case = request(&[("host", &host), ("content-length", &length)]).target(&target);
            if let Ok(checked) = case.check() {
                prop_assert!(checked.path.starts_with('/'));
                prop_assert!(!checked.path.contains([' ', '?', '#']));
                prop_assert!(!checked.authority.contains(['/', '@', ',', ' ']));
                prop_assert_eq!(checked.authority.to_ascii_lowercase(), checked.authority);
            }
        }
    }
}
