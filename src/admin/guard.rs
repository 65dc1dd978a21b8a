//! Who may ask: the token where one is configured; otherwise only who calls the listener by one of its own names, so
//! that no web page can reach it through a browser (DNS rebinding).

use crate::admin::routes::{Shared, problem};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Passes a request on, or refuses it. `/healthz` and `/readyz` are for everybody: probes carry no secrets.
pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !matches!(path, "/healthz" | "/readyz") {
        let snapshot = shared.parts.current.load();
        match &snapshot.admin.token {
            Some(token) if !has_token(request.headers(), token.expose()) => {
                let mut answer = problem(
                    401,
                    "unauthorized",
                    "The admin API asks for its token",
                    "send `Authorization: Bearer …`",
                );
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return answer;
            }
            None if !is_own_name(request.headers(), &shared.address.to_string()) => {
                return problem(
                    421,
                    "misdirected",
                    "The Host is not one of this listener's names",
                    "ask for localhost or its address",
                );
            }
            _ => {}
        }
    }
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Compares digests: how long it takes says nothing about the token.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("");
    blake3::hash(sent.as_bytes()) == blake3::hash(token.as_bytes())
}

fn is_own_name(headers: &HeaderMap, address: &str) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    if host == address {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_answered() {
        let named = |host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            is_own_name(&headers, "10.0.0.1:9901")
        };
        assert!(
            named("localhost:9901") && named("127.0.0.1") && named("[::1]:9901") && named("10.0.0.1:9901")
        );
        assert!(!named("evil.example") && !named("evil.example:9901") && !named("localhost.evil.example"));
    }
}
