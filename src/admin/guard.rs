//! Who may ask. With a token configured: whoever has it. Without one: this machine only, and no web page through a
//! browser of this machine (DNS rebinding, forged cross-site requests).
//!
//! Every answer is bounded in time and carries the fields that keep it out of caches and frames.

use crate::admin::parts::AdminParts;
use crate::base::{Digester, Problem, Secret};
use crate::web::answer::problem;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Paths for probes, which have no token and name the instance by any address.
const OPEN_PATHS: &[&str] = &["/healthz", "/readyz"];

/// Its messages prove themselves by a signature, which no web page can make.
const WEBHOOK: &str = "/api/v1/cache/invalidate";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// On every answer: nothing here may be kept, guessed at, framed or run.
const SECURITY_FIELDS: &[(HeaderName, &str)] = &[
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// What the guard needs to know.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) parts: AdminParts,
    pub(super) listener: SocketAddr,
    /// Time for an answer, the request's body included.
    pub(super) answer_timeout: Duration,
}

/// Why somebody may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The token is missing or wrong.
    Unauthorized,
    /// No token is configured, and the listener is open to others.
    NoToken,
    /// The request was meant for another host.
    Misdirected,
    /// A page of another origin sent it.
    CrossSite,
}

/// Lets through what may pass; wraps every answer.
pub(super) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match refusal(&door, &request) {
        Some(refusal) => refusal.answer(),
        None => match tokio::time::timeout(door.answer_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => problem(&Problem::new(503, "timeout", "The answer took too long")),
        },
    };
    if !method.is_safe() {
        // Whatever can change something leaves a trace, refused or not.
        let status = response.status().as_u16();
        tracing::info!(method = method.as_str(), path, status, "admin request");
    }
    for (name, value) in SECURITY_FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(door: &Door, request: &Request) -> Option<Refusal> {
    let path = request.uri().path();
    if OPEN_PATHS.contains(&path) || path == WEBHOOK {
        return None;
    }
    let snapshot = door.parts.current.load();
    match &snapshot.admin.token {
        Some(token) => (!has_token(request.headers(), token)).then_some(Refusal::Unauthorized),
        None if !door.listener.ip().is_loopback() => Some(Refusal::NoToken),
        None => from_elsewhere(request.headers(), request.uri(), door.listener.ip()),
    }
}

/// RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1).
fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Some((scheme, given)) = field.to_str().ok().and_then(|field| field.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer") && is_same(given.trim(), token.expose())
}

/// Compares digests of equal length without stopping at the first difference, so that the time tells nothing about
/// how much of a guess is right.
fn is_same(given: &str, token: &str) -> bool {
    let digest = |text: &str| Digester::new("tidegate admin token 1").part(text.as_bytes()).finish().0;
    let pairs = digest(given).into_iter().zip(digest(token));
    pairs.fold(0, |difference, (left, right)| black_box(difference | (left ^ right))) == 0
}

/// Without a token, the request must name this machine as its host, and must not come from a page of another origin.
/// A page that an attacker's DNS points here still sends the attacker's name.
fn from_elsewhere(headers: &HeaderMap, uri: &Uri, listener: IpAddr) -> Option<Refusal> {
    let named = uri.authority().cloned().or_else(|| {
        let field = headers.get(header::HOST)?;
        Authority::try_from(field.as_bytes()).ok()
    });
    let Some(host) = named.filter(|authority| names_us(authority.host(), listener)) else {
        return Some(Refusal::Misdirected);
    };
    let is_same_site =
        headers.get_all(FETCH_SITE).iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_same_origin = headers
        .get_all(header::ORIGIN)
        .iter()
        .all(|origin| origin.as_bytes().eq_ignore_ascii_case(format!("http://{host}").as_bytes()));
    (!is_same_site || !is_same_origin).then_some(Refusal::CrossSite)
}

fn names_us(host: &str, listener: IpAddr) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match literal.parse::<IpAddr>() {
        Ok(ip) => ip == listener || ip.is_loopback(),
        Err(_name) => host.eq_ignore_ascii_case("localhost"),
    }
}

impl Refusal {
    fn answer(self) -> Response {
        let (status, name, title, detail) = match self {
            Self::Unauthorized => (
                401,
                "unauthorized",
                "A token is needed",
                "send `Authorization: Bearer` with the token of `admin.token`",
            ),
            Self::NoToken => (
                403,
                "no-token",
                "Only probes are answered here",
                "set `admin.token`, or listen on 127.0.0.1",
            ),
            Self::Misdirected => (
                421,
                "misdirected",
                "The request names another host",
                "ask localhost, 127.0.0.1 or [::1]; or set `admin.token`, then any name will do",
            ),
            Self::CrossSite => (
                403,
                "cross-site",
                "Pages of other origins may not ask",
                "set `admin.token` to ask from elsewhere",
            ),
        };
        let mut response = problem(&Problem::new(status, name, title).detail(detail));
        if self == Self::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"tidegate admin\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A request with an unknown path.
pub(super) async fn not_found(uri: Uri) -> Response {
    let detail = format!("`{}` is not answered here; GET /openapi.json lists what is", uri.path());
    problem(&Problem::new(404, "not-found", "Nothing is here").detail(detail))
}

/// A request with a known path and another method; the router adds `Allow`.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("`{}` does not answer {method}", uri.path());
    problem(&Problem::new(405, "method-not-allowed", "The method is not answered here").detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(fields: &[(&str, &str)]) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).expect("a name"), value.parse().expect("a value"));
        }
        from_elsewhere(&headers, &Uri::from_static("/metrics"), IpAddr::from([127, 0, 0, 2]))
    }

    #[test]
    fn this_machine_is_known_by_its_names_only() {
        for host in ["localhost:9901", "LOCALHOST", "127.0.0.1:9901", "[::1]:9901", "127.0.0.2"] {
            assert_eq!(verdict(&[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example:9901", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "", "[::2]"]
        {
            assert_eq!(verdict(&[("host", host)]), Some(Refusal::Misdirected), "{host}");
        }
        assert_eq!(verdict(&[]), Some(Refusal::Misdirected));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let from = |name, value| verdict(&[("host", "localhost:9901"), (name, value)]);
        assert_eq!(from("origin", "http://localhost:9901"), None);
        assert_eq!(from("sec-fetch-site", "same-origin"), None);
        assert_eq!(from("sec-fetch-site", "none"), None);
        for origin in ["null", "http://localhost:3000", "https://localhost:9901", "http://evil.example"] {
            assert_eq!(from("origin", origin), Some(Refusal::CrossSite), "{origin}");
        }
        assert_eq!(from("sec-fetch-site", "cross-site"), Some(Refusal::CrossSite));
        assert_eq!(from("sec-fetch-site", "same-site"), Some(Refusal::CrossSite));
    }

    #[test]
    fn a_token_is_the_same_or_not() {
        let token = Secret::new("s3cret");
        let has = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("a value"));
            }
            has_token(&headers, &token)
        };
        assert!(has(&["Bearer s3cret"]) && has(&["bEARER s3cret"]));
        for wrong in ["Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret1", "Basic s3cret", "s3cret"] {
            assert!(!has(&[wrong]), "{wrong}");
        }
        assert!(!has(&[]) && !has(&["Bearer s3cret", "Bearer s3cret"]), "exactly one field");
    }
}
