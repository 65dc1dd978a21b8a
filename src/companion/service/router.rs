//! Which path is answered by what.

use crate::companion::exports;
use crate::companion::page;
use crate::companion::service::around::around;
use crate::companion::service::refusal::Refusal;
use crate::companion::service::{ServiceState, activity, health, metrics, openapi, statistics};
use crate::web::typed;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use http::{Method, StatusCode, Uri};

/// Everything that is answered, as `openapi.json` says it too.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/api/v1/dashboard/metrics"),
    ("GET", "/api/v1/dashboard/activity"),
    ("GET", "/api/v1/dashboard/statistics"),
];

/// All answers.
pub(super) fn router(state: ServiceState) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/livez", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi))
        .merge(exports::routes::routes())
        .merge(page::routes())
        .route("/api/v1/dashboard/metrics", get(metrics::metrics))
        .route("/api/v1/dashboard/activity", get(activity::activity))
        .route("/api/v1/dashboard/statistics", get(statistics::statistics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), around))
        .with_state(state)
}

/// `GET /openapi.json`.
async fn openapi() -> Response {
    typed(StatusCode::OK, "application/json", openapi::document())
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::not_found(format!("`{}` is not answered here; GET /openapi.json lists what is", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("`{}` does not answer {method}", uri.path());
    Refusal::new(405, "method-not-allowed", "The method is not answered here", detail)
}
