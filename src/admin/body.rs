//! Bodies of requests: JSON, bounded.

use crate::admin::answer::wrong;
use crate::base::Problem;
use axum::extract::Request;
use http::header;
use serde::de::DeserializeOwned;

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Reads a body of JSON; an empty one is `None`.
///
/// Another media type is refused, because a page of any origin can send a form without asking first.
///
/// # Errors
/// The problem to answer: 400, 413 or 415.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Box<Problem>> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|_longer| wrong(413, "body-too-large", "The body is too long", "at most 64 KiB are read"))?;
    if body.is_empty() {
        return Ok(None);
    }
    let media_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = "send it with `Content-Type: application/json`";
        return Err(wrong(415, "media-type", "The body is no JSON", detail));
    }
    let read = serde_json::from_slice(&body);
    read.map(Some)
        .map_err(|error| wrong(400, "invalid-body", "The body is not understood", error.to_string()))
}
