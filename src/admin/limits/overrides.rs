//! Limits of their own for single identities, set while running.

use crate::admin::body;
use crate::admin::limits::asked::{Asked, Names};
use crate::admin::limits::standing::stands;
use crate::admin::limits::{OverrideView, override_view, store_away};
use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::base::clock::millis;
use crate::base::units::parse_duration;
use crate::config::windows::length_ms;
use crate::limit::{LimitKey, Override, Policy, Window, Windows};
use crate::store::{LiveOverride, NotSet};
use crate::web::answer::{self, problem, wrong};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time that an override may be set for; for longer it belongs into the configuration.
const TTL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Bytes of an identity: all instances hold all overrides in memory.
const IDENTITY_BYTES_MAX: usize = 512;

const HOW: &str =
    "send `{\"windows\": {\"1m\": 500}}` or `{\"unlimited\": true}`, with `\"ttl\": \"1h\"` if it shall end";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    windows: Option<BTreeMap<String, u32>>,
    unlimited: Option<bool>,
    ttl: Option<String>,
}

/// An override that was set while running.
#[derive(Serialize)]
pub(super) struct LiveView {
    #[serde(flatten)]
    own: OverrideView,
    /// Milliseconds until its end; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_ms: Option<u64>,
}

impl LiveView {
    pub(super) fn of(live: &LiveOverride) -> Self {
        Self { own: override_view(&live.value), ends_in_ms: live.ends_in.map(millis) }
    }
}

#[derive(Serialize)]
struct Row {
    policy: String,
    identity: String,
    #[serde(flatten)]
    live: LiveView,
}

/// `GET /api/v1/limits/overrides`: all that were set while running.
pub(in crate::admin) async fn list(State(parts): State<AdminParts>) -> Response {
    let list = parts.stores.live_overrides.list();
    let row = |live: &LiveOverride| Row {
        policy: live.policy.to_string(),
        identity: live.subject.to_string(),
        live: LiveView::of(live),
    };
    answer::json(StatusCode::OK, &json!({ "overrides": list.iter().map(row).collect::<Vec<Row>>() }))
}

/// `PUT /api/v1/limits/{policy}/{identity}/override`: answers with what is in force then.
pub(in crate::admin) async fn set(
    State(parts): State<AdminParts>,
    names: Names,
    request: Request,
) -> Response {
    let (asked, value, ttl) = match wanted(&parts, names, request).await {
        Ok(wanted) => wanted,
        Err(refusal) => return problem(&refusal),
    };
    let told = format!("{value:?}");
    match parts.stores.live_overrides.set(&asked.subject, &asked.key, value, ttl).await {
        Ok(()) => {
            let (policy, identity) = (&*asked.policy.name, asked.subject.to_string());
            tracing::info!(policy, ?identity, ?ttl, value = told, "override set");
            stands(&parts, &asked).await
        }
        Err(NotSet::Store(failure)) => store_away(&failure),
        Err(full @ NotSet::Full) => {
            let detail = format!("{full}; remove some, or put them into the configuration");
            problem(&wrong(409, "too-many-overrides", "There are too many overrides", detail))
        }
    }
}

/// `DELETE /api/v1/limits/{policy}/{identity}/override`. Also of a policy that is no longer configured: what can be
/// listed can be removed.
pub(in crate::admin) async fn remove(State(parts): State<AdminParts>, names: Names) -> Response {
    let listed = names.as_ref().ok().and_then(|Path((policy, identity))| {
        let mut list = parts.stores.live_overrides.list().into_iter();
        list.find(|live| *live.policy == **policy && live.subject.to_string() == *identity)
    });
    let (key, identity) = match listed {
        Some(live) => {
            let key = LimitKey { identity: live.subject.digest(), policy: live.policy };
            (key, live.subject.to_string())
        }
        None => match Asked::of(&parts, names) {
            Ok(asked) => (asked.key, asked.subject.to_string()),
            Err(refusal) => return problem(&refusal),
        },
    };
    let policy = &*key.policy;
    match parts.stores.live_overrides.remove(&key).await {
        Ok(removed) => {
            tracing::info!(policy, ?identity, removed, "override removed");
            answer::json(
                StatusCode::OK,
                &json!({ "policy": policy, "identity": identity, "removed": removed }),
            )
        }
        Err(failure) => store_away(&failure),
    }
}

async fn wanted(
    parts: &AdminParts,
    names: Names,
    request: Request,
) -> Result<(Asked, Override, Option<Duration>), Box<Problem>> {
    let asked = Asked::of(parts, names)?;
    if asked.subject.value.len() > IDENTITY_BYTES_MAX {
        let detail = format!("an identity with an override has at most {IDENTITY_BYTES_MAX} bytes");
        return Err(wrong(400, "invalid-identity", "The identity is too long", detail));
    }
    let odd = |detail: String| wrong(400, "invalid-body", "The body is not understood", detail);
    let wanted: Option<Wanted> = body::read(request).await?;
    let Some(Wanted { windows, unlimited, ttl }) = wanted else { return Err(odd(HOW.to_owned())) };
    let ttl =
        ttl.as_deref().map(parse_duration).transpose().map_err(|fault| odd(format!("`ttl`: {fault}")))?;
    if ttl.is_some_and(|ttl| ttl.is_zero() || ttl > TTL_MAX) {
        return Err(odd("`ttl` is 1ms to 366d; leave it out for an override without an end".to_owned()));
    }
    let value = match (windows, unlimited) {
        (None, Some(true)) => Override::Unlimited,
        (Some(windows), None | Some(false)) => Override::Windows(own(&asked.policy, windows).map_err(odd)?),
        (None, None | Some(false)) | (Some(_), Some(true)) => return Err(odd(HOW.to_owned())),
    };
    Ok((asked, value, ttl))
}

/// The windows that an override states. Together with those of the policy, in every tier, they must be a list.
fn own(policy: &Policy, stated: BTreeMap<String, u32>) -> Result<Windows, String> {
    let mut list = Vec::new();
    for (text, limit) in stated {
        let Some(length_ms) = length_ms(&text) else {
            return Err(format!(
                "`{text}` is no length of a window; write one such as 10s, 1m, 1h, 1d, or whole seconds"
            ));
        };
        list.push(Window { length_ms, limit });
    }
    let own = Windows::new(list).map_err(|fault| format!("`windows`: {fault}"))?;
    for base in policy.tiers.values().chain([&policy.windows]) {
        own.over(base).map_err(|fault| format!("`windows`, with those of the policy: {fault}"))?;
    }
    Ok(own)
}
