//! For probes and for Prometheus: none of it needs a token, and none of it tells of a tenant.

use crate::companion::Database;
use crate::companion::service::ServiceState;
use crate::telemetry::metrics::METRICS_TYPE;
use crate::web::{json, typed};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;

/// How long an answer of the database is believed.
const BELIEVED_MS: u64 = 1_000;

/// When the database was last asked, and what came of it. One asks at a time; the others wait for what it hears.
#[derive(Debug, Default)]
pub struct Ready(Mutex<Option<(u64, bool)>>);

impl Ready {
    async fn is_ready(&self, database: &Database, now_ms: u64) -> bool {
        let mut last = self.0.lock().await;
        if let Some((asked_ms, is_ready)) = *last
            && now_ms.saturating_sub(asked_ms) < BELIEVED_MS
        {
            return is_ready;
        }
        let answered = database.ping().await;
        if let Err(fault) = &answered {
            tracing::debug!(%fault, "not ready");
        }
        *last = Some((now_ms, answered.is_ok()));
        answered.is_ok()
    }
}

/// `GET /healthz`, `GET /livez`: it answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `GET /readyz`: its database answers too.
pub(super) async fn readyz(State(state): State<ServiceState>) -> Response {
    if state.ready.is_ready(&state.database, state.clock.monotonic_ms()).await {
        json(StatusCode::OK, &json!({"status": "ok", "database": "ok"}))
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "unavailable", "database": "unreachable"}))
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(state): State<ServiceState>) -> Response {
    typed(StatusCode::OK, METRICS_TYPE, state.metrics.render())
}
