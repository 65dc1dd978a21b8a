//! `GET /api/v1/dashboard/metrics`: the figures of the first page.

use crate::companion::gateways::SystemHealth;
use crate::companion::service::figures::{Computed, NO_PAGES, Told, Wanted, answer, figures, read_zone};
use crate::companion::service::query::Parameters;
use crate::companion::service::zones::Today;
use crate::companion::service::{Principal, Refusal, ServiceState};
use crate::companion::{Metrics, MetricsAsked};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const COMPARE_DAYS: u32 = 30;
const COMPARE_DAYS_MAX: u32 = 365;
/// How long, in seconds, how the system does is good for: gateways are asked as often.
const SYSTEM_S: u64 = 5;

/// What is kept, and told with how the system does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MetricsFigures {
    users: Users,
    content: Content,
    engagement: Engagement,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Users {
    total: i64,
    active_today: i64,
    active_week: i64,
    new_30d: i64,
    growth_rate: Option<f64>,
    by_role: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    total: i64,
    published: i64,
    draft: i64,
    in_review: i64,
    archived: i64,
    by_type: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Engagement {
    sessions_today: i64,
    sessions_week: i64,
    avg_session_seconds: Option<f64>,
    active_users_week: i64,
    online_now: i64,
    lessons_completed_30d: i64,
    avg_score_30d: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
struct WithSystem {
    #[serde(flatten)]
    figures: MetricsFigures,
    system: SystemHealth,
}

/// `GET /api/v1/dashboard/metrics`.
pub(super) async fn metrics(
    State(state): State<ServiceState>,
    principal: Principal,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(&uri, &["compare", "tz"]);
    let compare_days = parameters.take("compare", read_days).unwrap_or(COMPARE_DAYS);
    let asked = parameters.take("tz", read_zone);
    parameters.finish()?;
    let today = Today::of(&state, &principal.tenant, asked).await?;
    let key = ["metrics", &compare_days.to_string(), today.zone.name(), &today.day];
    let namespace = state.namespaces.metrics.as_ref();
    let wanted = Wanted { namespace, tenant: &principal.tenant, key: &key, until_ms: Some(today.ends_ms) };
    let (computing, tenant, now) = (Arc::clone(&state), principal.tenant.clone(), today.clone());
    // Of the day in the key, even if it is over by then.
    let compute = move || async move {
        let asked = MetricsAsked { now_us: now.now_us(), zone: now.zone, compare_days };
        let metrics = computing.database.metrics(&tenant, &asked).await?;
        Ok(Computed::new(now.now_ms, &asked.zone, shape(metrics)))
    };
    let told: Told<MetricsFigures> = figures(&state, wanted, compute).await?;
    let system = state.gateways.health().await;
    let may_export = principal.is_one_of(&state.settings.exporters);
    let told = told.map(|figures| WithSystem { figures, system }).may_export(may_export);
    let tagged = but_when(&told.figures);
    Ok(answer(&told.of_a_moment(SYSTEM_S, &tagged), NO_PAGES, &headers))
}

/// The same, but when the gateways were asked: that alone is no change.
fn but_when(told: &WithSystem) -> WithSystem {
    let system = SystemHealth { as_of: String::new(), ..told.system.clone() };
    WithSystem { system, ..told.clone() }
}

fn read_days(value: &str) -> Result<u32, String> {
    let is_number =
        |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let days = value.strip_suffix('d').filter(is_number).and_then(|digits| digits.parse().ok());
    let within = days.filter(|days| (1..=COMPARE_DAYS_MAX).contains(days));
    within.ok_or_else(|| format!("write 1d to {COMPARE_DAYS_MAX}d"))
}

fn shape(metrics: Metrics) -> MetricsFigures {
    let growth_rate = metrics.users.growth_rate();
    let Metrics { users, content, engagement } = metrics;
    let of_status = |status: &str| content.by_status.get(status).copied().unwrap_or(0);
    MetricsFigures {
        users: Users {
            total: users.total,
            active_today: users.active_today,
            active_week: users.active_week,
            new_30d: users.new_30d,
            growth_rate,
            by_role: users.by_role,
        },
        content: Content {
            total: content.total,
            published: of_status("published"),
            draft: of_status("draft"),
            in_review: of_status("review"),
            archived: of_status("archived"),
            by_type: content.by_type,
        },
        engagement: Engagement {
            sessions_today: engagement.sessions_today,
            sessions_week: engagement.sessions_week,
            avg_session_seconds: engagement.avg_session_seconds,
            active_users_week: engagement.active_users_week,
            online_now: engagement.online_now,
            lessons_completed_30d: engagement.lessons_completed_30d,
            avg_score_30d: engagement.avg_score_30d,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_to_compare_are_whole_and_few() {
        assert_eq!((read_days("1d"), read_days("365d")), (Ok(1), Ok(365)));
        for value in ["", "d", "0d", "366d", "30", "030d", "24h", "1.5d", "-1d", "+1d", "30D", " 30d"] {
            assert!(read_days(value).is_err(), "{value}");
        }
    }
}
