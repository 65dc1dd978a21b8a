//! Which path is answered by what.

use crate::admin::guard::{Door, guard, method_not_allowed, not_found};
use crate::admin::{cache, configuration, explain, health, instance, limits, warm};
use crate::web::answer::typed;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post, put};
use http::StatusCode;

/// Everything that is answered, as `openapi.json` says it too.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/api/v1/stats"),
    ("GET", "/api/v1/cache/stats"),
    ("GET", "/api/v1/cache/warm"),
    ("POST", "/api/v1/cache/warm"),
    ("GET", "/api/v1/cache/warm/{id}"),
    ("GET", "/api/v1/cache/entry"),
    ("POST", "/api/v1/cache/purge"),
    ("POST", "/api/v1/cache/invalidate"),
    ("GET", "/api/v1/config"),
    ("POST", "/api/v1/config/reload"),
    ("POST", "/api/v1/explain"),
    ("GET", "/api/v1/limits"),
    ("GET", "/api/v1/limits/top"),
    ("GET", "/api/v1/limits/overrides"),
    ("GET", "/api/v1/limits/{policy}/{identity}"),
    ("DELETE", "/api/v1/limits/{policy}/{identity}"),
    ("POST", "/api/v1/limits/{policy}/{identity}/refund"),
    ("PUT", "/api/v1/limits/{policy}/{identity}/override"),
    ("DELETE", "/api/v1/limits/{policy}/{identity}/override"),
];

const OPENAPI: &str = include_str!("openapi.json");

/// All answers behind the guard.
pub(super) fn router(door: Door) -> Router {
    let (parts, webhook) = (door.parts.clone(), cache::Webhook::new(door.parts.clone()));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(cache::metrics))
        .route("/openapi.json", get(openapi))
        .route("/api/v1/stats", get(instance::stats))
        .route("/api/v1/cache/stats", get(cache::stats))
        .route("/api/v1/cache/warm", get(warm::list).post(warm::order))
        .route("/api/v1/cache/warm/{id}", get(warm::job))
        .route("/api/v1/cache/entry", get(cache::entry))
        .route("/api/v1/cache/purge", post(cache::purge))
        .route("/api/v1/cache/invalidate", post(cache::invalidate).with_state(webhook))
        .route("/api/v1/config", get(configuration::config))
        .route("/api/v1/config/reload", post(configuration::reload))
        .route("/api/v1/explain", post(explain::explain))
        .route("/api/v1/limits", get(limits::list))
        .route("/api/v1/limits/top", get(limits::top))
        .route("/api/v1/limits/overrides", get(limits::overrides))
        .route("/api/v1/limits/{policy}/{identity}", get(limits::standing).delete(limits::reset))
        .route("/api/v1/limits/{policy}/{identity}/refund", post(limits::refund))
        .route(
            "/api/v1/limits/{policy}/{identity}/override",
            put(limits::set_override).delete(limits::remove_override),
        )
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(door, guard))
        .with_state(parts)
}

/// `GET /openapi.json`: this list with parameters and answers.
async fn openapi() -> Response {
    typed(StatusCode::OK, "application/json", OPENAPI)
}
