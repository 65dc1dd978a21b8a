//! Alive and ready, for probes: the only answers that never ask for a token.

use crate::admin::answer::json;
use crate::admin::state::AdminState;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Does this instance take traffic? Not before it is configured and listens, and not while it drains. A store that is
/// away is no reason: limits and cache go on without it.
#[derive(Debug, Default)]
pub struct Readiness {
    is_serving: AtomicBool,
    is_draining: AtomicBool,
}

impl Readiness {
    /// Not configured yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration is loaded and the data listeners are open.
    pub fn serving(&self) {
        self.is_serving.store(true, Ordering::Release);
    }

    /// The end has begun; there is no way back.
    pub fn draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Why it takes no traffic; nothing when it does.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        let starting = (!self.is_serving.load(Ordering::Acquire)).then_some("starting");
        let draining = self.is_draining.load(Ordering::Acquire).then_some("draining");
        starting.into_iter().chain(draining).collect()
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
}

/// `GET /healthz`: the process is alive and this thread answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &Health { status: "alive", reasons: Vec::new() })
}

/// `GET /readyz`: 200 when it takes traffic, else 503 with the reasons.
pub(super) async fn readyz(State(state): State<AdminState>) -> Response {
    let reasons = state.readiness.reasons();
    if reasons.is_empty() {
        return json(StatusCode::OK, &Health { status: "ready", reasons });
    }
    json(StatusCode::SERVICE_UNAVAILABLE, &Health { status: "not_ready", reasons })
}
