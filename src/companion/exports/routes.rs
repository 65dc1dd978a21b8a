//! Exports over HTTP. A file is fetched without a token: its link is signed, so that a browser can follow it.

use crate::base::clock;
use crate::companion::exports::fetch::{Fetched, Link};
use crate::companion::exports::standing::{BASE, Standing};
use crate::companion::exports::table::rfc3339;
use crate::companion::service::{Exporter, Principal, Refusal, ServiceState};
use crate::web::{is_known, json};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Bytes that are read from the disk at once.
const READ_BYTES: usize = 64 << 10;

/// Letters of a key at most.
const KEY_LETTERS_MAX: usize = 255;

/// Files are one user's, and nobody's to keep on the way.
const CACHE_CONTROL: &str = "private, no-store";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// All routes of exports.
pub(in crate::companion) fn routes() -> Router<ServiceState> {
    Router::new()
        .route(BASE, post(request).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route(&format!("{BASE}/{{id}}"), get(look).delete(cancel))
        .route(&format!("{BASE}/{{id}}/download"), get(download))
}

/// `POST …/export`: 200 with the file's link, or 202 with where to ask after it.
async fn request(
    State(state): State<ServiceState>,
    Exporter(who): Exporter,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    no_query(query)?;
    let body = body.map_err(|fault| {
        let detail = format!("a body of at most {BODY_BYTES_MAX} bytes is read");
        Refusal::new(fault.status().as_u16(), "invalid-body", "The body is not understood", detail)
    })?;
    let standing = state.exports.request(&who, &body, key(&headers)?.as_deref()).await?;
    Ok(told(&state, &who, &standing, true))
}

/// `GET …/export/{id}`.
async fn look(
    State(state): State<ServiceState>,
    Exporter(who): Exporter,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    no_query(query)?;
    let standing = state.exports.look(&who, &named(id)).await?;
    Ok(told(&state, &who, &standing, false))
}

/// `DELETE …/export/{id}`.
async fn cancel(
    State(state): State<ServiceState>,
    Exporter(who): Exporter,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    no_query(query)?;
    let standing = state.exports.cancel(&who, &named(id)).await?;
    Ok(told(&state, &who, &standing, false))
}

/// `GET …/export/{id}/download?exp=&sig=`.
async fn download(
    State(state): State<ServiceState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let (expires, signature) = link(&query)?;
    let field = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A condition on a range that cannot be kept: the whole is sent (RFC 9110 section 13.1.5).
    let range = field(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    let fetched = state.exports.fetch(Link { id: &named(id), expires, signature }, range).await?;
    Ok(if is_known(&headers, &fetched.tag) { not_modified(&fetched.tag) } else { file(fetched) })
}

fn told(state: &ServiceState, who: &Principal, standing: &Standing, is_new: bool) -> Response {
    let now_us = clock::micros(state.clock.wall_ms());
    let body = json!({
        "status": "success",
        "data": standing,
        "metadata": {
            "timestamp": rfc3339(now_us),
            "organization_id": who.tenant,
            "cache_ttl": 0,
            "cached": false,
        },
    });
    let is_under_way = is_new && !standing.is_over();
    let status = if is_under_way { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = json(status, &body);
    let fields = response.headers_mut();
    if is_new && let Ok(location) = HeaderValue::try_from(standing.location()) {
        fields.insert(header::LOCATION, location);
    }
    if !standing.is_over() {
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn file(fetched: Fetched) -> Response {
    let Fetched { file, bytes, part, media_type, name, tag } = fetched;
    let length = part.map_or(bytes, |(first, last)| last - first + 1);
    let stream = ReaderStream::with_capacity(file.take(length), READ_BYTES);
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, Body::from_stream(stream)).into_response();
    let fields = response.headers_mut();
    let mut put = |field: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            fields.insert(field, value);
        }
    };
    put(header::CONTENT_TYPE, media_type.to_owned());
    put(header::CONTENT_LENGTH, length.to_string());
    put(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    put(header::CACHE_CONTROL, CACHE_CONTROL.to_owned());
    put(header::ACCEPT_RANGES, "bytes".to_owned());
    put(header::ETAG, tag);
    if let Some((first, last)) = part {
        put(header::CONTENT_RANGE, format!("bytes {first}-{last}/{bytes}"));
    }
    response
}

/// The client has the file already: nothing of it is sent again (RFC 9110 section 15.4.5).
fn not_modified(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let fields = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        fields.insert(header::ETAG, tag);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
    response
}

/// The id of a path. One that is no text is as unknown as any that nobody has.
fn named(id: Result<Path<String>, PathRejection>) -> String {
    id.map(|Path(id)| id).unwrap_or_default()
}

/// The client's key for this request (draft-ietf-httpapi-idempotency-key-header-07), with or without quotes.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_key =
        (1..=KEY_LETTERS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key || headers.get_all(IDEMPOTENCY_KEY).iter().count() > 1 {
        let detail = format!("`Idempotency-Key` takes 1 to {KEY_LETTERS_MAX} visible ASCII characters, once");
        return Err(Refusal::new(400, "invalid-idempotency-key", "The key is not understood", detail));
    }
    Ok(Some(text.to_owned()))
}

/// These routes take no parameters: one that is sent was meant for something.
fn no_query(query: Option<String>) -> Result<(), Refusal> {
    let query = query.unwrap_or_default();
    let Some(piece) = query.split('&').find(|piece| !piece.is_empty()) else { return Ok(()) };
    let name = piece.split_once('=').map_or(piece, |(name, _)| name);
    Err(Refusal::query(name, "no parameter is taken here"))
}

/// The two parts of a link's query.
fn link(query: &str) -> Result<(u64, &str), Refusal> {
    let (mut expires, mut signature) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, "")))) {
        match name {
            "exp" if expires.is_none() => expires = Some(value),
            "sig" if signature.is_none() => signature = Some(value),
            "" => {}
            other => return Err(Refusal::query(other, "a link has `exp` and `sig`, each once")),
        }
    }
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let expires = expires.filter(is_number).and_then(|text| text.parse().ok());
    let expires = expires.ok_or_else(|| Refusal::query("exp", "it must be there: seconds since 1970"))?;
    let signature =
        signature.ok_or_else(|| Refusal::query("sig", "it must be there: the link's signature"))?;
    Ok((expires, signature))
}
