//! The feed: what happened, newest first, page by page.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, Row, dialects};

/// Entries of a page at most.
pub const PAGE_MAX: u16 = 100;

/// Later than any entry: the end of the year 9999, in microseconds since 1970.
const FAR_US: i64 = 253_402_300_799_000_000;

/// A place in the feed: between two entries. What is behind it stays there, whatever is added in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    /// When the entry before it happened, in microseconds since 1970.
    pub occurred_at_us: i64,
    /// Its number, since several may happen at once.
    pub id: i64,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityAsked {
    /// Of these types; none: of all.
    pub types: Vec<String>,
    /// Of this user.
    pub user: Option<String>,
    /// From this moment on, in microseconds since 1970.
    pub since_us: Option<i64>,
    /// Before this moment.
    pub until_us: Option<i64>,
    /// Behind this place.
    pub after: Option<FeedPosition>,
    /// How many, from 1 to [`PAGE_MAX`].
    pub limit: u16,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its number.
    pub id: i64,
    /// What kind of thing.
    pub activity_type: String,
    /// Who did it.
    pub user_id: Option<String>,
    /// Their name.
    pub user_name: Option<String>,
    /// To what kind of thing.
    pub entity_type: Option<String>,
    /// To which.
    pub entity_id: Option<String>,
    /// In words.
    pub summary: String,
    /// When, in microseconds since 1970.
    pub occurred_at_us: i64,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityPage {
    /// Newest first.
    pub items: Vec<Activity>,
    /// Where the next one begins; `None`: this was the last.
    pub next: Option<FeedPosition>,
}

impl Database {
    /// A page of a tenant's feed. Every page costs the same, however far back it is.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn activity(&self, tenant: &str, asked: &ActivityAsked) -> Result<ActivityPage, DatabaseFault> {
        self.check_tenant(tenant)?;
        if asked.user.as_deref().is_some_and(|user| !self.is_id(user)) {
            return Ok(ActivityPage { items: Vec::new(), next: None });
        }
        let rows = self.figures(&ask(tenant, asked)).await?;
        let mut items = rows.iter().map(activity).collect::<Result<Vec<Activity>, DatabaseFault>>()?;
        let limit = usize::from(limit(asked));
        let has_more = items.len() > limit;
        items.truncate(limit);
        let position = |item: &Activity| FeedPosition { occurred_at_us: item.occurred_at_us, id: item.id };
        let next = items.last().map(position).filter(|_| has_more);
        Ok(ActivityPage { items, next })
    }
}

fn limit(asked: &ActivityAsked) -> u16 {
    asked.limit.clamp(1, PAGE_MAX)
}

pub(super) fn ask(tenant: &str, asked: &ActivityAsked) -> Ask {
    // One more than is shown tells whether there is a next page.
    ask_rows(tenant, asked, i64::from(limit(asked)) + 1)
}

/// So many entries of the feed.
pub(super) fn ask_rows(tenant: &str, asked: &ActivityAsked, rows: i64) -> Ask {
    let until = FeedPosition { occurred_at_us: asked.until_us.unwrap_or(FAR_US), id: 0 };
    let behind = asked.after.map_or(until, |after| after.min(until));
    let mut args = vec![
        Arg::Text(tenant.to_owned()),
        Arg::Integer(asked.since_us.unwrap_or(0)),
        Arg::Integer(behind.occurred_at_us),
        Arg::Integer(behind.id),
        Arg::Integer(rows),
    ];
    // Three texts, because a condition that may be switched off keeps an index from being used.
    let texts = match (&asked.user, asked.types.is_empty()) {
        (Some(user), _) => {
            args.extend([Arg::Texts(asked.types.clone()), Arg::Text(user.clone())]);
            dialects!("activity_of_user")
        }
        (None, false) => {
            args.push(Arg::Texts(asked.types.clone()));
            dialects!("activity_of_types")
        }
        (None, true) => dialects!("activity"),
    };
    Ask::new("reading the feed", texts, args)
}

pub(super) fn activity(row: &Row) -> Result<Activity, DatabaseFault> {
    Ok(Activity {
        id: row.integer("id")?,
        activity_type: row.text_or_unknown("activity_type")?,
        user_id: row.maybe_text("user_id")?,
        user_name: row.maybe_text("user_name")?,
        entity_type: row.maybe_text("entity_type")?,
        entity_id: row.maybe_text("entity_id")?,
        summary: row.maybe_text("summary")?.unwrap_or_default(),
        occurred_at_us: row.integer("occurred_at_us")?,
    })
}
