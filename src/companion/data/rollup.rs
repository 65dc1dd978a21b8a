//! Figures by day, counted once: what is asked for over a year is read from a row a day.

use crate::companion::data::database::Database;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::period::{Granularity, Period, Zone, periods, spans};
use crate::companion::data::row::{Arg, Ask, dialects};

impl Database {
    /// Counts the days from `from` to `to` anew (`YYYY-MM-DD`, both included), for all tenants, each by the days of its
    /// time zone. May be repeated: a day is replaced, all its figures at once. A tenant whose zone nobody knows goes by UTC.
    ///
    /// # Errors
    /// [`DatabaseFault`]: also where the days are no range, or too many.
    pub async fn refresh_rollups(&self, from: &str, to: &str) -> Result<(), DatabaseFault> {
        let zones = self.rows(&Ask::new("reading time zones", dialects!("zones"), Vec::new())).await?;
        for row in zones {
            let name = row.text("timezone")?;
            let zone = Zone::parse(&name).or_else(|_unknown| Zone::parse("UTC"));
            let days = zone.and_then(|zone| periods(from, to, Granularity::Day, &zone)).map_err(|fault| {
                DatabaseFault::new(FaultKind::Refused, self.place(), "counting days", fault.to_string(), "")
            })?;
            let asks: Vec<Ask> = asks(&name, &days).into_iter().map(|(_, ask)| ask).collect();
            self.change(&asks).await?;
        }
        Ok(())
    }
}

/// The statements that count days anew for the tenants of a zone, by the name of their text, in their order.
pub(super) fn asks(zone: &str, days: &[Period]) -> Vec<(&'static str, Ask)> {
    let args = || vec![Arg::Text(zone.to_owned()), Arg::Text(spans(days))];
    let ask = |texts| Ask::new("counting days", texts, args());
    vec![
        ("rollup_forget_users", ask(dialects!("rollup_forget_users"))),
        ("rollup_users", ask(dialects!("rollup_users"))),
        ("rollup_forget_days", ask(dialects!("rollup_forget_days"))),
        ("rollup_days", ask(dialects!("rollup_days"))),
    ]
}
