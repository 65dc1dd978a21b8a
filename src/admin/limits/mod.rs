//! `/api/v1/limits`: the policies, where somebody stands, a fresh start or units back for them, and limits of their own.

mod asked;
mod overrides;
mod standing;
mod top;

pub(super) use overrides::{list as overrides, remove as remove_override, set as set_override};
pub(super) use standing::{refund, reset, standing};
pub(super) use top::top;

use crate::admin::parts::AdminParts;
use crate::base::units::format_duration;
use crate::limit::{Override, Per, Policy, Window, Windows};
use crate::store::StoreFailure;
use crate::web::answer::{self, problem, wrong};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct PolicyView {
    name: String,
    per: Vec<String>,
    windows: Vec<WindowView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tiers: BTreeMap<String, Vec<WindowView>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    overrides: BTreeMap<String, OverrideView>,
    cost: u32,
    count: &'static str,
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

/// What an override says: only the windows that it states, or that there is no limit.
#[derive(Serialize)]
struct OverrideView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    windows: Vec<WindowView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unlimited: bool,
}

/// `GET /api/v1/limits`: every policy in force.
pub(super) async fn list(State(parts): State<AdminParts>) -> Response {
    let snapshot = parts.current.load();
    let policies: Vec<PolicyView> = snapshot.policies.iter().map(|policy| view(policy)).collect();
    answer::json(StatusCode::OK, &json!({ "policies": policies }))
}

fn store_away(failure: &StoreFailure) -> Response {
    problem(&wrong(503, "store-away", "The store does not answer", failure.to_string()))
}

fn view(policy: &Policy) -> PolicyView {
    PolicyView {
        name: policy.name.to_string(),
        per: policy.per.iter().map(Per::to_string).collect(),
        windows: windows(&policy.windows),
        in_flight: policy.in_flight,
        tiers: policy.tiers.iter().map(|(tier, list)| (tier.clone(), windows(list))).collect(),
        overrides: policy.overrides.iter().map(|(who, own)| (who.to_string(), override_view(own))).collect(),
        cost: policy.cost.fixed,
        count: policy.count.as_str(),
        mode: policy.mode.as_str(),
        on_store_failure: policy.on_store_failure.as_str(),
        status: policy.status,
    }
}

fn override_view(own: &Override) -> OverrideView {
    match own {
        Override::Unlimited => OverrideView { windows: Vec::new(), unlimited: true },
        Override::Windows(own) => OverrideView { windows: windows(own), unlimited: false },
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
