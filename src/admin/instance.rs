//! `GET /api/v1/stats`: how this instance does, for whoever adds several up: the companion, a script.

use crate::admin::parts::AdminParts;
use crate::telemetry::{InstanceReport, rfc3339};
use crate::web::answer::json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct Stats {
    version: &'static str,
    /// RFC 3339 in UTC.
    started_at: String,
    uptime_seconds: u64,
    draining: bool,
    #[serde(flatten)]
    counted: InstanceReport,
}

/// `GET /api/v1/stats`: all counts since the start.
pub(super) async fn stats(State(parts): State<AdminParts>) -> Response {
    let counted = parts.metrics.instance_report();
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        started_at: rfc3339::format_s(counted.since_s),
        // Not the difference of wall times: those may step.
        uptime_seconds: parts.clock.monotonic_ms() / 1_000,
        draining: !parts.readiness.reasons().is_empty(),
        counted,
    };
    json(StatusCode::OK, &stats)
}
