//! The routes of the admin listener.

use crate::admin::{AdminParts, Reloaded, guard, limits};
use crate::base::Problem;
use crate::base::problem::PROBLEM_JSON;
use crate::config::{Asked, explain};
use crate::telemetry::{CacheStatsBy, METRICS_TYPE};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Bytes of a request body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What every answer shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) parts: Arc<AdminParts>,
    pub(super) address: SocketAddr,
}

pub(super) fn router(parts: Arc<AdminParts>, address: SocketAddr) -> Router {
    let shared = Shared { parts, address };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/api/v1/cache/stats", get(cache_stats))
        .route("/api/v1/config", get(config))
        .route("/api/v1/config/reload", post(reload))
        .route("/api/v1/explain", post(explain_request))
        .route("/api/v1/limits", get(limits::policies))
        .route("/api/v1/limits/{policy}/{identity}", get(limits::state).delete(limits::reset))
        .fallback(async || problem(404, "no-such-page", "There is no such page", "see /openapi.json"))
        .method_not_allowed_fallback(async || {
            problem(405, "method-not-allowed", "The page knows other methods", "see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// A problem document as an answer.
pub(super) fn problem(status: u16, name: &str, title: &str, detail: impl Into<String>) -> Response {
    let body = Problem::new(status, name, title).detail(detail).to_json();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body).into_response()
}

/// Alive: the thread answers.
async fn healthz() -> Response {
    Json(json!({"status": "alive"})).into_response()
}

/// Ready: configured and not going. A dead Redis does not make it unready: traffic goes on without it.
async fn readyz(State(shared): State<Shared>) -> Response {
    if shared.parts.readiness.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"}))).into_response();
    }
    let stores = &shared.parts.stores;
    let generation = shared.parts.current.load().generation;
    let store = if stores.limiter.is_connected() { "up" } else { "away" };
    let cache = if stores.entries.is_connected() { "up" } else { "away" };
    Json(json!({"status": "ready", "generation": generation, "limits_store": store, "cache_store": cache}))
        .into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], shared.parts.metrics.render()).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

#[derive(Deserialize)]
struct StatsQuery {
    by: Option<String>,
}

async fn cache_stats(State(shared): State<Shared>, Query(query): Query<StatsQuery>) -> Response {
    let by = match query.by.as_deref() {
        None => CacheStatsBy::Total,
        Some("namespace") => CacheStatsBy::Namespace,
        Some("tenant") => CacheStatsBy::Tenant,
        Some(other) => {
            let detail = format!("`by={other}` is neither namespace nor tenant");
            return problem(400, "bad-query", "The query is not understood", detail);
        }
    };
    Json(shared.parts.metrics.cache_report(by)).into_response()
}

async fn config(State(shared): State<Shared>) -> Response {
    let snapshot = shared.parts.current.load();
    Json(json!({"generation": snapshot.generation, "config": snapshot.effective})).into_response()
}

async fn reload(State(shared): State<Shared>) -> Response {
    let (send, outcome) = oneshot::channel();
    if shared.parts.reload.send(send).await.is_err() {
        return problem(503, "not-reloadable", "Nothing can be reloaded", "the process is ending");
    }
    match outcome.await {
        Ok(Reloaded::Accepted { generation, warnings }) => {
            Json(json!({"result": "accepted", "generation": generation, "warnings": warnings}))
                .into_response()
        }
        Ok(Reloaded::Unchanged) => Json(json!({"result": "unchanged"})).into_response(),
        Ok(Reloaded::Refused { faults }) => {
            problem(422, "config-refused", "The configuration is refused; the one in force stays", faults)
        }
        Err(_) => problem(503, "not-reloadable", "Nothing can be reloaded", "the process is ending"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainBody {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ip: Option<IpAddr>,
}

async fn explain_request(State(shared): State<Shared>, body: axum::body::Bytes) -> Response {
    let body: ExplainBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("{error}; send {{\"method\", \"url\", \"headers\"?, \"ip\"?}}");
            return problem(400, "bad-body", "The body is not understood", detail);
        }
    };
    let asked = Asked {
        method: body.method,
        url: body.url,
        headers: body.headers.into_iter().collect(),
        ip: body.ip.unwrap_or(IpAddr::from([127, 0, 0, 1])),
        now_s: shared.parts.clock.wall_ms() / 1_000,
    };
    match explain(&shared.parts.current.load(), &asked) {
        Ok(explanation) => Json(explanation).into_response(),
        Err(fault) => problem(400, "bad-request", "Such a request would be refused", fault),
    }
}
