//! What all answers have in common: a bounded time, refusals as documents, the request's id, fields for safety, a count and a
//! line in the access log.

use crate::companion::service::ServiceState;
use crate::companion::service::auth::Principal;
use crate::companion::service::awaited::Waiting;
use crate::companion::service::refusal::{RETRY_AFTER, Refusal};
use crate::telemetry::{AccessRecord, CacheResult, RequestRecord};
use crate::web::Peer;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Version, header};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a request that is taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// On every answer that does not say otherwise: nothing here may be guessed at, framed or run.
const SECURITY_FIELDS: &[(HeaderName, &str)] = &[
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Where the one who asks is noted once the token is verified, for the access log.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted(Arc<OnceLock<Principal>>);

impl Noted {
    /// Notes who asks; the first counts.
    pub(super) fn note(&self, principal: &Principal) {
        self.0.get_or_init(|| principal.clone());
    }
}

/// What is left of a request once it is being answered.
struct Asked {
    head: http::request::Parts,
    route: Option<MatchedPath>,
    client: IpAddr,
    request_id: String,
    noted: Noted,
    /// What is waited for: the request, or the answer.
    body: Waiting,
    began: Duration,
}

/// Bounds the time, writes refusals, adds the fields that every answer has, counts and logs.
pub(super) async fn around(State(state): State<ServiceState>, request: Request, next: Next) -> Response {
    let _in_flight = state.metrics.request_in_flight();
    let (asked, request) = look(&state, request);
    let answered = tokio::time::timeout(state.bounds.answer_timeout, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_elapsed| {
        let refusal = match asked.body.is_on() {
            true => {
                let seconds = state.bounds.answer_timeout.as_secs();
                let detail = format!("its body did not come within {seconds} seconds: send it again");
                Refusal::new(408, "body-too-slow", "The request body arrives too slowly", detail)
            }
            false => {
                Refusal::new(503, "timeout", "The answer took too long", "try again").retry_after(RETRY_AFTER)
            }
        };
        refusal.into_response()
    });
    let mut refused = None;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        refused = Some(refusal.code);
        let allow = response.headers_mut().remove(header::ALLOW);
        response = refusal.answer(asked.head.uri.path(), &asked.request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if refusal.status == 408 {
            // What may still come of the body is no request (RFC 9110 section 15.5.9).
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_FIELDS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(&asked.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    record(&state, &asked, &response, refused);
    response
}

fn look(state: &ServiceState, mut request: Request) -> (Asked, Request) {
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let (head, body) = request.into_parts();
    let peer = head.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let asked = Asked {
        route: head.extensions.get().cloned(),
        client: state.identifier.client_address(peer, &head.headers),
        request_id: request_id(&head),
        noted,
        body: Waiting::default(),
        began: state.clock.monotonic(),
        head: head.clone(),
    };
    let body = asked.body.of(body);
    (asked, Request::from_parts(head, body))
}

/// The id that came with the request, if it is one; else one of our own.
fn request_id(head: &http::request::Parts) -> String {
    let given = head.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_id = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(is_id).map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned)
}

fn record(state: &ServiceState, asked: &Asked, response: &Response, refused: Option<&'static str>) {
    let Asked { head, client, request_id, noted, .. } = asked;
    let duration = state.clock.monotonic().saturating_sub(asked.began);
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    let route = asked.route.as_ref().map(MatchedPath::as_str);
    state.metrics.request(&RequestRecord {
        route: route.unwrap_or("none"),
        method: &head.method,
        status: response.status(),
        duration,
        bytes,
    });
    if let Some(code) = refused {
        state.metrics.refusal(code);
    }
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let principal = noted.0.get();
    crate::telemetry::access(&AccessRecord {
        request_id,
        client: *client,
        method: head.method.as_str(),
        host: text(header::HOST).unwrap_or_default(),
        path: head.uri.path(),
        query: head.uri.query(),
        http: if head.version == Version::HTTP_10 { "1.0" } else { "1.1" },
        status: response.status().as_u16(),
        bytes,
        duration,
        upstream_duration: None,
        route,
        upstream: None,
        cache: response.extensions().get::<CacheResult>().copied(),
        limit: None,
        policy: None,
        tenant: principal.map(|principal| principal.tenant.as_str()),
        user: principal.map(|principal| principal.user.as_str()),
        api_key: None,
        tier: None,
        refusal: refused,
        user_agent: text(header::USER_AGENT),
        is_warming: false,
    });
}
