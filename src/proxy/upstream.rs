//! Towards the backend: which server, with which time-outs, which fields it gets, and whether its answer is one.

use crate::config::Target;
use crate::identity::Received;
use crate::proxy::context::RequestCtx;
use crate::proxy::edits;
use crate::proxy::failure;
use crate::proxy::gate::Gate;
use crate::proxy::refusal::Refusal;
use bytes::Bytes;
use http::{Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use std::sync::Arc;

/// How long a body may take before its rate is judged.
const BODY_GRACE_MS: u64 = 10_000;

/// May the backend be asked (`proxy_upstream_filter`)?
pub(super) fn may_ask(ctx: &RequestCtx) -> Result<(), Refusal> {
    if ctx.cache.key.is_some() && ctx.cache.demand.only_if_cached {
        return Err(Refusal::OnlyIfCached);
    }
    Ok(())
}

/// Picks a server (`upstream_peer`), once for each attempt.
pub(super) async fn peer(gate: &Gate, session: &Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
    let target = ctx.route.as_ref().map(|route| route.target);
    let Some(Target::Upstream(index)) = target else {
        return Error::e_explain(ErrorType::InternalError, "a route without an upstream");
    };
    let settings = ctx.snapshot.upstreams.get(index);
    let settings = settings.ok_or_else(|| Error::explain(ErrorType::InternalError, "an unknown upstream"))?;
    let pool = gate.pools.of(settings);
    ctx.pool = Some(Arc::clone(&pool));
    let now_ms = gate.clock.monotonic_ms();
    let tried: Vec<usize> = ctx.attempts.iter().map(|attempt| attempt.server).collect();
    let Some(attempt) = pool.begin(now_ms, rand::random(), &tried).await else {
        return Err(Error::create(ErrorType::HTTPStatus(503), ErrorSource::Internal, None, None));
    };
    let streams_long =
        ctx.is_upgrade || asks_for_events(session) || crate::message::is_grpc(&session.req_header().headers);
    let mut peer = crate::proxy::peer::peer(&pool, attempt.server, attempt.address);
    if streams_long {
        // Quiet streams are not slow answers.
        peer.options.read_timeout = None;
    }
    if ctx.is_upgrade && settings.tls.is_some() {
        // HTTP/2 has no upgrade (RFC 9113 section 8.6), and by ALPN a server of both speaks HTTP/1.1 as well.
        peer.options.alpn = ALPN::H1;
    }
    ctx.attempts.push(attempt);
    ctx.sent.get_or_insert(gate.clock.monotonic());
    ctx.sent_wall_ms = gate.clock.wall_ms();
    Ok(Box::new(peer))
}

fn asks_for_events(session: &Session) -> bool {
    let accept = session.req_header().headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"))
}

/// The request as the backend gets it (`upstream_request_filter`): nothing a client invented, everything verified.
pub(super) fn rewrite_request(
    session: &Session,
    request: &mut RequestHeader,
    ctx: &RequestCtx,
) -> Result<()> {
    let identifier = &ctx.snapshot.identifier;
    let untrusted = identifier.strip_untrusted(&request.headers);
    for name in untrusted {
        drop(request.remove_header(&name));
    }
    let received = Received {
        peer: ctx.peer,
        headers: &session.req_header().headers,
        scheme: ctx.scheme,
        authority: &ctx.authority,
    };
    for (name, value) in identifier.forwarded_fields(&ctx.caller, received) {
        request.insert_header(name, value)?;
    }
    if let Ok(id) = http::HeaderValue::from_str(&ctx.request_id) {
        request.insert_header("x-request-id", id)?;
    }
    request.append_header(header::VIA, crate::message::via(ctx.version))?;
    announce_trailers(session, request, ctx)?;
    edits::request(request, ctx)
}

/// RFC 9110 section 10.1.4: `TE` says what we take, for us and for the client. Trailers of a response reach an HTTP/2
/// client from an HTTP/2 backend, and nobody else; servers of gRPC refuse a request that does not say so. Those of a
/// request reach no backend, so none are announced.
fn announce_trailers(session: &Session, request: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    drop(request.remove_header(&header::TRAILER));
    let is_wanted =
        session.req_header().headers.get(header::TE).is_some_and(|te| te.as_bytes() == b"trailers");
    drop(request.remove_header(&header::TE));
    if is_wanted && ctx.version == Version::HTTP_2 && request.version == Version::HTTP_2 {
        request.insert_header(header::TE, "trailers")?;
    }
    Ok(())
}

/// Bounds of the request body (`request_body_filter`): size, and a minimum rate that a dripping client misses.
pub(super) fn watch_body(
    gate: &Gate,
    session: &Session,
    (body, end): (&mut Option<Bytes>, bool),
    ctx: &mut RequestCtx,
) -> Result<()> {
    // pingora 0.9.1 writes the last chunk twice for an HTTP/2 client that ends its body with an empty frame; the
    // backend would take the second for a broken request (cloudflare/pingora#935).
    if end && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    if ctx.is_upgrade {
        return Ok(());
    }
    let length = body.as_ref().map_or(0, Bytes::len);
    ctx.body_bytes = ctx.body_bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    if ctx.body_bytes > ctx.body_bytes_max() {
        return Err(Error::create(ErrorType::HTTPStatus(413), ErrorSource::Downstream, None, None));
    }
    if crate::message::is_grpc(&session.req_header().headers) {
        // A stream whose client has nothing to say for a while is no slow body.
        return Ok(());
    }
    let now_ms = gate.clock.monotonic_ms();
    let started_ms = *ctx.body_started_ms.get_or_insert(now_ms);
    let took_ms = now_ms.saturating_sub(started_ms);
    let due = u64::from(ctx.snapshot.server.request.body_min_rate).saturating_mul(took_ms) / 1_000;
    if !end && took_ms > BODY_GRACE_MS && ctx.body_bytes < due {
        return Err(Error::create(ErrorType::HTTPStatus(408), ErrorSource::Downstream, None, None));
    }
    Ok(())
}

/// Is the backend's answer well formed (`upstream_response_filter`)? Hop-by-hop fields end here, before anything is
/// stored.
pub(super) fn check_response(gate: &Gate, response: &mut ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    let status = response.status.as_u16();
    let head = crate::message::ResponseHead { status, version: response.version, headers: &response.headers };
    if let Err(fault) = crate::message::check_response(&head, ctx.is_upgrade) {
        return Error::e_explain(ErrorType::Custom(fault), "the backend's answer").map_err(Error::into_up);
    }
    ctx.received = response.version;
    // Framing is pingora's: it reads the body by this field after us, and by its absence, to the connection's end.
    let coding = response.headers.get(header::TRANSFER_ENCODING);
    let is_chunked = coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    // Trailers come along from HTTP/2 to HTTP/2, and are not stored.
    let has_trailers =
        response.version == Version::HTTP_2 && ctx.version == Version::HTTP_2 && ctx.cache.key.is_none();
    for name in crate::message::hop_by_hop(&response.headers) {
        let is_framing = name == header::TRANSFER_ENCODING && is_chunked;
        let is_announcement = name == header::TRAILER && has_trailers;
        if !is_framing && !is_announcement && !crate::message::stays(&name, status) {
            drop(response.remove_header(&name));
        }
    }
    if status == 101 {
        // The line may have named others, which are gone.
        response.insert_header(header::CONNECTION, "upgrade")?;
    }
    if !response.status.is_informational() {
        failure::answered(gate, ctx, status);
    }
    Ok(())
}
