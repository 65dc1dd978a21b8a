//! The cache phases: asks `cache` what may be looked up and stored, and moves the answer into pingora's machinery.

use crate::cache::{Bypass, KeyInput, Label, Namespace, ResponseInput, Scope, Storability, early};
use crate::proxy::context::RequestCtx;
use crate::proxy::flight::Part;
use crate::proxy::gate::Gate;
use crate::proxy::internal::Errand;
use crate::proxy::storage::{Draft, Found, KeyParts, meta};
use http::{HeaderMap, HeaderName, Method, Version};
use pingora::cache::key::CacheKey;
use pingora::cache::{CacheMeta, CacheOptionOverrides, ForcedFreshness, NoCacheReason, RespCacheable};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;

/// Decides whether the request is looked up at all, and computes the key (`request_cache_filter`).
pub(super) fn enable(gate: &Gate, session: &mut Session, ctx: &mut RequestCtx) {
    let Some(route) = ctx.route.clone() else { return };
    let Some(namespace) = &route.namespace else { return };
    if ctx.is_upgrade {
        ctx.cache.bypass = Some(Bypass::Upgrade);
        return;
    }
    let has_body = !session.is_body_empty();
    let request = session.req_header();
    // The backend sees none of what `Connection` names. Were an answer selected by it, one client could put the
    // answer to its request under another's.
    let mut headers = request.headers.clone();
    for name in crate::message::nominated(&request.headers) {
        drop(headers.remove(name));
    }
    let input = KeyInput {
        namespace,
        caller: &ctx.caller,
        method: &request.method,
        scheme: ctx.scheme,
        authority: &ctx.authority,
        path: &ctx.path,
        query: ctx.query.as_deref(),
        headers: &headers,
        has_body,
    };
    match crate::cache::key(&input) {
        Ok(key) => {
            ctx.cache.key = Some(key);
            ctx.cache.demand = crate::cache::request_demand(&headers, namespace);
            ctx.cache.request = Arc::new(headers);
            let mut overrides = CacheOptionOverrides::default();
            // Waits here are rare: for a background refresh, when the entry's last window ends in between.
            overrides.wait_timeout = Some(namespace.coalesce_wait);
            // pingora 0.9.1 copies the head into a background revalidation as it stands, and then cannot read
            // "HTTP/2" in a request line. Without a body the version changes nothing else towards the backend.
            if ctx.version == Version::HTTP_2 {
                session.req_header_mut().set_version(Version::HTTP_11);
            }
            session.cache.enable(gate.storage, None, None, Some(gate.lock), Some(overrides));
        }
        Err(bypass) => ctx.cache.bypass = Some(bypass),
    }
}

/// The key for pingora (`cache_key_callback`): our digest, plus what the store needs.
pub(super) fn key(gate: &Gate, ctx: &mut RequestCtx) -> Result<CacheKey> {
    let missing = || Error::explain(ErrorType::InternalError, "a cache key without a cached route");
    let digest = ctx.cache.key.ok_or_else(missing)?;
    let namespace = ctx.route.as_ref().and_then(|route| route.namespace.as_ref()).ok_or_else(missing)?;
    let part = Part::default();
    let mut key = CacheKey::new(digest.0.to_vec(), "");
    key.extensions.insert(KeyParts {
        digest,
        owner: crate::cache::owner(namespace, &ctx.caller),
        request: Arc::clone(&ctx.cache.request),
        namespace: Arc::clone(namespace),
        label: Arc::new(label(namespace, ctx)),
        // Before anything is looked up or fetched: a purge from now on reaches what comes of it.
        birth: gate.stores.purges.birth(),
        demand: ctx.cache.demand,
        is_background: ctx.is_background,
        part: part.clone(),
    });
    ctx.cache.part = Some(part);
    Ok(key)
}

/// What an entry that this request fills is called by. The key of scope public has no tenant.
fn label(namespace: &Namespace, ctx: &RequestCtx) -> Label {
    let tenant = ctx.caller.tenant.clone().filter(|_| namespace.scope != Scope::Public);
    let query = ctx.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    Label {
        tenant,
        namespace: Arc::clone(&namespace.name),
        origin: format!("{}://{}", ctx.scheme, ctx.authority),
        target: format!("{}{query}", ctx.path),
        tags: namespace.tags.clone(),
    }
}

/// What a found entry means for this request (`cache_hit_filter`).
pub(super) fn judge_hit(
    gate: &Gate,
    meta: &CacheMeta,
    is_fresh: bool,
    ctx: &mut RequestCtx,
) -> Option<ForcedFreshness> {
    let found = meta.extensions().get::<Found>()?;
    let lifetime = &found.entry.head.lifetime;
    let now_ms = gate.clock.wall_ms();
    ctx.cache.is_ours = lifetime.ours;
    ctx.cache.ttl_s = Some(lifetime.ttl_s(now_ms));
    ctx.cache.is_early = found.is_early && !ctx.is_background;
    if ctx.cache.part.as_ref().is_some_and(Part::is_elsewhere) {
        // Nothing goes upstream: another instance is at it, and what it stores is seen here by itself.
        return Some(ForcedFreshness::ForceFresh);
    }
    if let Some(errand) = ctx.errand() {
        let stored_ms = found.entry.head.stored_ms;
        let is_due = match errand {
            Errand::Warm => crate::cache::warm::is_due(lifetime, stored_ms, now_ms),
            // Another request's answer may have come while this one waited for it.
            Errand::Refresh => stored_ms < ctx.started_wall_ms || !is_fresh,
        };
        return is_due.then_some(ForcedFreshness::ForceExpired);
    }
    match ctx.cache.demand.judge(lifetime, now_ms) {
        None => None,
        Some(crate::cache::Verdict::Fresh) => (!is_fresh).then_some(ForcedFreshness::ForceFresh),
        Some(crate::cache::Verdict::Validate) => Some(ForcedFreshness::ForceExpired),
    }
}

/// Remembers the fields of a 304, all of which update the stored response (`upstream_response_filter`).
pub(super) fn remember_update(response: &ResponseHeader, ctx: &mut RequestCtx) {
    if ctx.cache.key.is_some() && response.status == http::StatusCode::NOT_MODIFIED {
        ctx.cache.update = Some(response.headers.clone());
    }
}

/// Decides whether the response is stored, and for how long (`response_cache_filter`).
pub(super) fn judge_response(
    gate: &Gate,
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut RequestCtx,
) -> Result<RespCacheable> {
    let Some(namespace) = ctx.route.as_ref().and_then(|route| route.namespace.clone()) else {
        return Ok(RespCacheable::Uncacheable(NoCacheReason::NeverEnabled));
    };
    let update = ctx.cache.update.take();
    let stored = session.cache.maybe_cache_meta().filter(|_| update.is_some());
    let merged;
    let headers = match (stored, &update) {
        (Some(stored), Some(update)) => {
            merged = crate::cache::merge_304(&namespace, stored.headers(), update);
            &merged
        }
        _ => &response.headers,
    };
    let input = ResponseInput {
        namespace: &namespace,
        caller: &ctx.caller,
        request: &ctx.cache.request,
        status: response.status.as_u16(),
        headers,
        request_sent_ms: ctx.sent_wall_ms,
        received_ms: gate.clock.wall_ms(),
    };
    let (lifetime, selecting) = match crate::cache::storability(&input) {
        Storability::Store(lifetime, selecting) => {
            let chance = rand::random_range(0..=1_000);
            let lifetime = early::jittered(lifetime, namespace.jitter, input.received_ms, chance);
            let is_warmed = ctx.errand() == Some(Errand::Warm);
            let spread = || crate::cache::warm::spread(lifetime, input.received_ms, rand::random());
            (if is_warmed { spread() } else { lifetime }, selecting)
        }
        Storability::Refuse(refused) => return Ok(refuse(ctx, response, refused.detail())),
    };
    let fact = |name: &HeaderName| ctx.snapshot.identifier.fact(name);
    let Some(selecting) = crate::cache::beyond_key(selecting, namespace.scope, fact) else {
        return Ok(refuse(ctx, response, crate::cache::Refused::Vary.detail()));
    };
    if content_length(headers).is_some_and(|length| length > namespace.max_object) {
        return Ok(refuse(ctx, response, "too-large"));
    }
    // A tag that is forgotten would be a purge that does nothing.
    let Some(tags) = crate::cache::label::tags(&namespace.tags, headers) else {
        return Ok(refuse(ctx, response, "tags"));
    };
    ctx.cache.is_ours = lifetime.ours;
    ctx.cache.ttl_s = Some(lifetime.ttl_s(input.received_ms));
    ctx.cache.is_stored = true;
    let kept = crate::cache::stored_fields(&namespace, headers, input.received_ms);
    let mut meta = meta(response.status.as_u16(), &kept, &lifetime)?;
    let cost_ms = u32::try_from(input.received_ms.saturating_sub(input.request_sent_ms)).unwrap_or(u32::MAX);
    meta.extensions_mut().insert(Draft { lifetime, selecting, tags, cost_ms });
    Ok(RespCacheable::Cacheable(meta))
}

fn refuse(ctx: &mut RequestCtx, response: &ResponseHeader, detail: &'static str) -> RespCacheable {
    if let Some(part) = &ctx.cache.part {
        part.not_storable(response.status.as_u16());
    }
    ctx.cache.refused = Some(detail);
    RespCacheable::Uncacheable(NoCacheReason::Custom(detail))
}

/// May a stale answer be given (`should_serve_stale`)? pingora has checked the windows; it asks with no error for
/// stale-while-revalidate.
pub(super) fn may_serve_stale(session: &mut Session, ctx: &RequestCtx, error: Option<&Error>) -> bool {
    // A background refresh that were answered from the stale entry would begin another one.
    let Some(error) = error else { return !ctx.is_background };
    let is_safe = matches!(session.req_header().method, Method::GET | Method::HEAD);
    let is_theirs = match error.etype() {
        // RFC 5861 section 4: 500, 502, 503 and 504 are errors, other statuses are answers.
        ErrorType::HTTPStatus(status) => matches!(status, 500 | 502 | 503 | 504),
        _ => error.esource() == &pingora::ErrorSource::Upstream,
    };
    if is_safe && is_theirs {
        // pingora closes the connection after a failed attempt; the answer must say so, or the client's next request
        // meets a reset.
        session.set_keepalive(None);
    }
    is_safe && is_theirs
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
