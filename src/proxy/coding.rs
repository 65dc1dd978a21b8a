//! A fresh stored body goes out in the coding that the client takes best. It is made once for the entry; pingora's own
//! compression would do it again for every answer.

use crate::cache::coding::{self, Coding, Levels};
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::storage::{Found, Hit};
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, VARY,
};
use pingora::Result;
use pingora::cache::CacheMeta;
use pingora::cache::storage::HitHandler;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use std::sync::Arc;

/// Larger bodies are coded on a thread that may take its time.
const HERE_MAX: usize = 16 << 10;

/// The codings that the configuration switches on.
pub(super) fn levels(ctx: &RequestCtx) -> Levels {
    let settings = &ctx.snapshot.server.compression;
    Levels { zstd: settings.zstd, brotli: settings.brotli, gzip: settings.gzip }
}

/// Puts the coded body in the place of the plain one.
pub(super) async fn encode_hit(
    gate: &Gate,
    session: &Session,
    (meta, handler): (&CacheMeta, &mut HitHandler),
    ctx: &mut RequestCtx,
) {
    let levels = levels(ctx);
    let Some(found) = meta.extensions().get::<Found>() else { return };
    let entry = &found.entry;
    if ctx.is_background || !entry.is_codable() {
        return;
    }
    let Some(coding) = coding::choose(&session.req_header().headers, &levels) else { return };
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
    let Some(body) = body else { return };
    if let Some(hit) = handler.as_any_mut().downcast_mut::<Hit>() {
        ctx.cache.coding = Some((coding, body.len()));
        hit.replace(body);
    }
}

/// What the client must know of it: coding, length, that the choice follows `Accept-Encoding`, and that the entity tag is
/// one of several representations now (RFC 9110 sections 8.4, 8.8.1 and 12.5.5).
///
/// # Errors
/// When pingora refuses a field.
pub(super) fn describe(response: &mut ResponseHeader, coding: Coding, length: usize) -> Result<()> {
    let names_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|line| {
            line.split(',')
                .any(|name| name.trim().eq_ignore_ascii_case("accept-encoding") || name.trim() == "*")
        })
    };
    if !response.headers.get_all(VARY).iter().any(names_it) {
        response.append_header(VARY, HeaderValue::from(ACCEPT_ENCODING))?;
    }
    let weak = response.headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        response.insert_header(ETAG, weak)?;
    }
    if response.status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    response.insert_header(CONTENT_ENCODING, coding.as_str())?;
    response.insert_header(CONTENT_LENGTH, length)?;
    drop(response.remove_header(&ACCEPT_RANGES));
    Ok(())
}
