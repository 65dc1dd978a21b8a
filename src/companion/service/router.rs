//! Which path is answered by what, and what all answers have in common.

use crate::companion::service::refusal::Refusal;
use crate::companion::service::{ServiceState, health};
use crate::web::typed;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};

/// What is answered, for machines.
const OPENAPI: &str = include_str!("openapi.json");

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

/// All answers.
pub(super) fn router(state: ServiceState) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/livez", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), around))
        .with_state(state)
}

/// `GET /openapi.json`.
async fn openapi() -> Response {
    typed(StatusCode::OK, "application/json", OPENAPI)
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::not_found(format!("`{}` is not answered here; GET /openapi.json lists what is", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("`{}` does not answer {method}", uri.path());
    Refusal::new(405, "method-not-allowed", "The method is not answered here", detail)
}

/// Bounds the time, writes refusals, adds the fields that every answer has.
async fn around(State(state): State<ServiceState>, request: Request, next: Next) -> Response {
    let request_id = request_id(&request);
    let path = request.uri().path().to_owned();
    let answered = tokio::time::timeout(state.bounds.answer_timeout, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_elapsed| {
        use axum::response::IntoResponse;
        Refusal::new(503, "timeout", "The answer took too long", "try again").into_response()
    });
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = refusal.answer(&path, &request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_FIELDS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The id that came with the request, if it is one; else one of our own.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_id = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(is_id).map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned)
}
