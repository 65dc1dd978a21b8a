//! `GET /api/v1/dashboard/statistics`: figures over time, their totals, and those of the time before.

use crate::companion::service::figures::{
    Computed, NO_PAGES, Told, Wanted, answer, figures, read_zone, zone,
};
use crate::companion::service::query::{Parameters, list};
use crate::companion::service::{Principal, Refusal, ServiceState};
use crate::companion::{
    ContentCreated, Engagement, Granularity, Period, PeriodFault, UserGrowth, Zone, days_before, is_day,
    periods, range_before,
};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const PARAMETERS: &[&str] = &["from", "to", "granularity", "metrics", "tz"];
/// Without `from` the range is as long as this.
const DAYS: i32 = 30;

const GRANULARITIES: [(&str, Granularity); 3] =
    [("day", Granularity::Day), ("week", Granularity::Week), ("month", Granularity::Month)];

/// Which figures; written as their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Users,
    Content,
    Engagement,
}

const PARTS: [(&str, Part); 3] =
    [("users", Part::Users), ("content", Part::Content), ("engagement", Part::Engagement)];

/// What is asked for.
#[derive(Debug, Clone)]
struct Asked {
    from: Option<String>,
    to: Option<String>,
    granularity: Granularity,
    parts: Vec<Part>,
    zone: Option<Zone>,
}

/// What is kept and told.
#[derive(Debug, Serialize, Deserialize)]
struct Statistics {
    from: String,
    to: String,
    granularity: String,
    tz: String,
    series: Series,
    totals: Totals,
    compare: Compare,
}

/// Only those that were asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Series {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_growth: Option<Vec<Growth>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_created: Option<Vec<Created>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engagement: Option<Vec<Sessions>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Growth {
    date: String,
    #[serde(flatten)]
    users: UserTotals,
}

#[derive(Debug, Serialize, Deserialize)]
struct Created {
    date: String,
    #[serde(flatten)]
    content: ContentTotals,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sessions {
    date: String,
    #[serde(flatten)]
    sessions: EngagementTotals,
}

/// Of a whole range. Users of a range are not the sum of its days' users.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Totals {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users: Option<UserTotals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<ContentTotals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engagement: Option<EngagementTotals>,
}

/// The range before, which has as many days.
#[derive(Debug, Serialize, Deserialize)]
struct Compare {
    from: String,
    to: String,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Debug, Serialize, Deserialize)]
struct UserTotals {
    new: i64,
    total: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ContentTotals {
    total: i64,
    by_status: BTreeMap<String, i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EngagementTotals {
    sessions: i64,
    active_users: i64,
    avg_session_seconds: Option<f64>,
}

/// `GET /api/v1/dashboard/statistics`.
pub(super) async fn statistics(
    State(state): State<ServiceState>,
    principal: Principal,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asked = read(&uri)?;
    let parts: Vec<&str> = asked.parts.iter().map(|part| name_of(&PARTS, *part)).collect();
    let key = [
        "statistics",
        asked.from.as_deref().unwrap_or_default(),
        asked.to.as_deref().unwrap_or_default(),
        name_of(&GRANULARITIES, asked.granularity),
        &parts.join(","),
        asked.zone.as_ref().map_or("", Zone::name),
    ];
    let namespace = state.namespaces.statistics.as_ref();
    let wanted = Wanted { namespace, tenant: &principal.tenant, key: &key };
    let (computing, tenant, asked) = (Arc::clone(&state), principal.tenant.clone(), asked.clone());
    let compute = move || async move {
        let as_of_ms = computing.clock.wall_ms();
        let zone = zone(&computing, &tenant, asked.zone.clone()).await?;
        let now_us = i64::try_from(as_of_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let range = Range::of(&asked, &zone, now_us)?;
        let statistics = count(&computing, &tenant, &asked, &zone, range).await?;
        Ok(Computed::new(as_of_ms, &zone, statistics))
    };
    let told: Told<Statistics> = figures(&state, wanted, compute).await?;
    Ok(answer(&told, NO_PAGES, &headers))
}

fn read(uri: &Uri) -> Result<Asked, Refusal> {
    let mut parameters = Parameters::of(uri, PARAMETERS);
    let from = parameters.take("from", read_day);
    let to = parameters.take("to", read_day);
    if let (Some(from), Some(to)) = (&from, &to)
        && let Err(fault) = periods(from, to, Granularity::Month, &utc()?)
    {
        parameters.fault(field_of(&fault), fault.to_string());
    }
    let granularity = parameters.take("granularity", |value| value_of(&GRANULARITIES, value));
    let parts = parameters.take("metrics", |value| list(value, PARTS.len(), |item| value_of(&PARTS, item)));
    let zone = parameters.take("tz", read_zone);
    parameters.finish()?;
    let parts = parts.unwrap_or_else(|| PARTS.map(|(_, part)| part).into());
    Ok(Asked { from, to, granularity: granularity.unwrap_or(Granularity::Day), parts, zone })
}

fn utc() -> Result<Zone, Refusal> {
    Zone::parse("UTC").map_err(|fault| refusal(&fault))
}

fn read_day(value: &str) -> Result<String, String> {
    if is_day(value) { Ok(value.to_owned()) } else { Err("write a day as YYYY-MM-DD".to_owned()) }
}

fn value_of<T: Copy>(known: &[(&'static str, T)], name: &str) -> Result<T, String> {
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("unknown; there are {}", names()))
}

fn name_of<T: Copy + PartialEq>(known: &[(&'static str, T)], value: T) -> &'static str {
    known.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

/// Days and what they are called in the answer.
struct Range {
    from: String,
    to: String,
    spans: Vec<Period>,
    /// The range before and the range itself, each as one span.
    wholes: Vec<Period>,
    before: (String, String),
}

impl Range {
    fn of(asked: &Asked, zone: &Zone, now_us: i64) -> Result<Self, Refusal> {
        let to = asked.to.clone().unwrap_or_else(|| zone.day(now_us));
        let from = asked
            .from
            .clone()
            .map_or_else(|| days_before(&to, DAYS - 1), Ok)
            .map_err(|fault| refusal(&fault))?;
        let spans = periods(&from, &to, asked.granularity, zone).map_err(|fault| refusal(&fault))?;
        let before = range_before(&from, &to).map_err(|fault| refusal(&fault))?;
        let months =
            periods(&before.0, &before.1, Granularity::Month, zone).map_err(|fault| refusal(&fault))?;
        let wholes = [Period::together(&months), Period::together(&spans)].into_iter().flatten().collect();
        Ok(Self { from, to, spans, wholes, before })
    }
}

async fn count(
    state: &ServiceState,
    tenant: &str,
    asked: &Asked,
    zone: &Zone,
    range: Range,
) -> Result<Statistics, Refusal> {
    let database = &state.database;
    let (mut series, mut totals, mut before) = (Series::default(), Totals::default(), Totals::default());
    for part in &asked.parts {
        match part {
            Part::Users => {
                let users = database.user_growth(tenant, &range.spans).await?;
                series.user_growth = Some(users.into_iter().map(growth).collect());
                let wholes = database.user_growth(tenant, &range.wholes).await?;
                (before.users, totals.users) = two(wholes, |whole| growth(whole).users);
            }
            Part::Content => {
                let content = database.content_created(tenant, &range.spans).await?;
                series.content_created = Some(content.into_iter().map(created).collect());
                let wholes = database.content_created(tenant, &range.wholes).await?;
                (before.content, totals.content) = two(wholes, |whole| created(whole).content);
            }
            Part::Engagement => {
                let spans = database.engagement(tenant, &range.spans).await?;
                series.engagement = Some(spans.into_iter().map(sessions).collect());
                let wholes = database.engagement(tenant, &range.wholes).await?;
                (before.engagement, totals.engagement) = two(wholes, |whole| sessions(whole).sessions);
            }
        }
    }
    let (before_from, before_to) = range.before;
    Ok(Statistics {
        from: range.from,
        to: range.to,
        granularity: name_of(&GRANULARITIES, asked.granularity).to_owned(),
        tz: zone.name().to_owned(),
        series,
        totals,
        compare: Compare { from: before_from, to: before_to, totals: before },
    })
}

/// Of the range before, and of the range itself.
fn two<W, T>(wholes: Vec<W>, total: impl Fn(W) -> T) -> (Option<T>, Option<T>) {
    let mut totals = wholes.into_iter().map(total);
    (totals.next(), totals.next())
}

fn growth(users: UserGrowth) -> Growth {
    let UserGrowth { date, new, total } = users;
    Growth { date, users: UserTotals { new, total } }
}

fn created(content: ContentCreated) -> Created {
    let ContentCreated { date, total, by_status } = content;
    Created { date, content: ContentTotals { total, by_status } }
}

fn sessions(engagement: Engagement) -> Sessions {
    let Engagement { date, sessions, active_users, avg_session_seconds } = engagement;
    Sessions { date, sessions: EngagementTotals { sessions, active_users, avg_session_seconds } }
}

fn refusal(fault: &PeriodFault) -> Refusal {
    Refusal::unprocessable(field_of(fault), fault.to_string())
}

/// Which parameter is at fault.
fn field_of(fault: &PeriodFault) -> &'static str {
    match fault {
        PeriodFault::Zone(_) => "tz",
        PeriodFault::Day(_) | PeriodFault::TooLong => "from",
        PeriodFault::Backwards => "to",
    }
}
