//! `/api/v1/cache/warm`: the order to fill the cache before clients ask, how far it is, what came of each request.

use crate::admin::body;
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::base::clock::millis;
use crate::cache::WarmItem;
use crate::config::{WarmWanted, warm_order};
use crate::store::warming::{NotTaken, Tally, WarmProgress, WarmResult};
use crate::web::answer::{self, problem, wrong};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The body of an order: `job`, or the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    job: Option<String>,
    identities: Option<Identities>,
    paths: Option<Vec<String>>,
    concurrency: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Identities {
    Word(Word),
    Names(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    All,
}

/// A job and how far it is. Times are Unix milliseconds.
#[derive(Debug, Serialize)]
struct JobView {
    id: String,
    job: Option<String>,
    cause: &'static str,
    state: &'static str,
    host: String,
    items: usize,
    done: usize,
    stored: usize,
    fresh: usize,
    unstored: usize,
    failed: usize,
    /// Between two requests, because the origin is slow.
    pause_ms: u64,
    ordered_ms: Option<u64>,
    begun_ms: Option<u64>,
    done_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct WholeView {
    #[serde(flatten)]
    job: JobView,
    results: Vec<ResultView>,
}

/// A request, and what came of it; `null` everywhere: it has not been made.
#[derive(Debug, Serialize)]
struct ResultView {
    identity: Option<String>,
    path: String,
    result: Option<&'static str>,
    status: Option<u16>,
    cache: Option<String>,
    detail: Option<String>,
    ms: Option<u64>,
}

/// `POST /api/v1/cache/warm`: 202 with the id under which it can be followed.
pub(super) async fn order(State(parts): State<AdminParts>, request: Request) -> Response {
    match take(&parts, request).await {
        Ok((id, items)) => answer::json(StatusCode::ACCEPTED, &json!({ "id": id, "items": items })),
        Err(refusal) => problem(&refusal),
    }
}

async fn take(parts: &AdminParts, request: Request) -> Result<(String, usize), Box<Problem>> {
    let malformed = |detail: String| wrong(400, "invalid-warm", "The order is not understood", detail);
    let shape = "send {\"job\": NAME} or {\"paths\": […], \"identities\": [NAME, …] or \"all\"}";
    let wanted: Option<Wanted> = body::read(request).await?;
    let wanted = match wanted {
        Some(Wanted { job: Some(job), identities: None, paths: None, concurrency: None }) => {
            WarmWanted::Job(job)
        }
        Some(Wanted { job: None, identities, paths: Some(paths), concurrency }) => {
            let identities = identities.and_then(|identities| match identities {
                Identities::Word(Word::All) => None,
                Identities::Names(names) => Some(names),
            });
            WarmWanted::List { identities, paths, concurrency }
        }
        _ => return Err(malformed(shape.to_owned())),
    };
    let order = warm_order(&parts.current.load(), &wanted).map_err(|faults| malformed(faults.join("; ")))?;
    let items = order.items.len();
    let id = parts.stores.warming.order(order, parts.clock.wall_ms()).map_err(|refused| match refused {
        NotTaken::Runs { .. } => wrong(409, "warm-runs", "The job runs already", refused.to_string()),
        NotTaken::Full => wrong(503, "busy", "Too many jobs wait", refused.to_string()),
    })?;
    Ok((id, items))
}

/// `GET /api/v1/cache/warm`: the jobs of this instance, the newest first.
pub(super) async fn list(State(parts): State<AdminParts>) -> Response {
    let warming = &parts.stores.warming;
    let jobs: Vec<JobView> = warming.list().iter().map(view).collect();
    let waiting = warming.refreshes_waiting();
    answer::json(StatusCode::OK, &json!({ "scope": "instance", "jobs": jobs, "refreshes_waiting": waiting }))
}

/// `GET /api/v1/cache/warm/{id}`: one of them, with its requests.
pub(super) async fn job(State(parts): State<AdminParts>, Path(id): Path<String>) -> Response {
    let Some((progress, items)) = parts.stores.warming.job(&id) else {
        let detail = "only the newest jobs of an instance are remembered; GET /api/v1/cache/warm lists them";
        return problem(&wrong(404, "no-warm-job", "There is no such job", detail));
    };
    let results = items.into_iter().map(|(item, result)| result_view(&item, result)).collect();
    answer::json(StatusCode::OK, &WholeView { job: view(&progress), results })
}

fn view(progress: &WarmProgress) -> JobView {
    let WarmProgress { id, order, stage, tally, pause, times_ms } = progress;
    let Tally { items, done, stored, fresh, unstored, failed } = *tally;
    let [ordered_ms, begun_ms, done_ms] = *times_ms;
    JobView {
        id: id.clone(),
        job: order.name.as_ref().map(ToString::to_string),
        cause: order.cause.as_str(),
        state: stage.as_str(),
        host: order.site.authority.to_string(),
        items,
        done,
        stored,
        fresh,
        unstored,
        failed,
        pause_ms: millis(*pause),
        ordered_ms,
        begun_ms,
        done_ms,
    }
}

fn result_view(item: &WarmItem, result: Option<WarmResult>) -> ResultView {
    let view = ResultView {
        identity: item.caller.as_ref().map(|caller| caller.name.to_string()),
        path: item.target.clone(),
        result: None,
        status: None,
        cache: None,
        detail: None,
        ms: None,
    };
    let Some(WarmResult { warmed, status, cache, detail, took_ms }) = result else { return view };
    ResultView { result: Some(warmed.as_str()), status, cache, detail, ms: Some(took_ms), ..view }
}
