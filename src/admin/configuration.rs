//! `GET /api/v1/config` and `POST /api/v1/config/reload`: what is in force, and the order to read it again.

use crate::admin::answer::{json, problem, typed, wrong};
use crate::admin::state::AdminState;
use crate::base::Problem;
use crate::base::problem::PROBLEM_JSON;
use crate::config::Faults;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, header};
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The order to load the configuration again; whoever loads answers.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Where the outcome goes. The asker may have left.
    pub answer: oneshot::Sender<Result<Reloaded, Faults>>,
}

/// A configuration was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The generation now in force.
    pub generation: u64,
    /// Was it another than before?
    pub changed: bool,
    /// What is worth a look, as text.
    pub warnings: Vec<String>,
}

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
pub(super) async fn config(State(state): State<AdminState>) -> Response {
    let snapshot = state.current.load();
    let generation = snapshot.generation;
    json(StatusCode::OK, &InForce { generation, config: &snapshot.effective })
}

/// `POST /api/v1/config/reload`: 200 with the generation, or 422 with every fault while the old one stays.
pub(super) async fn reload(State(state): State<AdminState>, request: Request) -> Response {
    match order(&state, request).await {
        Ok(Ok(reloaded)) => json(StatusCode::OK, &reloaded),
        Ok(Err(faults)) => refused(&faults),
        Err(refusal) => problem(&refusal),
    }
}

async fn order(state: &AdminState, request: Request) -> Result<Result<Reloaded, Faults>, Box<Problem>> {
    expect_no_options(request).await?;
    let (answer, outcome) = oneshot::channel();
    state.reload.try_send(ReloadRequest { answer }).map_err(|error| match error {
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

/// The order takes no options: its body is empty, or the empty JSON object that some clients cannot leave out.
async fn expect_no_options(request: Request) -> Result<(), Box<Problem>> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|_longer| wrong(413, "body-too-large", "The body is too long", "at most 64 KiB are read"))?;
    if body.is_empty() {
        return Ok(());
    }
    let media_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(wrong(
            415,
            "media-type",
            "The body is no JSON",
            "send none, or one of Content-Type application/json",
        ));
    }
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body) {
        Ok(options) if options.is_empty() => Ok(()),
        Ok(_) => Err(wrong(400, "invalid-body", "The order takes no options", "send no body")),
        Err(error) => Err(wrong(400, "invalid-body", "The body is no JSON object", error.to_string())),
    }
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
