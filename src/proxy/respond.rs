//! The way back: fields that every answer carries, refusals, and answers of our own.

use crate::cache::{CacheStatus, Outcome, Scope};
use crate::limit::Places;
use crate::message::is_grpc;
use crate::proxy::coding;
use crate::proxy::context::RequestCtx;
use crate::proxy::edits;
use crate::proxy::flight::Part;
use crate::proxy::refusal::Refusal;
use crate::proxy::stream::{self, Phase};
use crate::store::Receipt;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::Result;
use pingora::cache::CachePhase;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;

/// The usual methods; all others but CONNECT and TRACE are passed on too.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// An answer that needs no backend.
pub(super) enum Local {
    /// The cache statistics, as JSON.
    CacheStats(Vec<u8>),
    /// What a purge has done.
    Receipt(Receipt),
    /// What may be asked here, for an OPTIONS request that goes no further (RFC 9110 section 7.6.2).
    Options,
}

/// Completes the head of an answer from the backend or the cache (`response_filter`).
pub(super) fn finish_head(
    session: &mut Session,
    response: &mut ResponseHeader,
    ctx: &mut RequestCtx,
) -> Result<()> {
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9110 section 8.6: no interim response has a length.
        drop(response.remove_header(&header::CONTENT_LENGTH));
        return Ok(());
    }
    if let Some(stream) = session.stream().filter(|_| response.status == StatusCode::SWITCHING_PROTOCOLS) {
        stream::is_now(stream, Phase::Switched);
    }
    frame(session, response, ctx.version)?;
    // By the backend's own words on transforming, before ours are added.
    coding::decide(session, response, ctx)?;
    add_own_fields(response, ctx, ctx.received)?;
    add_limit_fields(response, ctx)?;
    add_cache_fields(session, response, ctx)?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS { Ok(()) } else { edits::response(response, ctx) }
}

/// RFC 9112 section 6: an HTTP/1.0 client knows no chunks, 204 has no length.
fn frame(session: &mut Session, response: &mut ResponseHeader, version: Version) -> Result<()> {
    if response.status == StatusCode::NO_CONTENT {
        drop(response.remove_header(&header::CONTENT_LENGTH));
        drop(response.remove_header(&header::TRANSFER_ENCODING));
    }
    if version == Version::HTTP_10 {
        drop(response.remove_header(&header::TRANSFER_ENCODING));
        session.set_keepalive(None);
    }
    if session.is_process_shutting_down() {
        // RFC 9112 section 9.6: the client is told, not cut off at its next request.
        session.set_keepalive(None);
    }
    if matches!(response.version, Version::HTTP_10 | Version::HTTP_09) {
        response.set_version(Version::HTTP_11);
    }
    Ok(())
}

/// `received`: the version of the message that is passed on (RFC 9110 section 7.6.3).
fn add_own_fields(response: &mut ResponseHeader, ctx: &RequestCtx, received: Version) -> Result<()> {
    if let Ok(id) = HeaderValue::from_str(&ctx.request_id) {
        response.insert_header(X_REQUEST_ID, id)?;
    }
    response.append_header(header::VIA, crate::message::via(received))?;
    Ok(())
}

fn add_limit_fields(response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let limits = &ctx.limits;
    if limits.is_degraded {
        response.insert_header("X-RateLimit-Status", "degraded")?;
        return Ok(());
    }
    if limits.decisions.is_empty() && limits.held.is_empty() {
        return Ok(());
    }
    let places = limits.held.iter().flat_map(|held| held.places().iter().zip(held.remaining()));
    let places = places.filter_map(|(place, remaining)| {
        Some(Places { policy: &place.slot.policy, limit: place.slot.limit, remaining: remaining? })
    });
    let places: Vec<Places<'_>> = places.collect();
    for (name, value) in crate::limit::fields(&limits.charges, &limits.decisions, &places) {
        // A backend's own RateLimit items stay in front of ours: an intermediary must not drop them.
        if name.as_str().starts_with("ratelimit") {
            response.append_header(name, value)?;
        } else {
            response.insert_header(name, value)?;
        }
    }
    Ok(())
}

fn add_cache_fields(session: &Session, response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(namespace) = ctx.route.as_ref().and_then(|route| route.namespace.as_ref()) else {
        return Ok(());
    };
    let Some(outcome) = cache_outcome(session, ctx) else { return Ok(()) };
    if ctx.cache.is_ours || (outcome != Outcome::Bypass && namespace.scope != Scope::Public) {
        let changed = crate::cache::client_fields(namespace, ctx.cache.is_ours, &response.headers);
        for (name, value) in changed {
            match value {
                Some(value) => response.insert_header(name, value)?,
                None => drop(response.remove_header(&name)),
            }
        }
    }
    let is_away = outcome == Outcome::Miss && ctx.cache.part.as_ref().is_some_and(Part::is_store_away);
    let away = is_away.then_some("store-down");
    let status = CacheStatus {
        outcome,
        ttl_s: ctx.cache.ttl_s,
        is_stored: ctx.cache.is_stored && matches!(outcome, Outcome::Miss | Outcome::Revalidated),
        is_collapsed: ctx.cache.part.as_ref().is_some_and(Part::is_collapsed),
        detail: ctx.cache.bypass.as_ref().map(crate::cache::Bypass::detail).or(ctx.cache.refused).or(away),
    };
    response.append_header(CACHE_STATUS, status.value())?;
    response.insert_header(X_CACHE, outcome.word())?;
    Ok(())
}

/// How the cache took part in the answer; `None` where the route is not cached.
pub(super) fn cache_outcome(session: &Session, ctx: &RequestCtx) -> Option<Outcome> {
    ctx.route.as_ref()?.namespace.as_ref()?;
    if ctx.cache.key.is_none() {
        // Without either the request did not come as far as the cache.
        return ctx.cache.bypass.map(|_why| Outcome::Bypass);
    }
    Some(match session.cache.phase() {
        CachePhase::Hit => Outcome::Hit,
        CachePhase::Stale | CachePhase::StaleUpdating if ctx.cache.is_early => Outcome::Hit,
        CachePhase::Stale | CachePhase::StaleUpdating => Outcome::Stale,
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => Outcome::Revalidated,
        CachePhase::Bypass => Outcome::Bypass,
        CachePhase::Disabled(_)
        | CachePhase::Uninit
        | CachePhase::CacheKey
        | CachePhase::Miss
        | CachePhase::Expired => Outcome::Miss,
    })
}

/// Writes a refusal. The connection stays open unless the message itself was at fault.
pub(super) async fn refuse(session: &mut Session, ctx: &mut RequestCtx, refusal: &Refusal) -> Result<()> {
    let request = &session.req_header().headers;
    let answer = match request.get(header::CONTENT_TYPE).filter(|_| is_grpc(request)) {
        Some(media) => refusal.grpc_answer(&ctx.request_id, media),
        None => refusal.answer(&ctx.request_id),
    };
    let mut head = ResponseHeader::build(answer.status, Some(16))?;
    for (name, value) in &answer.fields {
        head.insert_header(name.clone(), value.clone())?;
    }
    ctx.problem = Some(answer.kind);
    if answer.is_last {
        session.set_keepalive(None);
    }
    write(session, ctx, head, answer.body).await
}

/// Writes an answer of our own.
pub(super) async fn local(session: &mut Session, ctx: &mut RequestCtx, local: Local) -> Result<()> {
    let mut head = ResponseHeader::build(200, Some(16))?;
    let body = match local {
        Local::Receipt(receipt) => {
            let (status, media_type, body) = receipt.answer();
            head.set_status(status)?;
            head.insert_header(header::CONTENT_TYPE, media_type)?;
            head.insert_header(header::CACHE_CONTROL, "no-store")?;
            body
        }
        Local::CacheStats(json) => {
            head.insert_header(header::CONTENT_TYPE, "application/json")?;
            head.insert_header(header::CACHE_CONTROL, "no-store")?;
            json
        }
        Local::Options => {
            head.insert_header(header::ALLOW, METHODS)?;
            Vec::new()
        }
    };
    write(session, ctx, head, body).await
}

async fn write(
    session: &mut Session,
    ctx: &RequestCtx,
    mut head: ResponseHeader,
    body: Vec<u8>,
) -> Result<()> {
    add_own_fields(&mut head, ctx, Version::HTTP_11)?;
    add_limit_fields(&mut head, ctx)?;
    edits::own_response(&mut head, ctx)?;
    if body.is_empty() && ctx.version == Version::HTTP_2 {
        // The head is the end: for gRPC that makes it a response of trailers only.
        return session.write_response_tasks(vec![HttpTask::Header(Box::new(head), true)]).await.map(drop);
    }
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    let is_head = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(head), is_head).await?;
    if !is_head {
        session.write_response_body(Some(Bytes::from(body)), true).await?;
    }
    Ok(())
}
