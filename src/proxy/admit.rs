//! From the request head to a decision: message, canonical path, route, identity, limits. One await: the limiter.

use crate::config::{Connections, Route, Target};
use crate::identity::{TokenEvidence, TokenFault};
use crate::message::{Checked, MaxForwards, MessageFault, RequestHead};
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::internal::{self, Arrival};
use crate::proxy::limiting;
use crate::proxy::purging;
use crate::proxy::refusal::Refusal;
use crate::proxy::respond::Local;
use crate::proxy::stream::facts;
use crate::telemetry::CacheStatsBy;
use http::{HeaderName, HeaderValue, Uri, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::Duration;

/// Facts that need no decision (`early_request_filter`).
pub(super) fn begin(gate: &Gate, session: &mut Session, ctx: &mut RequestCtx) {
    ctx.is_background = session.subrequest_ctx.is_some();
    ctx.version = session.req_header().version;
    if let Some(address) = session.client_addr().and_then(|address| address.as_inet()) {
        ctx.peer = address.ip().to_canonical();
    }
    let facts = facts(session);
    let is_tls = facts.is_some_and(|facts| facts.tls.is_some());
    ctx.certificate = facts.and_then(|facts| facts.certificate.clone());
    ctx.scheme = ctx.snapshot.identifier.scheme(ctx.peer, &session.req_header().headers, is_tls);
    arrive(gate, session, ctx);
    let crumbs = (ctx.version == http::Version::HTTP_2)
        .then(|| crate::message::whole_cookie(&session.req_header().headers));
    if let Some(cookie) = crumbs.flatten() {
        drop(session.req_header_mut().insert_header(header::COOKIE, cookie));
    }
    // Every other upgrade is ignored (RFC 9110 section 7.8); without the field pingora sees none either.
    let request = session.req_header_mut();
    ctx.is_upgrade = crate::message::is_websocket(&request.method, request.version, &request.headers);
    if !ctx.is_upgrade {
        drop(request.remove_header(&header::UPGRADE));
    }
    if ctx.is_background {
        // It has the connection's facts by its copied digest, and no client to wait for.
        return;
    }
    if !crate::message::may_reach_client(100, ctx.version) {
        session.as_downstream_mut().set_ignore_info_resp(true);
    }
    let connections = &ctx.snapshot.server.connections;
    // Off: the client said so, or the connection is to end. pingora looks for `close` in the first Connection line only.
    if crate::message::is_last(&session.req_header().headers) {
        session.set_keepalive(None);
    } else if session.get_keepalive().is_some() {
        session.set_keepalive(Some(connections.idle.as_secs().max(1)));
    }
    pipeline(session);
    if ctx.is_upgrade {
        // A quiet WebSocket is not a slow body.
        session.set_read_timeout(None);
    } else {
        session.set_read_timeout(Some(connections.idle));
    }
    session.set_write_timeout(Some(write_timeout(connections)));
    if ctx.errand().is_none() {
        let begun = gate.overload.begin(ctx.snapshot.server.overload.requests);
        ctx.in_flight = Some((gate.metrics.request_in_flight(), begun));
    }
}

/// Time for one part of an answer. It ends what no pace can be seen of: a window of HTTP/2 that stays shut.
fn write_timeout(connections: &Connections) -> Duration {
    /// pingora writes parts of at most so many bytes, and so does the cache.
    const PART_BYTES: u64 = 64 << 10;
    let at_that_rate = PART_BYTES.checked_div(connections.send_min_rate.into()).unwrap_or(0);
    connections.idle.max(Duration::from_secs(at_that_rate))
}

/// Requests that a client sends ahead wait for their turn (RFC 9112 section 9.3.2). What comes ahead of an answer to an
/// upgrade may be meant for the protocol that it asks for.
fn pipeline(session: &mut Session) {
    if let ServerSession::H1(session) = session.as_downstream_mut() {
        session.set_pipelining_enabled(!session.is_upgrade_req());
    }
}

/// Is it one of ours? Before anything else sees the field, it is gone.
fn arrive(gate: &Gate, session: &mut Session, ctx: &mut RequestCtx) {
    // A background request has the address of the one that caused it, and no field any more.
    if !ctx.is_background {
        let at = session.server_addr().and_then(|address| address.as_inet()).copied();
        ctx.arrival = gate.door.arrival(at, &session.req_header().headers);
    }
    if let Arrival::Ours { scheme, .. } = ctx.arrival {
        ctx.scheme = scheme;
    }
    drop(session.req_header_mut().remove_header(&internal::FIELD));
}

/// A closed set of words for the metric.
fn reason(fault: &TokenFault) -> &'static str {
    match fault {
        TokenFault::TooLong | TokenFault::Malformed | TokenFault::Critical => "malformed",
        TokenFault::Algorithm => "algorithm",
        TokenFault::UnknownKey => "unknown_key",
        TokenFault::Signature => "signature",
        TokenFault::NoExpiry | TokenFault::Expired => "expired",
        TokenFault::NotYetValid => "not_yet_valid",
        TokenFault::Issuer => "issuer",
        TokenFault::Audience => "audience",
        TokenFault::Claim(_) => "claim",
        TokenFault::NotConfigured => "not_configured",
    }
}

/// Decides (`request_filter`): go on (`None`), answer from here, or refuse.
pub(super) async fn admit(
    gate: &Gate,
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> Result<Option<Local>, Refusal> {
    let body_bytes = check(session.req_header_mut(), ctx)?;
    if matches!(ctx.in_flight, Some((_, None))) {
        return Err(Refusal::Overloaded);
    }
    if ctx.arrival == Arrival::Stray {
        return Err(Refusal::NoRoute);
    }
    if purging::is_asked(ctx, &session.req_header().method) {
        check_length(body_bytes, ctx)?;
        identify(gate, session, ctx)?;
        return purging::purge(gate, ctx, &session.req_header().headers).await.map(Some);
    }
    let route = find_route(session, ctx);
    check_length(body_bytes, ctx)?;
    let route = route?;
    identify(gate, session, ctx)?;
    if !ctx.is_background && ctx.errand().is_none() {
        limiting::arrive(gate, session, ctx, &route).await?;
    }
    if ctx.is_last_hop {
        return Ok(Some(Local::Options));
    }
    Ok(match route.target {
        Target::Upstream(_) => None,
        Target::CacheStats => {
            let report = gate.metrics.cache_report(CacheStatsBy::Total);
            Some(Local::CacheStats(serde_json::to_vec(&report).unwrap_or_default()))
        }
    })
}

/// The rules of HTTP, the canonical path, and what every later step needs from the head. Gives the bytes of body that it
/// announces.
fn check(request: &mut RequestHeader, ctx: &mut RequestCtx) -> Result<u64, Refusal> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let bits = rand::random::<u128>();
    let is_trusted = snapshot.identifier.is_trusted(ctx.peer);
    ctx.request_id = crate::message::request_id(&request.headers, is_trusted, bits);
    let target = String::from_utf8_lossy(request.raw_path()).into_owned();
    let head = RequestHead {
        method: &request.method,
        target: &target,
        version: request.version,
        scheme: ctx.scheme,
        authority: request.uri.authority().map(http::uri::Authority::as_str),
        headers: &request.headers,
    };
    let Checked { authority, path, query, is_asterisk, max_forwards, body_bytes, .. } =
        crate::message::check_request(&head, &snapshot.server.request.bounds()).map_err(Refusal::Message)?;
    let canonical = crate::route::canonical_path(path, snapshot.server.request.encoded_slash)
        .map_err(|_ambiguous| Refusal::Message(MessageFault::PATH))?;
    crate::message::check_loop(&request.headers).map_err(Refusal::Message)?;
    // The target of most requests is in its forwarded form already.
    let is_kept = target == "*" || (target.starts_with('/') && path == canonical);
    ctx.query = query.map(str::to_owned);
    ctx.path = canonical;
    if !is_kept {
        let forwarded = match ctx.query.as_deref() {
            _ if is_asterisk => "*".to_owned(),
            Some(query) => format!("{}?{query}", ctx.path),
            None => ctx.path.clone(),
        };
        request.set_uri(forwarded.parse::<Uri>().map_err(|_unparsable| Refusal::Internal)?);
    }
    match max_forwards {
        MaxForwards::Unlimited => {}
        MaxForwards::Spent => ctx.is_last_hop = true,
        MaxForwards::Next(next) => set(request, header::MAX_FORWARDS, &next.to_string())?,
    }
    // One spelling for routing, keys and backend. It also stands in for the target's authority, which prevails over
    // the field (RFC 9112 section 3.2.2) and is lost with a rewritten target.
    if !authority.is_empty() {
        set(request, header::HOST, &authority)?;
    }
    ctx.authority = authority;
    Ok(body_bytes)
}

/// RFC 9110 section 15.5.14, by the route's bound. Nothing of the body is read before it: an expected 100 never comes.
fn check_length(body_bytes: u64, ctx: &RequestCtx) -> Result<(), Refusal> {
    let most = ctx.body_bytes_max();
    if body_bytes > most { Err(Refusal::body_too_large(most)) } else { Ok(()) }
}

fn set(request: &mut RequestHeader, name: HeaderName, value: &str) -> Result<(), Refusal> {
    let value = HeaderValue::from_str(value).map_err(|_not_visible| Refusal::Internal)?;
    request.insert_header(name, value).map_err(|_not_taken| Refusal::Internal)
}

fn find_route(session: &Session, ctx: &mut RequestCtx) -> Result<Arc<Route>, Refusal> {
    let host = crate::message::host(&ctx.authority);
    let route = ctx.snapshot.routes.find(host, &ctx.path, &session.req_header().method);
    let route = Arc::clone(route.ok_or(Refusal::NoRoute)?);
    ctx.route = Some(Arc::clone(&route));
    Ok(route)
}

fn identify(gate: &Gate, session: &Session, ctx: &mut RequestCtx) -> Result<(), Refusal> {
    let identifier = &ctx.snapshot.identifier;
    let headers = &session.req_header().headers;
    let verified = identifier.bearer(headers).map(|token| {
        let now_s = ctx.started_wall_ms / 1_000;
        gate.tokens.verify(identifier, ctx.snapshot.generation, token, now_s)
    });
    let evidence = match &verified {
        None => TokenEvidence::Absent,
        Some(Ok(token)) => TokenEvidence::Valid(token),
        Some(Err(fault)) => {
            gate.metrics.identity_rejection(reason(fault));
            TokenEvidence::Invalid(fault.clone())
        }
    };
    let certificate = ctx.certificate.as_deref();
    let caller = identifier.caller(ctx.peer, headers, evidence, certificate).map_err(Refusal::Identity)?;
    ctx.caller = caller;
    Ok(())
}
