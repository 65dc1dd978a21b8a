//! `GET /metrics` and `GET /api/v1/cache/stats`: what was counted.

use crate::admin::parts::AdminParts;
use crate::telemetry::{CacheShare, CacheStatsBy, METRICS_TYPE};
use crate::web::answer::{json, problem, typed, wrong};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

/// `GET /metrics` in Prometheus' text format.
pub(in crate::admin) async fn metrics(State(parts): State<AdminParts>) -> Response {
    typed(StatusCode::OK, METRICS_TYPE, parts.metrics.render())
}

/// The query of the statistics.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Wanted {
    by: Option<By>,
    scope: Option<Scope>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Namespace,
    Tenant,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    #[default]
    Instance,
    Fleet,
}

/// `GET /api/v1/cache/stats`: of this instance, with `?by=namespace` or `?by=tenant` for the rows behind the sums; or with
/// `?scope=fleet` of all that share its store. While the store is away they are of this instance, and say so.
pub(in crate::admin) async fn stats(
    State(parts): State<AdminParts>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let (by, scope) = match query {
        Ok(Query(Wanted { by, scope })) => (by, scope.unwrap_or_default()),
        Err(_) => return odd("use `by=namespace` or `by=tenant`, or `scope=fleet`, or no query"),
    };
    let by = match by {
        None => CacheStatsBy::Total,
        Some(_) if scope == Scope::Fleet => {
            return odd("rows are of one instance: use `by` without `scope=fleet`");
        }
        Some(By::Namespace) => CacheStatsBy::Namespace,
        Some(By::Tenant) => CacheStatsBy::Tenant,
    };
    let report = parts.metrics.cache_report(by);
    if scope == Scope::Instance {
        return json(StatusCode::OK, &report);
    }
    match parts.stores.totals(CacheShare::of(&report)).await {
        Ok(shares) => json(StatusCode::OK, &report.of_fleet(&shares)),
        Err(failure) => {
            tracing::debug!(%failure, "the others' counts are not known");
            json(StatusCode::OK, &report)
        }
    }
}

fn odd(detail: &str) -> Response {
    problem(&wrong(400, "invalid-query", "The query is not understood", detail))
}
