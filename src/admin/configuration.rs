//! `GET /api/v1/config` and `POST /api/v1/config/reload`: what is in force, and the order to read it again.

use crate::admin::body;
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::base::problem::PROBLEM_JSON;
use crate::config::Faults;
use crate::web::answer::{self, typed, wrong};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

/// The order to load the configuration again: where its outcome goes. The asker may have left.
pub type ReloadOrder = oneshot::Sender<Reloaded>;

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// A new configuration is in force.
    Accepted {
        /// Its generation.
        generation: u64,
        /// What is worth a look.
        warnings: Vec<String>,
    },
    /// It is what it was; nothing was done.
    Unchanged,
    /// The old configuration stays.
    Refused {
        /// Everything that is wrong.
        faults: Faults,
    },
}

/// A reload takes no options; some clients cannot leave the body out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

#[derive(Serialize)]
struct InForce<'a> {
    generation: u64,
    config: &'a serde_json::Value,
}

/// A problem with everything that is wrong in the configuration.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    problem: Problem,
    faults: Vec<Wrong<'a>>,
}

/// One fault without the line it stands in: that line may hold a secret.
#[derive(Serialize)]
struct Wrong<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    key: &'a str,
    what: &'a str,
    remedy: &'a str,
}

/// `GET /api/v1/config`: every value in force with defaults filled in and secrets left out.
pub(super) async fn config(State(parts): State<AdminParts>) -> Response {
    let snapshot = parts.current.load();
    let generation = snapshot.generation;
    answer::json(StatusCode::OK, &InForce { generation, config: &crate::config::effective(&snapshot) })
}

/// `POST /api/v1/config/reload`: 200 with the outcome, or 422 with every fault while the old one stays.
pub(super) async fn reload(State(parts): State<AdminParts>, request: Request) -> Response {
    match order(&parts, request).await {
        Ok(Reloaded::Accepted { generation, warnings }) => {
            let accepted = json!({ "result": "accepted", "generation": generation, "warnings": warnings });
            answer::json(StatusCode::OK, &accepted)
        }
        Ok(Reloaded::Unchanged) => answer::json(StatusCode::OK, &json!({ "result": "unchanged" })),
        Ok(Reloaded::Refused { faults }) => refused(&faults),
        Err(refusal) => answer::problem(&refusal),
    }
}

async fn order(parts: &AdminParts, request: Request) -> Result<Reloaded, Box<Problem>> {
    body::read::<NoOptions>(request).await?;
    let (order, outcome) = oneshot::channel();
    parts.reload.try_send(order).map_err(|error| match error {
        TrySendError::Full(_) => {
            wrong(503, "busy", "Other reloads are under way", "ask again when they are done")
        }
        TrySendError::Closed(_) => stopping(),
    })?;
    outcome.await.map_err(|_dropped| stopping())
}

fn stopping() -> Box<Problem> {
    wrong(503, "stopping", "The instance stops", "it loads no configuration any more")
}

fn refused(faults: &Faults) -> Response {
    let count = faults.list.len();
    let detail = format!("{count} faults; the configuration before stays in force");
    let problem = wrong(422, "invalid-configuration", "The configuration was refused", detail);
    let faults = faults.list.iter().map(|fault| view(&faults.file, fault)).collect();
    let body = Refused { problem: *problem, faults };
    let body = Body::from(serde_json::to_vec(&body).unwrap_or_default());
    typed(StatusCode::UNPROCESSABLE_ENTITY, PROBLEM_JSON, body)
}

fn view<'a>(file: &'a str, fault: &'a crate::config::Fault) -> Wrong<'a> {
    let (line, column) = (fault.at.line, fault.at.column);
    Wrong { file, line, column, key: &fault.key, what: &fault.says, remedy: &fault.remedy }
}
