//! Which answers go out coded. A fresh stored body is coded once for its entry; everything else while it passes, by
//! [`crate::proxy::compressor`]. One rule decides for both: [`crate::cache::Compression`].

use crate::cache::coding::Coding;
use crate::cache::{Choice, Codable, Compression};
use crate::proxy::compressor::{Compressor, Plan};
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::storage::{Found, Hit};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, VARY,
};
use http::{Method, StatusCode};
use pingora::Result;
use pingora::cache::CacheMeta;
use pingora::cache::storage::HitHandler;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::sync::Arc;

/// Larger bodies are coded on a thread that may take its time.
const HERE_MAX: usize = 16 << 10;

/// How a fresh stored body goes out.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoredBody {
    /// As it is.
    Plain(Choice),
    /// In this coding, with this many bytes.
    Coded(Coding, usize),
}

/// The rule, where it holds for the request: a background refresh has no client, and a route may be without.
fn rule(ctx: &RequestCtx) -> Option<&Compression> {
    let is_on = !ctx.is_background && ctx.route.as_ref().is_some_and(|route| route.is_compressed);
    is_on.then_some(&ctx.snapshot.server.compression)
}

/// Puts the coded body in the place of the plain one.
pub(super) async fn encode_hit(
    gate: &Gate,
    session: &Session,
    (meta, handler): (&CacheMeta, &mut HitHandler),
    ctx: &mut RequestCtx,
) {
    let Some(found) = meta.extensions().get::<Found>() else { return };
    let Some(rule) = rule(ctx) else { return };
    let entry = &found.entry;
    let length = u64::try_from(entry.body.len()).ok();
    let stored = Codable { status: entry.head.status, headers: &entry.head.headers, length };
    let choice = rule.choose(&session.req_header().headers, &stored);
    ctx.cache.stored_body = Some(StoredBody::Plain(choice));
    let Choice::In(coding) = choice else { return };
    let levels = ctx.snapshot.server.compression.levels;
    let body = match entry.coded(coding) {
        Some(made) => made,
        None => {
            let body = if entry.body.len() <= HERE_MAX {
                entry.make_coded(coding, &levels)
            } else {
                let shared = Arc::clone(entry);
                let made = tokio::task::spawn_blocking(move || shared.make_coded(coding, &levels)).await;
                made.ok().flatten()
            };
            if let Some(key) = &ctx.cache.key {
                gate.stores.entries.reweigh(key, &ctx.cache.request, entry);
            }
            body
        }
    };
    replace(handler, body, coding, ctx);
}

fn replace(handler: &mut HitHandler, body: Option<Bytes>, coding: Coding, ctx: &mut RequestCtx) {
    let Some(body) = body else { return };
    if let Some(hit) = handler.as_any_mut().downcast_mut::<Hit>() {
        ctx.cache.stored_body = Some(StoredBody::Coded(coding, body.len()));
        hit.replace(body);
    }
}

/// Decides for the answer whose head this is, and says in it what the client must know (`response_filter`).
pub(super) fn decide(session: &mut Session, response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(rule) = rule(ctx) else { return Ok(()) };
    let request = session.req_header();
    let choice = match ctx.cache.stored_body {
        Some(StoredBody::Coded(coding, length)) => return describe(response, coding, Some(length)),
        // In a coding that saves nothing: it is no use to try again.
        Some(StoredBody::Plain(Choice::In(_) | Choice::Plain)) => Choice::Plain,
        Some(StoredBody::Plain(Choice::Never)) => Choice::Never,
        None => {
            let status = response.status.as_u16();
            rule.choose(&request.headers, &Codable { status, headers: &response.headers, length: None })
        }
    };
    match choice {
        Choice::Never => Ok(()),
        Choice::Plain => vary(response),
        Choice::In(coding) => {
            let (is_head, version) = (request.method == Method::HEAD, ctx.version);
            if let Some(compressor) = session.downstream_modules_ctx.get_mut::<Compressor>() {
                compressor.begin(Plan { coding, levels: rule.levels, is_head, version });
            }
            vary(response)
        }
    }
}

/// RFC 9110 section 12.5.5: the choice follows `Accept-Encoding`, also where it fell on no coding.
fn vary(response: &mut ResponseHeader) -> Result<()> {
    let names_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|line| {
            line.split(',')
                .any(|name| name.trim().eq_ignore_ascii_case("accept-encoding") || name.trim() == "*")
        })
    };
    if !response.headers.get_all(VARY).iter().any(names_it) {
        response.append_header(VARY, HeaderValue::from(ACCEPT_ENCODING))?;
    }
    Ok(())
}

/// What the client must know of a coded answer: coding, length, that the choice follows `Accept-Encoding`, and that the
/// entity tag is one of several representations now (RFC 9110 sections 8.4, 8.8.1 and 12.5.5). `length`: where it is
/// known before the body is sent.
///
/// # Errors
/// When pingora refuses a field.
pub(super) fn describe(response: &mut ResponseHeader, coding: Coding, length: Option<usize>) -> Result<()> {
    vary(response)?;
    let weak = response.headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        response.insert_header(ETAG, weak)?;
    }
    if response.status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    response.insert_header(CONTENT_ENCODING, coding.as_str())?;
    match length {
        Some(length) => response.insert_header(CONTENT_LENGTH, length)?,
        None => drop(response.remove_header(&CONTENT_LENGTH)),
    }
    drop(response.remove_header(&ACCEPT_RANGES));
    Ok(())
}
