//! Where somebody stands, and what is forgiven them.

use crate::admin::body;
use crate::admin::limits::asked::{Asked, Names, Tier};
use crate::admin::limits::overrides::LiveView;
use crate::admin::limits::store_away;
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::config::LimitNow;
use crate::limit::{Applied, Charge, LIMIT_MAX};
use crate::web::answer::{self, problem, wrong};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize)]
struct Standing {
    policy: String,
    identity: String,
    mode: &'static str,
    /// What decides the windows.
    applies: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#override: Option<LiveView>,
    #[serde(flatten)]
    now: LimitNow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refund {
    units: u32,
}

/// `GET /api/v1/limits/{policy}/{identity}`, with `?tier=` for the windows of a tier. Consumes nothing.
pub(in crate::admin) async fn standing(
    State(parts): State<AdminParts>,
    names: Names,
    tier: Result<Query<Tier>, QueryRejection>,
) -> Response {
    match Asked::of(&parts, names).and_then(|asked| asked.in_tier(tier)) {
        Ok(asked) => stands(&parts, &asked).await,
        Err(refusal) => problem(&refusal),
    }
}

/// Where `asked` stands now.
pub(super) async fn stands(parts: &AdminParts, asked: &Asked) -> Response {
    let now = match asked.charge(parts) {
        None => LimitNow::uncounted(),
        Some(charge) => match parts.stores.limiter.peek(std::slice::from_ref(&charge)).await {
            Ok(decisions) => {
                decisions.first().map_or_else(LimitNow::uncounted, |decision| LimitNow::of(&charge, decision))
            }
            Err(failure) => return store_away(&failure),
        },
    };
    let applies = asked.applies(parts);
    let live = parts.stores.live_overrides.find(&asked.key).filter(|_| applies == Applied::LiveOverride);
    let standing = Standing {
        policy: asked.policy.name.to_string(),
        identity: asked.subject.to_string(),
        mode: asked.policy.mode.as_str(),
        applies: applies.as_str(),
        r#override: live.as_ref().map(LiveView::of),
        now,
    };
    answer::json(StatusCode::OK, &standing)
}

/// `DELETE /api/v1/limits/{policy}/{identity}`: forgets what was consumed. The log is one for all tiers.
pub(in crate::admin) async fn reset(State(parts): State<AdminParts>, names: Names) -> Response {
    let asked = match Asked::of(&parts, names) {
        Ok(asked) => asked,
        Err(refusal) => return problem(&refusal),
    };
    let (policy, identity) = (&*asked.policy.name, asked.subject.to_string());
    match parts.stores.limiter.reset(&asked.key).await {
        Ok(()) => {
            tracing::info!(policy, ?identity, "limit reset");
            answer::json(StatusCode::OK, &json!({ "policy": policy, "identity": identity, "reset": true }))
        }
        Err(failure) => store_away(&failure),
    }
}

/// `POST /api/v1/limits/{policy}/{identity}/refund`: gives back the newest units.
pub(in crate::admin) async fn refund(
    State(parts): State<AdminParts>,
    names: Names,
    request: Request,
) -> Response {
    let (asked, units) = match asked_units(&parts, names, request).await {
        Ok(asked) => asked,
        Err(refusal) => return problem(&refusal),
    };
    let (policy, identity) = (&*asked.policy.name, asked.subject.to_string());
    // Whatever limits the identity now: the units are in the log.
    let charge = Charge {
        key: asked.key.clone(),
        windows: asked.charge(&parts).map_or_else(|| asked.policy.windows.clone(), |charge| charge.windows),
        cost: units,
        consumes: true,
        subject: std::sync::Arc::clone(&asked.subject),
        policy: std::sync::Arc::clone(&asked.policy),
    };
    match parts.stores.limiter.refund(&charge, None).await {
        Ok(given_back) => {
            tracing::info!(policy, ?identity, units, given_back, "limit refunded");
            answer::json(
                StatusCode::OK,
                &json!({ "policy": policy, "identity": identity, "units": units, "given_back": given_back }),
            )
        }
        Err(failure) => store_away(&failure),
    }
}

async fn asked_units(
    parts: &AdminParts,
    names: Names,
    request: Request,
) -> Result<(Asked, u32), Box<Problem>> {
    let asked = Asked::of(parts, names)?;
    let refund: Option<Refund> = body::read(request).await?;
    let units = refund.map(|refund| refund.units).filter(|units| (1..=LIMIT_MAX).contains(units));
    let Some(units) = units else {
        let detail = format!("send {{\"units\": N}} with N from 1 to {LIMIT_MAX}");
        return Err(wrong(400, "invalid-body", "The body is not understood", detail));
    };
    if asked.policy.windows.as_slice().is_empty() && asked.charge(parts).is_none() {
        let detail = "the policy only limits how many requests are under way";
        return Err(wrong(409, "nothing-counted", "Nothing is counted over time", detail));
    }
    Ok((asked, units))
}
