//! `GET /metrics` and `GET /api/v1/cache/stats`: what was counted.

use crate::admin::answer::{json, problem, typed};
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::telemetry::{CacheStatsBy, METRICS_TYPE};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

/// `GET /metrics` in Prometheus' text format.
pub(super) async fn metrics(State(parts): State<AdminParts>) -> Response {
    typed(StatusCode::OK, METRICS_TYPE, parts.metrics.render())
}

/// The query of the statistics.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Breakdown {
    by: Option<By>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Namespace,
    Tenant,
}

/// `GET /api/v1/cache/stats`, with `?by=namespace` or `?by=tenant` for the rows behind the sums.
pub(super) async fn stats(
    State(parts): State<AdminParts>,
    query: Result<Query<Breakdown>, QueryRejection>,
) -> Response {
    let by = match query {
        Ok(Query(Breakdown { by: None })) => CacheStatsBy::Total,
        Ok(Query(Breakdown { by: Some(By::Namespace) })) => CacheStatsBy::Namespace,
        Ok(Query(Breakdown { by: Some(By::Tenant) })) => CacheStatsBy::Tenant,
        Err(_) => {
            let wrong = Problem::new(400, "invalid-query", "The query is not understood");
            return problem(&wrong.detail("use `by=namespace` or `by=tenant`, or no query"));
        }
    };
    json(StatusCode::OK, &parts.metrics.cache_report(by))
}
