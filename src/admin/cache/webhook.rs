//! `POST /api/v1/cache/invalidate`: purges for systems that have no admin token, by messages that they sign.
//!
//! A message is `X-Tidegate-Timestamp` (Unix seconds), `X-Tidegate-Delivery` (an id) and the body of a purge, with
//! `X-Tidegate-Signature: sha256=` and the hexadecimal HMAC-SHA256 of timestamp, `.`, delivery, `.` and body. Neither of the
//! first two may hold a dot, so that no message can be cut into parts in two ways.
//!
//! What is wrong with a message that is not believed is never told. A delivery that was carried out is remembered for as long
//! as its message could be sent again.

use crate::admin::body;
use crate::admin::cache::purge::{BODY_BYTES_MAX, carry_out, receipt_answer};
use crate::admin::cache::selectors::Wanted;
use crate::admin::parts::AdminParts;
use crate::base::clock::millis;
use crate::base::{BoundedMap, Mac, Problem, Secret};
use crate::config::WebhookSettings;
use crate::web::answer::{json, problem, wrong};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, StatusCode};
use parking_lot::Mutex;
use serde_json::json as object;
use std::sync::Arc;

/// When the message was signed, Unix seconds.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-tidegate-timestamp");

/// The message's id.
const DELIVERY: HeaderName = HeaderName::from_static("x-tidegate-delivery");

/// What proves it.
const SIGNATURE: HeaderName = HeaderName::from_static("x-tidegate-signature");

/// Bytes of a delivery's id.
const DELIVERY_BYTES_MAX: usize = 128;

/// Deliveries that are remembered; the oldest leaves when there are more. Only those that are signed get here.
const DELIVERIES_MAX: usize = 10_000;

/// The webhook with what it remembers. Clones share it.
#[derive(Clone)]
pub(in crate::admin) struct Webhook {
    parts: AdminParts,
    deliveries: Arc<Deliveries>,
}

impl Webhook {
    pub(in crate::admin) fn new(parts: AdminParts) -> Self {
        Self { parts, deliveries: Arc::default() }
    }
}

/// Believed and new: purges. Believed and seen before: 200, and nothing is done.
pub(in crate::admin) async fn invalidate(State(webhook): State<Webhook>, request: Request) -> Response {
    match carried_out(&webhook, request).await {
        Ok(answer) => answer,
        Err(refusal) => problem(&refusal),
    }
}

async fn carried_out(webhook: &Webhook, request: Request) -> Result<Response, Box<Problem>> {
    let Webhook { parts, deliveries } = webhook;
    let Some(settings) = parts.current.load().cache.webhook.clone() else {
        let detail =
            "set `cache.webhook.secret` to let other systems invalidate; POST /api/v1/cache/purge needs none";
        return Err(wrong(404, "no-webhook", "There is no webhook", detail));
    };
    let (headers, body) = body::bytes_within(request, BODY_BYTES_MAX).await?;
    let now_s = parts.clock.wall_ms() / 1_000;
    let delivery = believed(&settings, &headers, &body, now_s).ok_or_else(|| {
        let detail = "the message is not signed with the secret of `cache.webhook`, or not of this time";
        wrong(401, "not-believed", "The message is not believed", detail)
    })?;
    let wanted: Wanted = body::parse(&headers, &body)?.unwrap_or_default();
    // Let go of again when the sender hangs up before it is done: then it may be sent once more.
    let Some(taken) = deliveries.take(&delivery, parts.clock.monotonic_ms(), life_ms(&settings)) else {
        return Ok(json(StatusCode::OK, &object!({ "duplicate": true, "delivery": delivery })));
    };
    let receipt = carry_out(parts, &wanted, wanted.mode.unwrap_or(settings.mode), "webhook").await?;
    // What only this instance knows may be sent again: the repetition replaces itself.
    if !receipt.is_local() && !receipt.dry_run {
        taken.keep();
    }
    Ok(receipt_answer(&receipt))
}

/// A message is good from a tolerance before its time to a tolerance after it; a second more, because times are whole ones.
fn life_ms(settings: &WebhookSettings) -> u64 {
    2 * millis(settings.tolerance) + 1_000
}

/// The delivery's id, if the message is signed with the secret and of this time, Unix seconds. Public for the fuzz targets.
#[must_use]
pub fn believed(settings: &WebhookSettings, headers: &HeaderMap, body: &[u8], now_s: u64) -> Option<String> {
    let (timestamp, delivery) = (single(headers, &TIMESTAMP)?, single(headers, &DELIVERY)?);
    let signature = single(headers, &SIGNATURE)?.strip_prefix("sha256=")?;
    let is_id = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    let is_sound = (1..=DELIVERY_BYTES_MAX).contains(&delivery.len()) && delivery.bytes().all(is_id);
    let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let time_s: u64 = timestamp.parse().ok().filter(|_| is_number && is_sound)?;
    let is_signed =
        is_signed(&settings.secret, &[timestamp, ".", delivery, "."], body, &bytes_of(signature)?);
    let is_of_this_time = time_s.abs_diff(now_s) <= settings.tolerance.as_secs();
    (is_signed && is_of_this_time).then(|| delivery.to_owned())
}

/// A field that stands there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    line.to_str().ok()
}

fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    hexadecimal.as_bytes().chunks(2).map(pair).collect()
}

fn is_signed(secret: &Secret, head: &[&str], body: &[u8], signature: &[u8]) -> bool {
    let mac = Mac::new(secret.expose().as_bytes());
    head.iter().fold(mac, |mac, part| mac.chain(part.as_bytes())).chain(body).is(signature)
}

/// Deliveries that were carried out, each with the monotonic millisecond at which its message is too old by itself.
struct Deliveries(Mutex<BoundedMap<String, u64>>);

impl Default for Deliveries {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(DELIVERIES_MAX)))
    }
}

impl Deliveries {
    /// Claims a delivery; `None`: it was carried out, or is being.
    fn take(self: &Arc<Self>, delivery: &str, now_ms: u64, life_ms: u64) -> Option<Taken> {
        let mut seen = self.0.lock();
        if seen.get(&delivery.to_owned()).is_some_and(|until_ms| now_ms < *until_ms) {
            return None;
        }
        // Anew, so that it is the youngest again.
        seen.remove(&delivery.to_owned());
        seen.insert(delivery.to_owned(), now_ms.saturating_add(life_ms));
        Some(Taken { deliveries: Arc::clone(self), delivery: delivery.to_owned(), is_kept: false })
    }
}

/// A delivery that is being carried out. Dropped before [`Taken::keep`], it was not.
struct Taken {
    deliveries: Arc<Deliveries>,
    delivery: String,
    is_kept: bool,
}

impl Taken {
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_kept {
            self.deliveries.0.lock().remove(&self.delivery);
        }
    }
}
