//! Who asks most and who is denied most on this instance.

use crate::admin::parts::AdminParts;
use crate::store::Ranking;
use crate::store::top::PLACES;
use crate::web::answer::{self, problem, wrong};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Denied,
    Busiest,
}

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Wanted {
    kind: Option<Kind>,
    count: Option<usize>,
}

/// `GET /api/v1/limits/top?kind=denied|busiest&count=20`: within the last hour or two. A count may be too high, by no
/// more than is told.
pub(in crate::admin) async fn top(
    State(parts): State<AdminParts>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Ok(Query(Wanted { kind, count })) = query else {
        let detail = format!("use `kind=denied` or `kind=busiest`, and `count=` from 1 to {PLACES}");
        return problem(&wrong(400, "invalid-query", "The query is not understood", detail));
    };
    let (ranking, word) = match kind.unwrap_or(Kind::Denied) {
        Kind::Denied => (Ranking::Denied, "denied"),
        Kind::Busiest => (Ranking::Busiest, "busiest"),
    };
    let most = parts.stores.top.most(ranking, count.unwrap_or(20).clamp(1, PLACES));
    let rows: Vec<Value> = most
        .iter()
        .map(|seen| {
            json!({
                "policy": *seen.key.policy,
                "identity": seen.subject.to_string(),
                "count": seen.count,
                "overestimate": seen.overestimate,
            })
        })
        .collect();
    answer::json(StatusCode::OK, &json!({ "kind": word, "scope": "instance", "top": rows }))
}
