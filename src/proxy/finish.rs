//! The end of every request: metrics, statistics, the access line, what was taken is given back.

use crate::cache::Outcome;
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::respond::cache_outcome;
use crate::telemetry::{AccessRecord, CacheResult};
use pingora::Error;
use pingora::proxy::Session;
use std::time::Duration;

/// Records the request (`logging`). Background revalidations are upstream traffic, not requests of clients.
pub(super) fn finish(gate: &Gate, session: &mut Session, error: Option<&Error>, ctx: &mut RequestCtx) {
    let now_ms = gate.clock.monotonic_ms();
    record_upstream(gate, ctx, now_ms, error);
    if ctx.is_background {
        return;
    }
    gate.metrics.request_ended();
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let route = ctx.route.as_ref().map_or("none", |route| &*route.name);
    let method = session.req_header().method.as_str();
    let took = Duration::from_millis(now_ms.saturating_sub(ctx.started_ms));
    gate.metrics.request(route, method, status, took);
    let outcome = cache_outcome(session, ctx);
    record_cache(gate, session, ctx, outcome);
    let summary = error.map(ToString::to_string);
    crate::telemetry::access(&AccessRecord {
        request_id: &ctx.request_id,
        route,
        method,
        authority: &ctx.authority,
        path: &ctx.path,
        query: ctx.query.as_deref(),
        status,
        took,
        upstream: ctx.pool.as_ref().map(|pool| &*pool.settings.name),
        upstream_took: ctx.sent_ms.map(|sent| Duration::from_millis(now_ms.saturating_sub(sent))),
        bytes_in: ctx.body_bytes,
        bytes_out: u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX),
        client: ctx.caller.address,
        user: ctx.caller.user.as_deref(),
        api_key: ctx.caller.api_key.as_deref(),
        tenant: ctx.caller.tenant.as_deref(),
        cache: outcome.map(Outcome::word),
        limited: ctx.limits.is_denied,
        problem: ctx.problem.as_deref(),
        error: summary.as_deref(),
    });
}

/// A success or failure that was not reported yet, and the time the upstream took.
fn record_upstream(gate: &Gate, ctx: &mut RequestCtx, now_ms: u64, error: Option<&Error>) {
    let Some(pool) = &ctx.pool else { return };
    if let Some(attempt) = ctx.attempts.last_mut() {
        pool.report(attempt, error.is_none(), now_ms);
    }
    if let Some(sent_ms) = ctx.sent_ms {
        let took = Duration::from_millis(now_ms.saturating_sub(sent_ms));
        gate.metrics.upstream(&pool.settings.name, took);
    }
}

fn record_cache(gate: &Gate, session: &Session, ctx: &RequestCtx, outcome: Option<Outcome>) {
    let Some(namespace) = ctx.route.as_ref().and_then(|route| route.namespace.as_ref()) else { return };
    let Some(outcome) = outcome else { return };
    let result = match outcome {
        Outcome::Hit => CacheResult::Hit,
        Outcome::Miss => CacheResult::Miss,
        Outcome::Stale => CacheResult::Stale,
        Outcome::Revalidated => CacheResult::Revalidated,
        Outcome::Bypass => CacheResult::Bypass,
    };
    gate.metrics.cache_request(&namespace.name, result);
    gate.stats.record(&namespace.name, ctx.caller.tenant.as_deref(), result);
    if ctx.cache.is_stored {
        gate.stats.stored(&namespace.name);
    }
    if session.cache.lock_duration().is_some_and(|waited| !waited.is_zero()) {
        gate.metrics.coalesced();
        gate.stats.coalesced(&namespace.name);
    }
}
