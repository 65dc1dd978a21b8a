//! What a route changes in fields, as the last step out of Tidegate: nothing of it is stored or keyed.
//!
//! The key keeps what the client sent under a name that the route sets or removes. The backend then sees one value for
//! all, so entries may differ by less than their keys do, and never by more.

use crate::message::FieldEdits;
use crate::proxy::context::RequestCtx;
use http::HeaderMap;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// Towards the backend.
pub(super) fn request(request: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(FieldEdits { set, remove }) = ctx.route.as_ref().map(|route| &route.request_fields) else {
        return Ok(());
    };
    for name in remove {
        drop(request.remove_header(name));
    }
    for (name, value) in set {
        request.insert_header(name, value)?;
    }
    Ok(())
}

/// Towards the client, in an answer of the backend or from the store.
pub(super) fn response(response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(FieldEdits { set, remove }) = ctx.route.as_ref().map(|route| &route.response_fields) else {
        return Ok(());
    };
    for name in remove {
        drop(response.remove_header(name));
    }
    for (name, value) in set {
        response.insert_header(name, value)?;
    }
    Ok(())
}

/// Trailers of an answer: a client that merges them with its fields must not find what the route took away or set.
pub(super) fn trailers(trailers: &mut HeaderMap, ctx: &RequestCtx) {
    let edits = ctx.route.as_ref().map(|route| &route.response_fields);
    for name in edits.into_iter().flat_map(FieldEdits::names) {
        trailers.remove(name);
    }
}

/// Towards the client, in an answer of our own. What it says itself stays: an error that a rule makes cacheable would be
/// an outage that lasts.
pub(super) fn own_response(response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let edits = ctx.route.as_ref().map(|route| &route.response_fields);
    for (name, value) in edits.into_iter().flat_map(|edits| &edits.set) {
        if !response.headers.contains_key(name) {
            response.insert_header(name, value)?;
        }
    }
    Ok(())
}
