//! Alive and ready, for probes: the only answers that never ask for a token.

use crate::admin::parts::AdminParts;
use crate::web::answer::json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Does this instance take traffic? From the moment it listens until it drains. A store that is away is no reason
/// against it: limits and cache go on without it.
#[derive(Debug, Default)]
pub struct Readiness {
    is_draining: AtomicBool,
}

impl Readiness {
    /// The end has begun; there is no way back.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Why it takes no traffic; nothing when it does.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        if self.is_draining.load(Ordering::Acquire) { vec!["draining"] } else { Vec::new() }
    }
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    /// Why not.
    reasons: Vec<&'static str>,
    /// Counts accepted configurations.
    generation: u64,
    /// `up` or `away`, for people: neither makes an instance unready.
    limits_store: &'static str,
    cache_store: &'static str,
}

/// `GET /healthz`: the process is alive and this thread answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &Alive { status: "alive" })
}

/// `GET /readyz`: 200 when it takes traffic, else 503 with the reasons.
pub(super) async fn readyz(State(parts): State<AdminParts>) -> Response {
    let reasons = parts.readiness.reasons();
    let (code, status) = match reasons.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let word = |is_up| if is_up { "up" } else { "away" };
    let ready = Ready {
        status,
        reasons,
        generation: parts.current.load().generation,
        limits_store: word(parts.stores.limiter.is_connected()),
        cache_store: word(parts.stores.entries.is_connected()),
    };
    json(code, &ready)
}
