//! Is a request well formed, beyond what the reader of the data plane checks: RFC 9110 and 9112.

use crate::message::fault::MessageFault;
use http::{HeaderMap, HeaderName, Method, Version, header};

/// A request head as it was received.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// Method.
    pub method: &'a Method,
    /// The request target, byte for byte.
    pub target: &'a str,
    /// Version.
    pub version: Version,
    /// `:authority` of HTTP/2.
    pub authority: Option<&'a str>,
    /// Fields.
    pub headers: &'a HeaderMap,
}

/// Bounds of a head and of a declared body.
#[derive(Debug, Clone, Copy)]
pub struct RequestBounds {
    /// Bytes of all fields.
    pub head_bytes: usize,
    /// Number of field lines.
    pub fields: usize,
    /// Bytes of the target, and of each field line.
    pub line_bytes: usize,
    /// Bytes of a body by its `Content-Length`.
    pub body_bytes: u64,
}

/// What is known of a request that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// Host and port: lower case, without the default port and a final dot.
    pub authority: String,
    /// The path of the target.
    pub path: &'a str,
    /// The query of the target.
    pub query: Option<&'a str>,
}

/// Checks a request head.
///
/// # Errors
/// [`MessageFault`] with the status and the rule.
pub fn check_request<'a>(
    head: &RequestHead<'a>,
    bounds: &RequestBounds,
) -> Result<Checked<'a>, MessageFault> {
    check_bounds(head, bounds)?;
    check_method(head)?;
    check_framing(head, bounds)?;
    check_fields(head.headers)?;
    let (authority, rest) = split_target(head)?;
    let authority = check_authority(head, authority)?;
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    if rest.contains('#') {
        return Err(MessageFault::TARGET);
    }
    Ok(Checked { authority, path, query })
}

/// RFC 6585 section 5, RFC 9110 section 15.5.15.
fn check_bounds(head: &RequestHead<'_>, bounds: &RequestBounds) -> Result<(), MessageFault> {
    if head.target.len() > bounds.line_bytes {
        return Err(MessageFault::TARGET_TOO_LONG);
    }
    let line = |(name, value): (&HeaderName, &http::HeaderValue)| name.as_str().len() + value.len() + 4;
    let total: usize = head.headers.iter().map(line).sum();
    let is_long = head.headers.iter().map(line).any(|length| length > bounds.line_bytes);
    if head.headers.len() > bounds.fields || total > bounds.head_bytes || is_long {
        return Err(MessageFault::FIELDS_TOO_LARGE);
    }
    Ok(())
}

/// CONNECT would make an open proxy, TRACE reflects credentials (RFC 9110 section 9.3.8).
fn check_method(head: &RequestHead<'_>) -> Result<(), MessageFault> {
    if matches!(*head.method, Method::CONNECT | Method::TRACE) {
        return Err(MessageFault::METHOD);
    }
    if let Some(expect) = head.headers.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(MessageFault::EXPECTATION);
    }
    Ok(())
}

/// RFC 9112 section 6.3: one way to tell a body's length, spelt in one way.
fn check_framing(head: &RequestHead<'_>, bounds: &RequestBounds) -> Result<(), MessageFault> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(MessageFault::CONTENT_LENGTH);
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if let Some(coding) = coding {
        let is_plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        if !is_plain || head.version == Version::HTTP_10 {
            return Err(MessageFault::TRANSFER_ENCODING);
        }
        if length.is_some() {
            return Err(MessageFault::BOTH_LENGTHS);
        }
    }
    let Some(length) = length else { return Ok(()) };
    let text = length.to_str().unwrap_or("");
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(bytes) if is_number && bytes > bounds.body_bytes => Err(MessageFault::BODY_TOO_LARGE),
        Ok(_) if is_number => Ok(()),
        _ => Err(MessageFault::CONTENT_LENGTH),
    }
}

/// RFC 9110 section 5.5: no control characters. Names of trusted fields in their underscore spelling are refused:
/// many backends take `X_User_Id` and `X-User-Id` for one.
fn check_fields(headers: &HeaderMap) -> Result<(), MessageFault> {
    for (name, value) in headers {
        let is_control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
        if value.as_bytes().iter().any(is_control) {
            return Err(MessageFault::FIELD_VALUE);
        }
        if name.as_str().contains('_') && name.as_str().starts_with("x_") {
            return Err(MessageFault::FIELD_NAME);
        }
    }
    Ok(())
}

/// RFC 9112 section 3.2: origin-form, absolute-form, and `*` for OPTIONS. The authority is that of absolute-form.
fn split_target<'a>(head: &RequestHead<'a>) -> Result<(Option<&'a str>, &'a str), MessageFault> {
    let target = head.target;
    if target.bytes().any(|byte| byte <= 0x20 || byte >= 0x7f) {
        return Err(MessageFault::TARGET);
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" && *head.method == Method::OPTIONS {
        return Ok((None, "/"));
    }
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let scheme = scheme.or_else(|| target.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://")));
    let rest = scheme.and_then(|scheme| target.get(scheme.len()..)).ok_or(MessageFault::TARGET)?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).ok_or(MessageFault::TARGET)?;
    match path {
        "" => Ok((Some(authority), "/")),
        path if path.starts_with('/') => Ok((Some(authority), path)),
        _ => Err(MessageFault::TARGET),
    }
}

/// RFC 9110 section 7.2, RFC 9112 section 3.2: exactly one Host, grammatical, and the same as in absolute-form.
fn check_authority(head: &RequestHead<'_>, of_target: Option<&str>) -> Result<String, MessageFault> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(MessageFault::HOST);
    }
    let host = match host {
        Some(host) => Some(normal_authority(host.to_str().unwrap_or("\0")).ok_or(MessageFault::HOST)?),
        None => None,
    };
    let named = of_target.or(head.authority.filter(|authority| !authority.is_empty()));
    let named = match named {
        Some(named) => Some(normal_authority(named).ok_or(MessageFault::HOST)?),
        None => None,
    };
    match (named, host) {
        (Some(named), Some(host)) if named != host => Err(MessageFault::HOST),
        (Some(one), _) | (None, Some(one)) => Ok(one),
        (None, None) if head.version == Version::HTTP_10 => Ok(String::new()),
        (None, None) => Err(MessageFault::HOST),
    }
}

/// `uri-host [":" port]`, normalised; `None` for what is not.
fn normal_authority(text: &str) -> Option<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']')?;
            inner.parse::<std::net::Ipv6Addr>().ok()?;
            (format!("[{}]", inner.to_ascii_lowercase()), after)
        }
        None => {
            let at = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at_checked(at)?;
            let host = host.strip_suffix('.').unwrap_or(host);
            let is_fitting = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
            (!host.is_empty() && host.bytes().all(is_fitting)).then(|| (host.to_ascii_lowercase(), port))?
        }
    };
    let port = match port {
        "" | ":" => "",
        port => {
            let digits = port.strip_prefix(':')?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
            digits.parse::<u16>().ok()?;
            digits
        }
    };
    Some(if matches!(port, "" | "80" | "443") { host } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const BOUNDS: RequestBounds =
        RequestBounds { head_bytes: 1_000, fields: 10, line_bytes: 200, body_bytes: 1_000 };

    fn check(method: &Method, target: &str, lines: &[(&'static str, &str)]) -> Result<(String, String), u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let head =
            RequestHead { method, target, version: Version::HTTP_11, authority: None, headers: &headers };
        check_request(&head, &BOUNDS)
            .map(|ok| (ok.authority, ok.path.to_owned()))
            .map_err(|fault| fault.status())
    }

    fn get(target: &str, lines: &[(&'static str, &str)]) -> Result<(String, String), u16> {
        check(&Method::GET, target, lines)
    }

    #[test]
    fn hosts_are_normalised_or_refused() {
        let of = |host: &str| get("/", &[("host", host)]).map(|(authority, _)| authority);
        assert_eq!(of("A.Example.:80").as_deref(), Ok("a.example"));
        assert_eq!(of("a.example:8080").as_deref(), Ok("a.example:8080"));
        assert_eq!(of("[::1]:80").as_deref(), Ok("[::1]"));
        for wrong in ["", "a b", "a/b", "a,b", "a:b", "a:99999", "u@a", "[::1", "a:80:80"] {
            assert_eq!(of(wrong), Err(400), "{wrong:?}");
        }
        assert_eq!(get("/", &[]), Err(400));
        assert_eq!(get("/", &[("host", "a"), ("host", "a")]), Err(400));
    }

    #[test]
    fn targets_have_one_of_three_forms() {
        let host = [("host", "a.example")];
        assert_eq!(get("http://a.example/x", &host), Ok(("a.example".into(), "/x".into())));
        assert_eq!(get("http://a.example", &host), Ok(("a.example".into(), "/".into())));
        assert_eq!(get("http://evil.example/x", &host), Err(400));
        assert_eq!(check(&Method::OPTIONS, "*", &host), Ok(("a.example".into(), "/".into())));
        for wrong in ["*", "a.example:80", "x", "/a b", "/a\u{7f}", "/#", "ftp://a.example/"] {
            assert_eq!(get(wrong, &host), Err(400), "{wrong}");
        }
        assert_eq!(get(&format!("/{}", "a".repeat(200)), &host), Err(414));
    }

    #[test]
    fn a_body_has_one_length_in_one_spelling() {
        let of = |lines: &[(&'static str, &str)]| {
            let lines: Vec<_> = [("host", "a")].iter().chain(lines).copied().collect();
            check(&Method::POST, "/", &lines).map(|_| ())
        };
        assert_eq!(of(&[("content-length", "5")]), Ok(()));
        assert_eq!(of(&[("transfer-encoding", "chunked")]), Ok(()));
        for wrong in ["+5", "-5", "5, 5", "", "0x5", "99999999999999999999"] {
            assert_eq!(of(&[("content-length", wrong)]), Err(400), "{wrong}");
        }
        for wrong in ["gzip, chunked", "xchunked", "chunked, chunked", "identity"] {
            assert_eq!(of(&[("transfer-encoding", wrong)]), Err(400), "{wrong}");
        }
        assert_eq!(of(&[("content-length", "5"), ("content-length", "5")]), Err(400));
        assert_eq!(of(&[("content-length", "5"), ("transfer-encoding", "chunked")]), Err(400));
        assert_eq!(of(&[("content-length", "5000")]), Err(413));
    }

    #[test]
    fn dangerous_methods_and_oversized_heads_are_refused() {
        let host = [("host", "a")];
        assert_eq!(check(&Method::TRACE, "/", &host), Err(405));
        assert_eq!(check(&Method::CONNECT, "a:80", &host), Err(405));
        assert_eq!(get("/", &[("host", "a"), ("expect", "magic")]), Err(417));
        assert_eq!(get("/", &[("host", "a"), ("x-a", &"a".repeat(300))]), Err(431));
        assert_eq!(get("/", &[("host", "a"), ("x_user_id", "1")]), Err(400));
    }
}
