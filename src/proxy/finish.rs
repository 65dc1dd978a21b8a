//! The end of every request: metrics, statistics, the access line, what was taken is given back.

use crate::cache::Outcome;
use crate::limit::{Charge, Decision, Mode};
use crate::proxy::context::RequestCtx;
use crate::proxy::failure;
use crate::proxy::flight::Part;
use crate::proxy::gate::Gate;
use crate::proxy::limiting;
use crate::proxy::respond::cache_outcome;
use crate::store::Source;
use crate::telemetry::{AccessRecord, CacheResult, LimitDecision, RequestRecord};
use crate::upstream::Outcome as Ending;
use http::{StatusCode, Version, header};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource};
use std::time::Duration;

/// The customary status of a request whose client left before the answer.
pub(super) const CLIENT_LEFT: u16 = 499;

/// Records the request (`logging`). Background revalidations are upstream traffic, not requests of clients;
/// requests of ours have their line and no more.
pub(super) fn finish(gate: &Gate, session: &mut Session, error: Option<&Error>, ctx: &mut RequestCtx) {
    let now = gate.clock.monotonic();
    record_upstream(gate, ctx, error);
    if let Some(error) = error {
        tracing::debug!(request_id = ctx.request_id, %error, "request failed");
    }
    // Whatever has not ended its flight by now will not.
    if let Some(part) = &ctx.cache.part {
        part.failed();
    }
    let result = cache_result(session, ctx);
    record_cache(gate, ctx, result);
    if ctx.is_background {
        return;
    }
    ctx.in_flight = None;
    let status = session.response_written().map_or(CLIENT_LEFT, |head| head.status.as_u16());
    let bytes = u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX);
    let duration = now.saturating_sub(ctx.started);
    let route = ctx.route.as_ref().map(|route| &*route.name);
    if ctx.errand().is_none() {
        gate.metrics.request(&RequestRecord {
            route: route.unwrap_or("none"),
            method: &session.req_header().method,
            status: StatusCode::from_u16(status).unwrap_or_default(),
            duration,
            bytes,
        });
        if let Some(problem) = ctx.problem {
            gate.metrics.refusal(problem);
        }
    }
    let agent = session.req_header().headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    crate::telemetry::access(&AccessRecord {
        request_id: &ctx.request_id,
        client: ctx.caller.address,
        method: session.req_header().method.as_str(),
        host: &ctx.authority,
        path: &ctx.path,
        query: ctx.query.as_deref(),
        http: version(ctx.version),
        status,
        bytes,
        duration,
        upstream_duration: upstream_duration(ctx),
        route,
        upstream: ctx.pool.as_ref().map(|pool| &*pool.settings.name),
        cache: result,
        limit: limit_decision(ctx),
        policy: limiting::decisive(ctx).map(|name| &**name),
        tenant: ctx.caller.tenant.as_deref(),
        user: ctx.caller.user.as_deref(),
        api_key: ctx.caller.api_key.as_deref(),
        tier: ctx.caller.tier.as_deref(),
        refusal: ctx.problem,
        user_agent: agent,
        is_warming: ctx.errand().is_some(),
    });
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// The one word for the access line: a denial before all else.
fn limit_decision(ctx: &RequestCtx) -> Option<LimitDecision> {
    let limits = &ctx.limits;
    if limits.is_degraded {
        return Some(LimitDecision::Degraded);
    }
    let source = limits.source?;
    let is_refused =
        |(charge, decision): (&Charge, &Decision)| charge.policy.mode == Mode::Shadow && !decision.admitted;
    let shadow =
        limits.shadow_refused.is_some() || limits.charges.iter().zip(&limits.decisions).any(is_refused);
    Some(match (limits.is_denied, source) {
        (true, Source::Store | Source::Remembered) => LimitDecision::Deny,
        (true, Source::Local) => LimitDecision::LocalDeny,
        (false, _) if shadow => LimitDecision::ShadowDeny,
        (false, Source::Store | Source::Remembered) => LimitDecision::Allow,
        (false, Source::Local) => LimitDecision::LocalAllow,
    })
}

/// From choosing the first server to the head of the answer.
fn upstream_duration(ctx: &RequestCtx) -> Option<Duration> {
    Some(ctx.answered?.saturating_sub(ctx.sent?))
}

/// How the last attempt went, unless that was said already, and the time the upstream took.
fn record_upstream(gate: &Gate, ctx: &mut RequestCtx, error: Option<&Error>) {
    failure::end_attempt(
        gate,
        ctx,
        match error.map(|error| error.esource()) {
            None => Ending::Success,
            Some(ErrorSource::Upstream) => Ending::Failure,
            // The client left, or it is our own trouble: no word on the server.
            Some(_) => Ending::Abandoned,
        },
    );
    let Some(pool) = &ctx.pool else { return };
    for _ in 1..ctx.attempts.len() {
        gate.metrics.upstream_retry(&pool.settings.name);
    }
    if let Some(took) = upstream_duration(ctx) {
        gate.metrics.upstream_duration(&pool.settings.name, took);
    }
}

fn cache_result(session: &Session, ctx: &RequestCtx) -> Option<CacheResult> {
    Some(match cache_outcome(session, ctx)? {
        Outcome::Hit => CacheResult::Hit,
        Outcome::Miss => CacheResult::Miss,
        Outcome::Stale => CacheResult::Stale,
        Outcome::Revalidated => CacheResult::Revalidated,
        Outcome::Bypass => CacheResult::Bypass,
    })
}

/// Statistics of the cache. A refused request never came to it.
fn record_cache(gate: &Gate, ctx: &RequestCtx, result: Option<CacheResult>) {
    let Some(namespace) = ctx.route.as_ref().and_then(|route| route.namespace.as_ref()) else { return };
    let tenant = ctx.caller.tenant.as_deref();
    if ctx.cache.is_stored {
        gate.metrics.cache_stored(&namespace.name, tenant);
    }
    let is_of_client = !ctx.is_background && ctx.errand().is_none();
    let Some(result) = result.filter(|_| is_of_client) else { return };
    gate.metrics.cache_request(&namespace.name, tenant, result);
    if ctx.cache.part.as_ref().is_some_and(Part::is_collapsed) {
        gate.metrics.cache_coalesced(&namespace.name, tenant);
    }
}
