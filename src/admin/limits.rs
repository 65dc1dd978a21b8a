//! `/api/v1/limits`: the policies, where somebody stands, and a fresh start for them.

use crate::admin::answer::{self, problem, wrong};
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::base::units::format_duration;
use crate::config::fault::hint;
use crate::limit::{Charge, Decision, Overrides, Per, Policy, Subject, Window, Windows};
use crate::store::StoreFailure;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
struct PolicyView {
    name: String,
    per: Vec<String>,
    windows: Vec<WindowView>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tiers: BTreeMap<String, Vec<WindowView>>,
    cost: u32,
    mode: &'static str,
    on_store_failure: &'static str,
    status: u16,
}

#[derive(Serialize)]
struct WindowView {
    window: String,
    length_ms: u32,
    limit: u32,
}

#[derive(Serialize)]
struct Standing {
    policy: String,
    identity: String,
    mode: &'static str,
    would_admit: bool,
    windows: Vec<WindowStanding>,
}

#[derive(Serialize)]
struct WindowStanding {
    window: String,
    length_ms: u32,
    limit: u32,
    used: u32,
    remaining: u32,
    reset_ms: u32,
}

/// The query of a standing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    tier: Option<String>,
}

/// `GET /api/v1/limits`: every policy in force.
pub(super) async fn list(State(parts): State<AdminParts>) -> Response {
    let snapshot = parts.current.load();
    let policies: Vec<PolicyView> = snapshot.policies.iter().map(|policy| view(policy)).collect();
    answer::json(StatusCode::OK, &json!({ "policies": policies }))
}

/// `GET /api/v1/limits/{policy}/{identity}`, with `?tier=` for the windows of a tier. Consumes nothing.
pub(super) async fn standing(
    State(parts): State<AdminParts>,
    names: Result<Path<(String, String)>, PathRejection>,
    tier: Result<Query<Tier>, QueryRejection>,
) -> Response {
    let (charge, subject) = match asked(&parts, names, tier) {
        Ok(asked) => asked,
        Err(refusal) => return problem(&refusal),
    };
    match parts.stores.limiter.peek(std::slice::from_ref(&charge)).await {
        Ok(decisions) => answer::json(StatusCode::OK, &stands(&charge, &subject, decisions.first())),
        Err(failure) => store_away(&failure),
    }
}

/// `DELETE /api/v1/limits/{policy}/{identity}`: forgets what was consumed. The log is one for all tiers.
pub(super) async fn reset(
    State(parts): State<AdminParts>,
    names: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let (charge, subject) = match asked(&parts, names, Ok(Query(Tier { tier: None }))) {
        Ok(asked) => asked,
        Err(refusal) => return problem(&refusal),
    };
    let policy = &*charge.policy.name;
    match parts.stores.limiter.reset(&charge.key).await {
        Ok(()) => answer::json(
            StatusCode::OK,
            &json!({ "policy": policy, "identity": subject.to_string(), "reset": true }),
        ),
        Err(failure) => store_away(&failure),
    }
}

fn store_away(failure: &StoreFailure) -> Response {
    problem(&wrong(503, "store-away", "The store does not answer", failure.to_string()))
}

fn asked(
    parts: &AdminParts,
    names: Result<Path<(String, String)>, PathRejection>,
    tier: Result<Query<Tier>, QueryRejection>,
) -> Result<(Charge, Subject), Box<Problem>> {
    let Path((policy, identity)) = names.map_err(|rejection| {
        wrong(400, "invalid-path", "The path is not understood", rejection.body_text())
    })?;
    let Query(Tier { tier }) = tier
        .map_err(|_unknown| wrong(400, "invalid-query", "The query is not understood", "use `tier=NAME`"))?;
    let (policy, tier) = (policy.as_str(), tier.as_deref());
    let snapshot = parts.current.load();
    let Some(policy) = snapshot.policies.iter().find(|known| &*known.name == policy) else {
        let known: Vec<&str> = snapshot.policies.iter().map(|policy| &*policy.name).collect();
        return Err(wrong(404, "no-policy", "There is no such policy", hint(policy, &known)));
    };
    if let Some(tier) = tier.filter(|tier| !policy.tiers.contains_key(*tier)) {
        let known: Vec<&str> = policy.tiers.keys().map(String::as_str).collect();
        return Err(wrong(404, "no-tier", "The policy has no such tier", hint(tier, &known)));
    }
    let subject = subject(policy, &identity)?;
    let charge = crate::limit::charge(policy, &Arc::new(subject.clone()), tier, &Overrides::new());
    let Some(charge) = charge else {
        return Err(wrong(404, "no-limit", "The identity has no limit", "an override says `none`"));
    };
    Ok((charge, subject))
}

/// The one who is counted. The address is always possible: it is what counts when a request has nothing else.
fn subject(policy: &Policy, identity: &str) -> Result<Subject, Box<Problem>> {
    let mut kinds = policy.per.clone();
    if !kinds.contains(&Per::Ip) {
        kinds.push(Per::Ip);
    }
    Subject::parse(identity).filter(|subject| kinds.contains(&subject.per)).ok_or_else(|| {
        let kinds: Vec<String> = kinds.iter().map(Per::to_string).collect();
        let detail = format!("the policy counts {}; write the identity as KIND:VALUE", kinds.join(", "));
        wrong(400, "invalid-identity", "The identity is not understood", detail)
    })
}

fn stands(charge: &Charge, subject: &Subject, decision: Option<&Decision>) -> Standing {
    let states = decision.map(|decision| decision.windows.as_slice()).unwrap_or_default();
    let windows: Vec<WindowStanding> = charge
        .windows
        .as_slice()
        .iter()
        .zip(states)
        .map(|(window, state)| WindowStanding {
            window: format_duration(window.length()),
            length_ms: window.length_ms,
            limit: window.limit,
            used: window.limit.saturating_sub(state.remaining),
            remaining: state.remaining,
            reset_ms: state.reset_ms,
        })
        .collect();
    Standing {
        policy: charge.policy.name.to_string(),
        identity: subject.to_string(),
        mode: charge.policy.mode.as_str(),
        would_admit: windows.iter().all(|window| window.remaining >= charge.cost),
        windows,
    }
}

fn view(policy: &Policy) -> PolicyView {
    PolicyView {
        name: policy.name.to_string(),
        per: policy.per.iter().map(Per::to_string).collect(),
        windows: windows(&policy.windows),
        tiers: policy.tiers.iter().map(|(tier, list)| (tier.clone(), windows(list))).collect(),
        cost: policy.cost.fixed,
        mode: policy.mode.as_str(),
        on_store_failure: policy.on_store_failure.as_str(),
        status: policy.status,
    }
}

fn windows(windows: &Windows) -> Vec<WindowView> {
    let view = |window: &Window| WindowView {
        window: format_duration(window.length()),
        length_ms: window.length_ms,
        limit: window.limit,
    };
    windows.as_slice().iter().map(view).collect()
}
