//! Figures over time. Spans in which nothing happened are there too.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::period::{Period, spans};
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use std::collections::BTreeMap;

/// Users of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGrowth {
    /// The span's first day.
    pub date: String,
    /// Made in it.
    pub new: i64,
    /// Made up to its end.
    pub total: i64,
}

/// Content of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentCreated {
    /// The span's first day.
    pub date: String,
    /// Made in it.
    pub total: i64,
    /// The same by the status that it has now.
    pub by_status: BTreeMap<String, i64>,
}

impl Database {
    /// Users by span: those that are not deleted.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn user_growth(
        &self,
        tenant: &str,
        periods: &[Period],
    ) -> Result<Vec<UserGrowth>, DatabaseFault> {
        self.check_tenant(tenant)?;
        let Some(first) = periods.first() else { return Ok(Vec::new()) };
        let before = self.figures(&users_before(tenant, first.begins_us)).await?;
        let mut total = before.first().map_or(Ok(0), |row| row.integer("total"))?;
        let rows = self.figures(&user_growth(tenant, periods)).await?;
        let made = numbered(&rows)?;
        let growth = periods.iter().enumerate().map(|(number, period)| {
            let new = made.get(&number).map_or(Ok(0), |row| row.integer("new"))?;
            total += new;
            Ok(UserGrowth { date: period.date.clone(), new, total })
        });
        growth.collect()
    }

    /// Content by span: what is not deleted.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn content_created(
        &self,
        tenant: &str,
        periods: &[Period],
    ) -> Result<Vec<ContentCreated>, DatabaseFault> {
        self.check_tenant(tenant)?;
        let empty = |period: &Period| ContentCreated {
            date: period.date.clone(),
            total: 0,
            by_status: BTreeMap::new(),
        };
        let mut created: Vec<ContentCreated> = periods.iter().map(empty).collect();
        for row in self.figures(&content_created(tenant, periods)).await? {
            if let Some(span) = created.get_mut(number(&row)?) {
                let total = row.integer("total")?;
                span.total += total;
                *span.by_status.entry(row.text_or_unknown("status")?).or_default() += total;
            }
        }
        Ok(created)
    }
}

pub(super) fn users_before(tenant: &str, begins_us: i64) -> Ask {
    let args = vec![Arg::Text(tenant.to_owned()), Arg::Integer(begins_us)];
    Ask::new("counting users", dialects!("users_before"), args)
}

pub(super) fn user_growth(tenant: &str, periods: &[Period]) -> Ask {
    Ask::new("counting new users", dialects!("user_growth"), args(tenant, periods))
}

pub(super) fn content_created(tenant: &str, periods: &[Period]) -> Ask {
    Ask::new("counting new content", dialects!("content_created"), args(tenant, periods))
}

fn args(tenant: &str, periods: &[Period]) -> Vec<Arg> {
    vec![Arg::Text(tenant.to_owned()), Arg::Text(spans(periods))]
}

/// The place of a row's span among those that were asked for.
fn number(row: &Row) -> Result<usize, DatabaseFault> {
    Ok(usize::try_from(row.integer("number")?).unwrap_or(usize::MAX))
}

fn numbered(rows: &[Row]) -> Result<BTreeMap<usize, &Row>, DatabaseFault> {
    rows.iter().map(|row| Ok((number(row)?, row))).collect()
}
