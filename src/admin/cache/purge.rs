//! `POST /api/v1/cache/purge`.

use crate::admin::body;
use crate::admin::cache::selectors::Wanted;
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::cache::{Mode, Purge};
use crate::store::Receipt;
use crate::web::answer::{problem, typed, wrong};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use std::sync::Arc;

/// Bytes of a body: a thousand tags of the longest kind, and a thousand paths of an ordinary one.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// How many names of a purge its log line shows.
const TOLD_MAX: usize = 10;

/// Purges, unless it is only asked what would happen; 503 when only this instance could be told.
pub(in crate::admin) async fn purge(State(parts): State<AdminParts>, request: Request) -> Response {
    let wanted = match body::read_within::<Wanted>(request, BODY_BYTES_MAX).await {
        Ok(wanted) => wanted.unwrap_or_default(),
        Err(refusal) => return problem(&refusal),
    };
    let mode = wanted.mode.unwrap_or(Mode::Hard);
    match carry_out(&parts, &wanted, mode, "api").await {
        Ok(receipt) => receipt_answer(&receipt),
        Err(refusal) => problem(&refusal),
    }
}

/// What was done, with its status.
pub(super) fn receipt_answer(receipt: &Receipt) -> Response {
    let (status, media_type, body) = receipt.answer();
    typed(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), media_type, body)
}

/// Does what is wanted; `source` is the word for the metric and the log.
pub(super) async fn carry_out(
    parts: &AdminParts,
    wanted: &Wanted,
    mode: Mode,
    source: &'static str,
) -> Result<Receipt, Box<Problem>> {
    let purges = wanted.purges(&parts.current.load(), mode)?;
    let now_ms = parts.clock.wall_ms();
    let receipt = if wanted.dry_run {
        let entries = count(parts, purges.clone()).await?;
        Receipt { entries: Some(entries), ..Receipt::of(&purges, mode, None, now_ms) }
    } else {
        let reach = parts.stores.purges.purge(&purges).await;
        parts.metrics.cache_purges(source, u64::try_from(purges.len()).unwrap_or(u64::MAX));
        Receipt::of(&purges, mode, Some(reach), now_ms)
    };
    tell(wanted, &receipt, source);
    Ok(receipt)
}

/// Looks at every entry of the memory, so not on the thread that answers probes.
async fn count(parts: &AdminParts, purges: Vec<Purge>) -> Result<u64, Box<Problem>> {
    let stores = Arc::clone(&parts.stores);
    let counted = tokio::task::spawn_blocking(move || stores.entries.count_matching(&purges)).await;
    counted.map_err(|_panicked| wrong(500, "internal", "The count failed", "the log names the reason"))
}

/// Who asked is for the log of the guard; this is what was done.
fn tell(wanted: &Wanted, receipt: &Receipt, source: &'static str) {
    let shown = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().take(TOLD_MAX).cloned().collect()
    };
    let Receipt { applied, purges, patterns, mode, dry_run, .. } = receipt;
    let Wanted { tenant, namespace, prefix, glob, .. } = wanted;
    let (tags, paths) = (shown(&wanted.tags), shown(&wanted.paths));
    tracing::info!(
        source,
        applied,
        purges,
        patterns,
        ?mode,
        dry_run,
        ?tenant,
        ?namespace,
        ?tags,
        ?paths,
        ?prefix,
        ?glob,
        "cache purged"
    );
}
