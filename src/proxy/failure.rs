//! Trouble: whose fault an error is, whether another attempt is worth it, and what the client is told.

use crate::base::clock::millis;
use crate::message::MessageFault;
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::limiting;
use crate::proxy::refusal::Refusal;
use crate::proxy::respond;
use crate::proxy::stream::BrokenBody;
use crate::upstream::Outcome;
use http::{HeaderMap, header};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType};

/// A connection could not be made: nothing was sent, so any method may be tried elsewhere.
pub(super) fn connect_failed(
    gate: &Gate,
    _session: &Session,
    ctx: &mut RequestCtx,
    mut error: Box<Error>,
) -> Box<Error> {
    count(gate, ctx, &error);
    end_attempt(gate, ctx, Outcome::Failure);
    error.set_retry(may_retry(gate, ctx));
    error
}

/// The exchange broke. Another attempt is made only for idempotent requests whose body is still at hand and of
/// whose answer the client has seen nothing (RFC 9110 section 9.2.2).
pub(super) fn exchange_failed(
    gate: &Gate,
    session: &mut Session,
    ctx: &mut RequestCtx,
    mut error: Box<Error>,
    client_reused: bool,
) -> Box<Error> {
    let is_upstream = error.esource() == &ErrorSource::Upstream;
    if is_upstream && error.etype() == &ErrorType::ReadTimedout && is_client_behind(gate, session, ctx) {
        end_attempt(gate, ctx, Outcome::Abandoned);
        return Error::create(ErrorType::HTTPStatus(408), ErrorSource::Downstream, None, Some(error.into()));
    }
    if is_upstream && client_reused {
        // A kept-alive connection that the server closes as we write is no sign of sickness.
        end_attempt(gate, ctx, Outcome::Abandoned);
    } else if is_upstream {
        count(gate, ctx, &error);
        end_attempt(gate, ctx, Outcome::Failure);
    }
    let is_timeout = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    let is_repeatable = session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none();
    // The budget is asked last: asking takes from it.
    let is_retried = is_upstream
        && is_repeatable
        && !is_timeout
        && if client_reused { has_attempts_left(ctx) } else { may_retry(gate, ctx) };
    error.set_retry(is_retried);
    error
}

/// Is it the client for whom the backend waits? It owes more of its body than it sent at the rate that it must keep. A
/// few who stop in the middle would open the breaker for all others.
fn is_client_behind(gate: &Gate, session: &mut Session, ctx: &RequestCtx) -> bool {
    let Some(sent) = ctx.sent.filter(|_| ctx.answered.is_none()) else { return false };
    if session.as_downstream_mut().is_body_done() {
        return false;
    }
    let rate = u64::from(ctx.snapshot.server.request.body_min_rate.max(1));
    let took_ms = millis(gate.clock.monotonic().saturating_sub(sent));
    ctx.body_bytes < rate.saturating_mul(took_ms) / 1_000
}

fn has_attempts_left(ctx: &RequestCtx) -> bool {
    let retries = ctx.pool.as_ref().map_or(0, |pool| pool.settings.retries);
    // One more than configured: a stale kept-alive connection costs no server an attempt.
    ctx.attempts.len() <= usize::try_from(retries).unwrap_or(usize::MAX).saturating_add(1)
}

fn may_retry(gate: &Gate, ctx: &RequestCtx) -> bool {
    let Some(pool) = &ctx.pool else { return false };
    let made = ctx.attempts.len();
    let allowed = usize::try_from(pool.settings.retries).unwrap_or(usize::MAX);
    made <= allowed && pool.may_retry(gate.clock.monotonic_ms())
}

/// Counts a failed attempt by kind.
fn count(gate: &Gate, ctx: &RequestCtx, error: &Error) {
    let Some(pool) = &ctx.pool else { return };
    let kind = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => "timeout",
        ErrorType::InvalidCert
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::HandshakeError => "tls",
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::SocketError => "connect",
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => "closed",
        _ => "protocol",
    };
    gate.metrics.upstream_error(&pool.settings.name, kind);
}

/// The backend has answered: well, or with a status by which it says itself that it is sick.
pub(super) fn answered(gate: &Gate, ctx: &mut RequestCtx, status: u16) {
    ctx.answered.get_or_insert(gate.clock.monotonic());
    let is_sick = matches!(status, 502..=504);
    if let Some(pool) = ctx.pool.as_ref().filter(|_| is_sick) {
        gate.metrics.upstream_error(&pool.settings.name, "status");
    }
    end_attempt(gate, ctx, if is_sick { Outcome::Failure } else { Outcome::Success });
}

/// Ends the attempt under way, if any.
pub(super) fn end_attempt(gate: &Gate, ctx: &mut RequestCtx, outcome: Outcome) {
    let (Some(pool), Some(attempt)) = (&ctx.pool, ctx.attempts.last_mut()) else { return };
    pool.end(attempt, outcome, gate.clock.monotonic_ms());
}

/// The last word when no attempt succeeded and no stale answer stood in (`fail_to_proxy`).
pub(super) async fn answer(
    gate: &Gate,
    session: &mut Session,
    error: &Error,
    ctx: &mut RequestCtx,
) -> FailToProxy {
    let Some(refusal) = refusal(error, ctx) else {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    };
    if session.response_written().is_some_and(|head| !head.status.is_informational()) {
        // Half an answer is out: closing the connection is the only way to say that it is broken.
        ctx.problem = Some("cut");
        send_rest(session).await;
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    let status = refusal.problem().status;
    limiting::settle(gate, ctx, status, &HeaderMap::new()).await;
    session.set_keepalive(None);
    if let Err(error) = respond::refuse(session, ctx, &refusal).await {
        tracing::debug!(%error, "the client is gone before its error");
    }
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

/// Sends what is still in the buffers before the connection is closed, so that the client sees a cut answer (RFC 9112
/// section 8) and not silence, which an idle connection ends with too and after which it would ask again. Not where
/// the body has no other end than the connection's: it would look whole.
async fn send_rest(session: &mut Session) {
    let Some(head) = session.response_written() else { return };
    let has_end = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if !has_end.iter().any(|name| head.headers.contains_key(name)) {
        return;
    }
    if let ServerSession::H1(client) = session.as_downstream_mut() {
        client.shutdown().await;
    }
}

/// Who is at fault, as an answer; `None` when the client is gone.
fn refusal(error: &Error, ctx: &RequestCtx) -> Option<Refusal> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(413), _) => Some(Refusal::body_too_large(ctx.body_bytes_max())),
        (ErrorType::HTTPStatus(408), _) => {
            let rate = ctx.snapshot.server.request.body_min_rate;
            Some(Refusal::Body { status: 408, detail: format!("send at least {rate} bytes a second") })
        }
        (ErrorType::HTTPStatus(503), ErrorSource::Internal) => {
            let upstream = ctx.pool.as_ref().map_or("", |pool| &*pool.settings.name).to_owned();
            Some(Refusal::NoServer { upstream })
        }
        (ErrorType::ConnectTimedout, _) => {
            Some(Refusal::BadGateway { detail: "no connection to the backend in time" })
        }
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, ErrorSource::Upstream) => {
            Some(Refusal::GatewayTimeout)
        }
        (_, ErrorSource::Upstream) => Some(Refusal::BadGateway { detail: upstream_detail(error) }),
        (_, ErrorSource::Downstream) => broken_body(error).map(Refusal::Message),
        _ => Some(Refusal::Internal),
    }
}

/// The rule that the request's body broke, if that is why it could not be read.
fn broken_body(error: &Error) -> Option<MessageFault> {
    let cause = error.root_cause().downcast_ref::<std::io::Error>()?.get_ref()?;
    cause.downcast_ref::<BrokenBody>().map(|BrokenBody(fault)| fault.clone())
}

fn upstream_detail(error: &Error) -> &'static str {
    match error.root_etype() {
        ErrorType::ConnectRefused => "the backend refuses connections",
        ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::SocketError => {
            "no connection to the backend"
        }
        ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError => {
            "the backend's certificate or TLS handshake is not acceptable"
        }
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::InvalidH2 => {
            "the backend's answer breaks a rule of HTTP"
        }
        ErrorType::Custom(detail) => detail,
        _ => "the backend closed the connection before it answered",
    }
}
