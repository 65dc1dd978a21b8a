//! The figures of the first page: users, content, engagement.

use crate::base::calendar::DAY_US;
use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::period::Zone;
use crate::companion::data::row::{Arg, Ask, dialects};
use std::collections::BTreeMap;

/// Who was seen within this time is online.
const ONLINE_US: i64 = 300_000_000;
/// New users, completions and scores are those of so many days.
const RECENT_DAYS: i64 = 30;

/// What the figures depend on besides the tenant.
#[derive(Debug, Clone)]
pub struct MetricsAsked {
    /// Microseconds since 1970.
    pub now_us: i64,
    /// Where a day begins.
    pub zone: Zone,
    /// Growth is that of so many days, against as many before them.
    pub compare_days: u32,
}

/// The figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Users that are not deleted.
    pub users: UserFigures,
    /// Content that is not deleted.
    pub content: ContentFigures,
    /// What users do.
    pub engagement: EngagementFigures,
}

/// About users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFigures {
    /// All of them.
    pub total: i64,
    /// Logged in since the tenant's midnight.
    pub active_today: i64,
    /// Logged in within seven times 24 hours.
    pub active_week: i64,
    /// Made within thirty times 24 hours.
    pub new_30d: i64,
    /// Made within the days that are compared.
    pub new: i64,
    /// Made within as many days before them.
    pub new_before: i64,
    /// All of them by role.
    pub by_role: BTreeMap<String, i64>,
}

impl UserFigures {
    /// Per cent by which there are more new ones than before; `None` where there were none before.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage of counts far below 2^53")]
    pub fn growth_rate(&self) -> Option<f64> {
        let before = self.new_before as f64;
        (self.new_before > 0).then(|| (self.new as f64 - before) / before * 100.0)
    }
}

/// About content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentFigures {
    /// All of it.
    pub total: i64,
    /// By status.
    pub by_status: BTreeMap<String, i64>,
    /// By type.
    pub by_type: BTreeMap<String, i64>,
}

/// About what users do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngagementFigures {
    /// Sessions that began since the tenant's midnight.
    pub sessions_today: i64,
    /// Sessions that began within seven times 24 hours.
    pub sessions_week: i64,
    /// How long those of the week took that have ended.
    pub avg_session_seconds: Option<f64>,
    /// Users with a session within seven times 24 hours.
    pub active_users_week: i64,
    /// Users with an open session who were seen within five minutes.
    pub online_now: i64,
    /// Lessons that were completed within thirty times 24 hours.
    pub lessons_completed_30d: i64,
    /// Their scores.
    pub avg_score_30d: Option<f64>,
}

impl Database {
    /// The figures of a tenant.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn metrics(&self, tenant: &str, asked: &MetricsAsked) -> Result<Metrics, DatabaseFault> {
        self.check_tenant(tenant)?;
        let mut metrics = Metrics::default();
        for row in self.figures(&users(tenant, asked)).await? {
            let users = &mut metrics.users;
            let total = row.integer("total")?;
            users.total += total;
            users.active_today += row.integer("active_today")?;
            users.active_week += row.integer("active_week")?;
            users.new_30d += row.integer("new_30d")?;
            users.new += row.integer("new")?;
            users.new_before += row.integer("new_before")?;
            *users.by_role.entry(row.text_or_unknown("role")?).or_default() += total;
        }
        for row in self.figures(&content_by_status(tenant)).await? {
            let total = row.integer("total")?;
            metrics.content.total += total;
            *metrics.content.by_status.entry(row.text_or_unknown("status")?).or_default() += total;
        }
        for row in self.figures(&content_by_type(tenant)).await? {
            let kind = row.text_or_unknown("content_type")?;
            *metrics.content.by_type.entry(kind).or_default() += row.integer("total")?;
        }
        self.engagement_figures(tenant, asked, &mut metrics.engagement).await?;
        Ok(metrics)
    }

    async fn engagement_figures(
        &self,
        tenant: &str,
        asked: &MetricsAsked,
        figures: &mut EngagementFigures,
    ) -> Result<(), DatabaseFault> {
        for row in self.figures(&sessions(tenant, asked)).await? {
            figures.sessions_today = row.integer("today")?;
            figures.sessions_week = row.integer("week")?;
            figures.avg_session_seconds = row.maybe_real("average")?;
            figures.active_users_week = row.integer("users")?;
        }
        for row in self.figures(&online(tenant, asked)).await? {
            figures.online_now = row.integer("online")?;
        }
        for row in self.figures(&completions(tenant, asked)).await? {
            figures.lessons_completed_30d = row.integer("completed")?;
            figures.avg_score_30d = row.maybe_real("average")?;
        }
        Ok(())
    }
}

/// Every question behind the figures, by the name of its text.
pub(super) fn asks(tenant: &str, asked: &MetricsAsked) -> Vec<(&'static str, Ask)> {
    vec![
        ("users", users(tenant, asked)),
        ("content_by_status", content_by_status(tenant)),
        ("content_by_type", content_by_type(tenant)),
        ("sessions", sessions(tenant, asked)),
        ("online", online(tenant, asked)),
        ("completions", completions(tenant, asked)),
    ]
}

fn users(tenant: &str, asked: &MetricsAsked) -> Ask {
    let length = i64::from(asked.compare_days) * DAY_US;
    let args = vec![
        Arg::Text(tenant.to_owned()),
        Arg::Integer(asked.zone.day_begins(asked.now_us)),
        Arg::Integer(asked.now_us - 7 * DAY_US),
        Arg::Integer(asked.now_us - length),
        Arg::Integer(asked.now_us - 2 * length),
        Arg::Integer(asked.now_us - RECENT_DAYS * DAY_US),
    ];
    Ask::new("counting users", dialects!("users"), args)
}

fn content_by_status(tenant: &str) -> Ask {
    Ask::new("counting content", dialects!("content_by_status"), vec![Arg::Text(tenant.to_owned())])
}

fn content_by_type(tenant: &str) -> Ask {
    Ask::new("counting content", dialects!("content_by_type"), vec![Arg::Text(tenant.to_owned())])
}

fn sessions(tenant: &str, asked: &MetricsAsked) -> Ask {
    let args = vec![
        Arg::Text(tenant.to_owned()),
        Arg::Integer(asked.zone.day_begins(asked.now_us)),
        Arg::Integer(asked.now_us - 7 * DAY_US),
    ];
    Ask::new("counting sessions", dialects!("sessions"), args)
}

fn online(tenant: &str, asked: &MetricsAsked) -> Ask {
    let args = vec![Arg::Text(tenant.to_owned()), Arg::Integer(asked.now_us - ONLINE_US)];
    Ask::new("counting who is online", dialects!("online"), args)
}

fn completions(tenant: &str, asked: &MetricsAsked) -> Ask {
    let since = asked.now_us - RECENT_DAYS * DAY_US;
    Ask::new(
        "counting completions",
        dialects!("completions"),
        vec![Arg::Text(tenant.to_owned()), Arg::Integer(since)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_from_nothing_is_no_figure() {
        let growth =
            |new, new_before| UserFigures { new, new_before, ..UserFigures::default() }.growth_rate();
        assert_eq!((growth(15, 10), growth(5, 10), growth(3, 0)), (Some(50.0), Some(-50.0), None));
    }
}
