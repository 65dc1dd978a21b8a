//! Figures by day, counted once: what is asked for over a year is read from a row a day.

use crate::companion::data::database::Database;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::period::{Granularity, Zone, periods, spans};
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
            let args = || vec![Arg::Text(name.clone()), Arg::Text(spans(&days))];
            let asks = [
                dialects!("rollup_forget_users"),
                dialects!("rollup_users"),
                dialects!("rollup_forget_days"),
                dialects!("rollup_days"),
            ];
            let asks: Vec<Ask> = asks.map(|texts| Ask::new("counting days", texts, args())).into();
            self.change(&asks).await?;
        }
        Ok(())
    }
}
