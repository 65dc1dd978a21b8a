//! `GET /api/v1/dashboard/activity`: what happened, newest first, page by page.

use crate::base::{Digest, Digester};
use crate::companion::service::cursor::Cursors;
use crate::companion::service::figures::{Computed, Told, Wanted, answer, figures};
use crate::companion::service::query::{Parameters, list, word};
use crate::companion::service::zones::{check_known, zone};
use crate::companion::service::{Principal, Refusal, ServiceState};
use crate::companion::{Activity, ActivityAsked, ActivityPage, FeedPosition, PAGE_MAX, format_us, parse_us};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const PARAMETERS: &[&str] = &["type", "user_id", "since", "until", "limit", "cursor"];
const LIMIT: u16 = 20;
const TYPES_MAX: usize = 20;
const TYPE_CHARACTERS_MAX: usize = 64;
const USER_CHARACTERS_MAX: usize = 128;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    items: Vec<Item>,
    /// When the last entry happened, and its number; none where it is the last of all.
    next: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Item {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    actor: Option<Actor>,
    entity: Option<Entity>,
    summary: String,
    occurred_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Actor {
    id: String,
    /// Unknown of users of another tenant, and of those who are no more.
    name: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    /// Entities stand in tables that nobody knows here.
    title: Option<String>,
}

#[derive(Serialize)]
struct Items {
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Pagination {
    next_cursor: Option<String>,
    has_more: bool,
    limit: u16,
}

/// `GET /api/v1/dashboard/activity`.
pub(super) async fn activity(
    State(state): State<ServiceState>,
    principal: Principal,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (asked, cursor) = read(&uri)?;
    let filter = digest(&asked);
    let cursors = Cursors { key: &state.signing_key, tenant: &principal.tenant, filter };
    let after = cursor.map(|cursor| cursors.read(&cursor)).transpose()?;
    let asked = ActivityAsked { after, ..asked };
    check_known(&state, &principal.tenant).await?;
    let limit = asked.limit;
    let behind = after.map_or_else(String::new, |after| format!("{} {}", after.occurred_at_us, after.id));
    let key = ["activity", &filter.short(), &limit.to_string(), &behind];
    let namespace = state.namespaces.activity.as_ref();
    let wanted = Wanted { namespace, tenant: &principal.tenant, key: &key, until_ms: None };
    let (computing, tenant) = (Arc::clone(&state), principal.tenant.clone());
    let compute = move || async move {
        let as_of_ms = computing.clock.wall_ms();
        let zone = zone(&computing, &tenant, None).await?;
        let page = computing.database.activity(&tenant, &asked).await?;
        Ok(Computed::new(as_of_ms, &zone, shape(page)))
    };
    let told: Told<Page> = figures(&state, wanted, compute).await?;
    let next = told.figures.next.map(|(occurred_at_us, id)| FeedPosition { occurred_at_us, id });
    let next_cursor = next.map(|position| cursors.write(position));
    let pagination = Pagination { has_more: next_cursor.is_some(), next_cursor, limit };
    let told = told.map(|page| Items { items: page.items });
    Ok(answer(&told, Some(&pagination), &headers))
}

/// What is asked for, and behind which cursor.
fn read(uri: &Uri) -> Result<(ActivityAsked, Option<String>), Refusal> {
    let mut parameters = Parameters::of(uri, PARAMETERS);
    let types =
        parameters.take("type", |value| list(value, TYPES_MAX, |item| word(item, TYPE_CHARACTERS_MAX)));
    let user = parameters.take("user_id", |value| word(value, USER_CHARACTERS_MAX));
    let since_us = parameters.take("since", read_moment);
    let until_us = parameters.take("until", read_moment);
    if let (Some(since), Some(until)) = (since_us, until_us)
        && until < since
    {
        parameters.fault("until", "it comes before `since`");
    }
    let limit = parameters.take("limit", read_limit).unwrap_or(LIMIT);
    let cursor = parameters.take("cursor", |value| Ok(value.to_owned()));
    parameters.finish()?;
    let types = types.unwrap_or_default();
    Ok((ActivityAsked { types, user, since_us, until_us, after: None, limit }, cursor))
}

fn read_moment(value: &str) -> Result<i64, String> {
    parse_us(value).ok_or_else(|| "write a moment as 2026-01-31T12:00:00Z".to_owned())
}

fn read_limit(value: &str) -> Result<u16, String> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value.parse().ok().filter(|limit| is_number && (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| format!("write 1 to {PAGE_MAX}"))
}

/// Of everything but how many entries, and behind which.
fn digest(asked: &ActivityAsked) -> Digest {
    let moment = |moment: Option<i64>| moment.map(i64::to_be_bytes);
    let mut digester = Digester::new("tidegate feed 1");
    for part in [moment(asked.since_us), moment(asked.until_us)] {
        digester.add(part.as_ref().map_or(&[], |bytes| bytes));
    }
    digester.add(asked.user.as_deref().unwrap_or_default().as_bytes());
    for kind in &asked.types {
        digester.add(kind.as_bytes());
    }
    digester.finish()
}

fn shape(page: ActivityPage) -> Page {
    let next = page.next.map(|next| (next.occurred_at_us, next.id));
    Page { items: page.items.into_iter().map(item).collect(), next }
}

fn item(activity: Activity) -> Item {
    let Activity { id, activity_type, user_id, user_name, entity_type, entity_id, summary, occurred_at_us } =
        activity;
    let is_entity = entity_type.is_some() || entity_id.is_some();
    Item {
        id,
        kind: activity_type,
        actor: user_id.map(|id| Actor { id, name: user_name }),
        entity: is_entity.then_some(Entity { kind: entity_type, id: entity_id, title: None }),
        summary,
        occurred_at: format_us(occurred_at_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<ActivityAsked, Vec<String>> {
        let uri = format!("/a?{query}").parse().expect("a target");
        let fields = |refusal: Refusal| refusal.errors.into_iter().map(|fault| fault.field).collect();
        read(&uri).map(|(asked, _)| asked).map_err(fields)
    }

    #[test]
    fn every_parameter_is_read_and_every_fault_is_told() {
        let plain = asked("").expect("sound");
        assert_eq!(plain, ActivityAsked { limit: 20, ..ActivityAsked::default() });
        let moments = "since=1970-01-01T00:00:01Z&until=1970-01-01T01:00:02%2B01:00";
        let all = asked(&format!("type=b,a&user_id=u&limit=100&{moments}")).expect("sound");
        let types = vec!["a".to_owned(), "b".to_owned()];
        let (since_us, until_us) = (Some(1_000_000), Some(2_000_000));
        let expected =
            ActivityAsked { types, user: Some("u".to_owned()), since_us, until_us, after: None, limit: 100 };
        assert_eq!(all, expected);
        let many = asked("type=&user_id=&since=now&until=1970-01-01&limit=0");
        assert_eq!(many, Err(["type", "user_id", "since", "until", "limit"].map(str::to_owned).into()));
        let backwards = asked("since=1970-01-01T00:00:02Z&until=1970-01-01T00:00:01Z");
        assert_eq!(backwards, Err(vec!["until".to_owned()]));
        assert!(["101", "-1", "+1", "1.0", ""].iter().all(|limit| asked(&format!("limit={limit}")).is_err()));
    }

    #[test]
    fn a_filter_is_known_by_everything_but_the_limit() {
        let of = |query: &str| digest(&asked(query).expect("sound"));
        assert_eq!(of("type=a,b&limit=5"), of("type=b,a,b"));
        let filters = ["", "type=a", "user_id=a", "since=1970-01-01T00:00:01Z", "until=1970-01-01T00:00:01Z"];
        let digests: std::collections::BTreeSet<Digest> = filters.iter().map(|query| of(query)).collect();
        assert_eq!(digests.len(), filters.len());
    }
}
