//! The demo's backend: a small slow application with tenants, written as such backends are. It trusts the identity
//! fields that its proxy sends, says nothing about caching, and counts its own requests so that a hit is visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The fields in which the proxy hands on verified facts (`identity.forward`).
const USER: &str = "x-user-id";
const TENANT: &str = "x-organization-id";

/// How long each page takes, in milliseconds.
const CHAT_MS: u64 = 300;
const CONTENT_MS: u64 = 400;
const PROFILE_MS: u64 = 500;
const REPORT_MS: u64 = 800;

/// Requests that reached the backend since it started.
type Served = Arc<AtomicU64>;

/// Answers until the task is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    axum::serve(listener, router()).await
}

fn router() -> Router {
    Router::new()
        .route("/api/v1/analytics/report", get(report))
        .route("/api/v1/ai_chat/{*topic}", any(chat))
        .route("/api/v1/content/generate", post(generate))
        .route("/api/v1/content/{slug}", get(content))
        .route("/api/v1/users/me", get(profile))
        .route("/whoami", get(whoami))
        .fallback(not_found)
        .with_state(Served::default())
}

async fn report(State(served): State<Served>, headers: HeaderMap) -> Response {
    let tenant = field(&headers, TENANT);
    let (members, articles) = numbers(tenant);
    let page = json!({"organization": tenant, "members": members, "articles": articles});
    after(REPORT_MS, &served, page).await
}

async fn chat(State(served): State<Served>, Path(topic): Path<String>, headers: HeaderMap) -> Response {
    let answer = format!("A long and costly thought about {topic}.");
    after(CHAT_MS, &served, json!({"user": field(&headers, USER), "answer": answer})).await
}

async fn content(State(served): State<Served>, Path(slug): Path<String>, headers: HeaderMap) -> Response {
    let page = json!({"organization": field(&headers, TENANT), "slug": slug, "text": "Once upon a time."});
    after(CONTENT_MS, &served, page).await
}

async fn generate(State(served): State<Served>, headers: HeaderMap) -> Response {
    let page = json!({"organization": field(&headers, TENANT), "generated": true});
    (StatusCode::CREATED, after(CONTENT_MS, &served, page).await).into_response()
}

async fn profile(State(served): State<Served>, headers: HeaderMap) -> Response {
    let page = json!({"user": field(&headers, USER), "organization": field(&headers, TENANT)});
    after(PROFILE_MS, &served, page).await
}

/// What the backend was told about the sender: forged fields must not show up here.
async fn whoami(State(served): State<Served>, headers: HeaderMap) -> Response {
    let page = json!({
        "user": field(&headers, USER),
        "organization": field(&headers, TENANT),
        "forwarded_for": field(&headers, "x-forwarded-for"),
    });
    after(0, &served, page).await
}

async fn not_found(State(served): State<Served>) -> Response {
    let page = json!({"error": "the sample backend has no such page", "try": "/whoami"});
    (StatusCode::NOT_FOUND, after(0, &served, page).await).into_response()
}

/// Does the slow work, then answers with the page and the number of this request.
async fn after(work_ms: u64, served: &Served, mut page: Value) -> Response {
    tokio::time::sleep(Duration::from_millis(work_ms)).await;
    let number = served.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if let Some(fields) = page.as_object_mut() {
        fields.insert("backend_request".to_owned(), number.into());
    }
    Json(page).into_response()
}

fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Members and articles of a tenant, whatever it is called; nobody in particular has none.
fn numbers(tenant: Option<&str>) -> (u64, u64) {
    let Some(tenant) = tenant else { return (0, 0) };
    let mixed = tenant.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    (7 + mixed % 90, 93 + mixed % 1_900)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_answer_carries_its_number_and_the_tenant_it_is_for() {
        let served = Served::default();
        let mut headers = HeaderMap::new();
        headers.insert(TENANT, "globex".parse().expect("is a value"));
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let answer = report(State(Arc::clone(&served)), headers.clone()).await;
            let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a short body");
            bodies.push(serde_json::from_slice::<Value>(&body).expect("is JSON"));
        }
        assert_eq!(bodies[0]["organization"], "globex");
        assert_eq!((&bodies[0]["backend_request"], &bodies[1]["backend_request"]), (&json!(1), &json!(2)));
    }
}
