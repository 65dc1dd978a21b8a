//! Bodies of requests: JSON, bounded.

use crate::base::Problem;
use crate::web::answer::wrong;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

/// The longest body that is read, unless said otherwise.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Reads a body of JSON; an empty one is `None`.
///
/// Another media type is refused, because a page of any origin can send a form without asking first.
///
/// # Errors
/// The problem to answer: 400, 413 or 415.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Box<Problem>> {
    read_within(request, BODY_BYTES_MAX).await
}

/// [`read`] with a bound of its own, in bytes.
///
/// # Errors
/// The same.
pub(super) async fn read_within<T: DeserializeOwned>(
    request: Request,
    bytes_max: usize,
) -> Result<Option<T>, Box<Problem>> {
    let (headers, body) = bytes_within(request, bytes_max).await?;
    parse(&headers, &body)
}

/// The fields and the whole body, at most `bytes_max` of it.
///
/// # Errors
/// The problem to answer: 413.
pub(super) async fn bytes_within(
    request: Request,
    bytes_max: usize,
) -> Result<(HeaderMap, Bytes), Box<Problem>> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, bytes_max).await.map_err(|_longer| {
        let detail = format!("at most {} KiB are read", bytes_max >> 10);
        wrong(413, "body-too-large", "The body is too long", detail)
    })?;
    Ok((head.headers, body))
}

/// What a body of JSON says; an empty one is `None`.
///
/// # Errors
/// The problem to answer: 400 or 415.
pub(super) fn parse<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<T>, Box<Problem>> {
    if body.is_empty() {
        return Ok(None);
    }
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = "send it with `Content-Type: application/json`";
        return Err(wrong(415, "media-type", "The body is no JSON", detail));
    }
    let read = serde_json::from_slice(body);
    read.map(Some)
        .map_err(|error| wrong(400, "invalid-body", "The body is not understood", error.to_string()))
}
