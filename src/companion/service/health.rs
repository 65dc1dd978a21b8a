//! For probes and for Prometheus: none of it needs a token, and none of it tells of a tenant.

use crate::companion::service::{ServiceParts, ServiceState};
use crate::companion::{DatabaseFault, FaultKind};
use crate::telemetry::metrics::METRICS_TYPE;
use crate::web::{json, typed};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an answer of the database is believed.
const BELIEVED_MS: u64 = 1_000;

/// How long the database may take to answer: probes commonly wait for a second.
const WITHIN: Duration = Duration::from_millis(900);

const OK: &str = "ok";
const UNREACHABLE: &str = "unreachable";
const NOT_MIGRATED: &str = "not-migrated";

/// When the database was last asked, and what came of it. One asks at a time; the others wait for what it hears.
#[derive(Debug, Default)]
pub struct Ready(Mutex<Option<(u64, &'static str)>>);

impl Ready {
    /// How the databases are, in a word: one does for both, since neither helps without the other.
    async fn look(&self, parts: &ServiceParts) -> &'static str {
        let now_ms = parts.clock.monotonic_ms();
        let mut last = self.0.lock().await;
        if let Some((asked_ms, is)) = *last
            && now_ms.saturating_sub(asked_ms) < BELIEVED_MS
        {
            return is;
        }
        let is = match tokio::time::timeout(WITHIN, ping(parts)).await {
            Ok(Ok(())) => OK,
            Ok(Err(fault)) => {
                tracing::debug!(%fault, "not ready");
                if fault.kind == FaultKind::NotMigrated { NOT_MIGRATED } else { UNREACHABLE }
            }
            Err(_elapsed) => {
                tracing::debug!("not ready: the database takes longer to answer than a probe waits");
                UNREACHABLE
            }
        };
        if last.is_some_and(|(_, was)| was != is) {
            tracing::info!(database = is, "readiness has changed");
        }
        *last = Some((now_ms, is));
        is
    }
}

/// Asks the application's database, and our own where that is another.
async fn ping(parts: &ServiceParts) -> Result<(), DatabaseFault> {
    let own =
        async { if Arc::ptr_eq(&parts.database, &parts.own) { Ok(()) } else { parts.own.ping().await } };
    tokio::try_join!(parts.database.ping(), own).map(drop)
}

/// `GET /healthz`, `GET /livez`: it answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `GET /readyz`: its databases answer too, and have the tables.
pub(super) async fn readyz(State(state): State<ServiceState>) -> Response {
    match state.ready.look(&state).await {
        OK => json(StatusCode::OK, &json!({"status": "ok", "database": OK})),
        is => json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "unavailable", "database": is})),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(state): State<ServiceState>) -> Response {
    typed(StatusCode::OK, METRICS_TYPE, state.metrics.render())
}
