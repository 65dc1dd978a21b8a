//! Figures by day, counted once: what is asked for over a year is read from a row a day.

use crate::companion::data::database::Database;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::period::{Granularity, Period, PeriodFault, Zone, periods, shifted, spans};
use crate::companion::data::row::{Arg, Ask, dialects};

const HOUR_US: i64 = 3_600_000_000;

/// What there is to count, as days (`YYYY-MM-DD`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupDays {
    /// What happened up to this day is told from roll-ups; later days may still change and are counted anew each time.
    pub settled: String,
    /// The day that it is where it is latest.
    pub last: String,
}

impl RollupDays {
    /// Those at `now_us`, where rows may come late by `days` days. A day is settled when it is over by that much everywhere:
    /// the earliest zone is twelve hours behind UTC, the latest fourteen before it.
    ///
    /// # Errors
    /// [`PeriodFault`] where there are no such days.
    pub fn at(now_us: i64, days: u32) -> Result<Self, PeriodFault> {
        let utc = Zone::parse("UTC")?;
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let settled = shifted(&utc.day(now_us - 12 * HOUR_US), days.saturating_neg())?;
        Ok(Self { settled, last: utc.day(now_us + 14 * HOUR_US) })
    }
}

impl Database {
    /// When the first tenant was made, in microseconds since 1970; `None` where there is none.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn oldest_organization(&self) -> Result<Option<i64>, DatabaseFault> {
        self.rows(&oldest_organization()).await?.first().map_or(Ok(None), |row| row.maybe_integer("made_us"))
    }

    /// Counts the days from `from` to `to` anew (`YYYY-MM-DD`, both included), for all tenants, each by the days of its
    /// time zone. May be repeated: a day is replaced, all its figures at once. A tenant whose zone nobody knows goes by UTC.
    /// Days up to `settled` are read instead of what they were counted from, from then on.
    ///
    /// # Errors
    /// [`DatabaseFault`]: also where the days are no range, or too many.
    pub async fn refresh_rollups(&self, from: &str, to: &str, settled: &str) -> Result<(), DatabaseFault> {
        let zones = self.rows(&Ask::new("reading time zones", dialects!("zones"), Vec::new())).await?;
        for row in zones {
            let name = row.text("timezone")?;
            let zone = Zone::parse(&name).or_else(|_unknown| Zone::parse("UTC"));
            let days = zone.and_then(|zone| periods(from, to, Granularity::Day, &zone)).map_err(|fault| {
                DatabaseFault::new(FaultKind::Refused, self.place(), "counting days", fault.to_string(), "")
            })?;
            let asks: Vec<Ask> = asks(&name, &days, settled).into_iter().map(|(_, ask)| ask).collect();
            self.change(&asks).await?;
        }
        Ok(())
    }
}

pub(super) fn oldest_organization() -> Ask {
    Ask::new("looking for data", dialects!("oldest_organization"), Vec::new())
}

/// The statements that count days anew for the tenants of a zone, by the name of their text, in their order. `zone` is what
/// their rows call it.
pub(super) fn asks(zone: &str, days: &[Period], settled: &str) -> Vec<(&'static str, Ask)> {
    let args = || vec![Arg::Text(zone.to_owned()), Arg::Text(spans(days))];
    let ask = |texts| Ask::new("counting days", texts, args());
    let mut counted = args();
    let name = days.first().map_or("UTC", Period::zone_name);
    counted.extend([name, settled].map(|text| Arg::Text(text.to_owned())));
    vec![
        ("rollup_forget_users", ask(dialects!("rollup_forget_users"))),
        ("rollup_users", ask(dialects!("rollup_users"))),
        ("rollup_forget_days", ask(dialects!("rollup_forget_days"))),
        ("rollup_days", Ask::new("counting days", dialects!("rollup_days"), counted)),
    ]
}
