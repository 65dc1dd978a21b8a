//! Limits: the policies, and where one identity stands. Looking consumes nothing.

use crate::admin::routes::{Shared, problem};
use crate::config::effective::policy_value;
use crate::limit::{Charge, Subject, charge};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

pub(super) async fn policies(State(shared): State<Shared>) -> Response {
    let snapshot = shared.parts.current.load();
    let policies: Map<String, Value> =
        snapshot.policies.iter().map(|policy| (policy.name.to_string(), policy_value(policy))).collect();
    Json(json!({"policies": policies})).into_response()
}

/// The charge that `policy` and `identity` name.
fn named(shared: &Shared, policy: &str, identity: &str) -> Result<Charge, Box<Response>> {
    let snapshot = shared.parts.current.load();
    let Some(policy) = snapshot.policies.iter().find(|known| &*known.name == policy) else {
        let names: Vec<&str> = snapshot.policies.iter().map(|known| &*known.name).collect();
        let detail = format!("there is no policy `{policy}`; there are {}", names.join(", "));
        return Err(Box::new(problem(404, "no-such-policy", "There is no such policy", detail)));
    };
    let Some(subject) = Subject::parse(identity) else {
        let detail = "write user:NAME, api_key:NAME, tenant:NAME, ip:ADDRESS, header:FIELD:VALUE or global";
        return Err(Box::new(problem(400, "bad-identity", "The identity is not understood", detail)));
    };
    Ok(charge(policy, &subject, None))
}

pub(super) async fn state(
    State(shared): State<Shared>,
    Path((policy, identity)): Path<(String, String)>,
) -> Response {
    let charge = match named(&shared, &policy, &identity) {
        Ok(charge) => charge,
        Err(answer) => return *answer,
    };
    match shared.parts.stores.limiter.peek(std::slice::from_ref(&charge)).await {
        Ok(decisions) => {
            let states = decisions.into_iter().next().map_or_else(Vec::new, |decision| decision.windows);
            let windows: Vec<Value> = charge
                .windows
                .as_slice()
                .iter()
                .zip(states)
                .map(|(window, state)| {
                    json!({
                        "window_ms": window.length_ms,
                        "limit": window.limit,
                        "remaining": state.remaining,
                        "reset_ms": state.reset_ms,
                    })
                })
                .collect();
            Json(json!({"policy": policy, "identity": identity, "windows": windows})).into_response()
        }
        Err(failure) => problem(503, "store-away", "The store does not answer", failure.to_string()),
    }
}

pub(super) async fn reset(
    State(shared): State<Shared>,
    Path((policy, identity)): Path<(String, String)>,
) -> Response {
    let charge = match named(&shared, &policy, &identity) {
        Ok(charge) => charge,
        Err(answer) => return *answer,
    };
    match shared.parts.stores.limiter.reset(&charge.key).await {
        Ok(()) => {
            tracing::info!(policy, identity, "limit reset by the admin API");
            Json(json!({"policy": policy, "identity": identity, "reset": true})).into_response()
        }
        Err(failure) => problem(503, "store-away", "The store does not answer", failure.to_string()),
    }
}
