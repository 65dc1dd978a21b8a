//! Sessions over time. Whole days that are settled come from roll-ups, everything else is counted now; the answer is the same.
//!
//! New users and new content are always counted: what is deleted later leaves all days, which a roll-up would not notice.

use crate::companion::data::database::Database;
use crate::companion::data::fault::{DatabaseFault, FaultKind};
use crate::companion::data::period::{DaySpan, Period};
use crate::companion::data::row::{Arg, Ask, Row, dialects};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Sessions of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Engagement {
    /// The span's first day.
    pub date: String,
    /// Begun in it.
    pub sessions: i64,
    /// Users who began one.
    pub active_users: i64,
    /// How long those took that have ended.
    pub avg_session_seconds: Option<f64>,
}

/// What can be added up, and users, who cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counted {
    sessions: i64,
    users: i64,
    ended: i64,
    seconds: f64,
}

impl Counted {
    fn of(row: &Row) -> Result<Self, DatabaseFault> {
        Ok(Self {
            sessions: row.integer("sessions")?,
            users: row.integer("users")?,
            ended: row.integer("ended")?,
            seconds: row.maybe_real("seconds")?.unwrap_or_default(),
        })
    }

    /// All but users.
    fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.ended += other.ended;
        self.seconds += other.seconds;
    }

    /// Of sums, so that it is the same whichever way they were counted: whole seconds below 2^53 have no order.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 for the next ages")]
    fn average(&self) -> Option<f64> {
        (self.ended > 0).then(|| self.seconds / self.ended as f64)
    }
}

impl Database {
    /// Sessions by span.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn engagement(
        &self,
        tenant: &str,
        periods: &[Period],
    ) -> Result<Vec<Engagement>, DatabaseFault> {
        self.check_tenant(tenant)?;
        let rolled = self.rolled_days(tenant, periods).await?;
        let parts = Parts::of(periods, &rolled);
        let mut counted = vec![Counted::default(); periods.len()];
        for (number, day) in &parts.rolled {
            if let Some(counted) = counted.get_mut(*number) {
                counted.add(*day);
                // Right where the day is the whole span; else counted below.
                counted.users = day.users;
            }
        }
        if !parts.live.is_empty() {
            for row in self.figures(&live(tenant, &parts.live)).await? {
                let number = parts.live.get(place(&row)?).map_or(usize::MAX, |span| span.number);
                if let Some(counted) = counted.get_mut(number) {
                    let begun = Counted::of(&row)?;
                    counted.add(begun);
                    counted.users = begun.users;
                }
            }
        }
        let mixed = parts.mixed();
        if !mixed.is_empty() {
            for row in self.figures(&rolled_users(tenant, &mixed)).await? {
                let number = mixed.get(place(&row)?).map_or(usize::MAX, |mixed| mixed.number);
                if let Some(counted) = counted.get_mut(number) {
                    counted.users = row.integer("users")?;
                }
            }
        }
        let told = |(period, counted): (&Period, Counted)| Engagement {
            date: period.date.clone(),
            sessions: counted.sessions,
            active_users: counted.users,
            avg_session_seconds: counted.average(),
        };
        Ok(periods.iter().zip(counted).map(told).collect())
    }

    /// The settled days of these spans. None of a database that has no roll-ups.
    async fn rolled_days(
        &self,
        tenant: &str,
        periods: &[Period],
    ) -> Result<BTreeMap<String, Counted>, DatabaseFault> {
        let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Ok(BTreeMap::new()) };
        if self.is_mapped() {
            return Ok(BTreeMap::new());
        }
        match self.figures(&rolled_days(tenant, first, last)).await {
            Ok(rows) => rows.iter().map(|row| Ok((row.text("day")?, Counted::of(row)?))).collect(),
            // An application's database that has our names, but not what we would keep beside them.
            Err(fault) if fault.kind == FaultKind::NotMigrated => Ok(BTreeMap::new()),
            Err(fault) => Err(fault),
        }
    }
}

/// A part of a span that is counted now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LiveSpan {
    /// The span's place.
    number: usize,
    begins_us: i64,
    ends_us: i64,
}

/// Spans taken apart into days that were counted and the rest.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    /// Counted days by the place of their span.
    rolled: Vec<(usize, Counted)>,
    /// The rest, as few spans as can be.
    live: Vec<LiveSpan>,
    /// Runs of counted days (place, first, last) of spans whose users have to be put together from several parts.
    days: Vec<(usize, String, String)>,
}

impl Parts {
    fn of(periods: &[Period], rolled: &BTreeMap<String, Counted>) -> Self {
        let mut parts = Self::default();
        for (number, period) in periods.iter().enumerate() {
            if rolled.is_empty() {
                let (begins_us, ends_us) = (period.begins_us, period.ends_us);
                parts.live.push(LiveSpan { number, begins_us, ends_us });
            } else {
                parts.take_apart(number, &period.days(), rolled);
            }
        }
        parts
    }

    fn take_apart(&mut self, number: usize, days: &[DaySpan], rolled: &BTreeMap<String, Counted>) {
        let (is_one, mut was_rolled) = (days.len() == 1, None);
        for day in days {
            let counted = rolled.get(&day.date);
            let goes_on = was_rolled == Some(counted.is_some());
            match (counted, goes_on) {
                (Some(counted), goes_on) => {
                    self.rolled.push((number, *counted));
                    match self.days.last_mut().filter(|_| goes_on) {
                        Some((_, _, last)) => day.date.clone_into(last),
                        // Its users are known already.
                        None if is_one => {}
                        None => self.days.push((number, day.date.clone(), day.date.clone())),
                    }
                }
                (None, goes_on) => match self.live.last_mut().filter(|_| goes_on) {
                    Some(span) => span.ends_us = day.ends_us,
                    None => {
                        let (begins_us, ends_us) = (day.begins_us, day.ends_us);
                        self.live.push(LiveSpan { number, begins_us, ends_us });
                    }
                },
            }
            was_rolled = Some(counted.is_some());
        }
    }
}

/// A span whose users are put together from counted days and live parts.
#[derive(Debug, PartialEq)]
struct Mixed {
    /// The span's place.
    number: usize,
    /// Runs of counted days as `[first, last]`.
    days: Vec<Value>,
    /// The rest as `[begins_us, ends_us]`.
    live: Vec<Value>,
}

impl Parts {
    fn mixed(&self) -> Vec<Mixed> {
        let mut all: Vec<Mixed> = Vec::new();
        for (number, first, last) in &self.days {
            let run = json!([first, last]);
            match all.last_mut().filter(|last| last.number == *number) {
                Some(mixed) => mixed.days.push(run),
                None => all.push(Mixed { number: *number, days: vec![run], live: Vec::new() }),
            }
        }
        for span in &self.live {
            if let Ok(at) = all.binary_search_by_key(&span.number, |mixed| mixed.number)
                && let Some(mixed) = all.get_mut(at)
            {
                mixed.live.push(json!([span.begins_us, span.ends_us]));
            }
        }
        all
    }
}

/// The questions behind the figures of these spans, in this order: all counted now, all but the last from roll-ups, and the
/// users of all together.
pub(super) fn asks(tenant: &str, periods: &[Period]) -> Vec<Ask> {
    let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Vec::new() };
    let days = vec![json!([first.first_day(), last.first_day()])];
    let mixed = Mixed { number: 0, days, live: vec![json!([last.begins_us, last.ends_us])] };
    let all = Parts::of(periods, &BTreeMap::new());
    vec![live(tenant, &all.live), rolled_days(tenant, first, last), rolled_users(tenant, &[mixed])]
}

fn rolled_days(tenant: &str, first: &Period, last: &Period) -> Ask {
    let (from, to) = (first.first_day(), last.last_day());
    let args = [tenant, first.zone_name(), &from, &to].map(|text| Arg::Text(text.to_owned()));
    Ask::new("reading counted days", dialects!("rolled_days"), args.into())
}

fn live(tenant: &str, spans: &[LiveSpan]) -> Ask {
    let spans: Vec<Value> = spans.iter().map(|span| json!([span.begins_us, span.ends_us])).collect();
    let args = vec![Arg::Text(tenant.to_owned()), Arg::Text(Value::from(spans).to_string())];
    Ask::new("counting sessions", dialects!("engagement"), args)
}

fn rolled_users(tenant: &str, mixed: &[Mixed]) -> Ask {
    let spans: Vec<Value> = mixed.iter().map(|mixed| json!([mixed.days, mixed.live])).collect();
    let args = vec![Arg::Text(tenant.to_owned()), Arg::Text(Value::from(spans).to_string())];
    Ask::new("counting users", dialects!("rolled_users"), args)
}

/// The place of a row's span among those that were asked for.
fn place(row: &Row) -> Result<usize, DatabaseFault> {
    Ok(usize::try_from(row.integer("number")?).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion::data::{Granularity, Zone, periods};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_day_is_in_one_part_whichever_days_are_counted(
            counted in proptest::collection::vec(any::<bool>(), 60), which in 0_usize..3, skip in 0_usize..28,
        ) {
            let zone = Zone::parse("Europe/Berlin").expect("a zone");
            let granularity = [Granularity::Day, Granularity::Week, Granularity::Month][which];
            let from = format!("2026-03-{:02}", skip + 1);
            let spans = periods(&from, "2026-04-20", granularity, &zone).expect("a range");
            let days: Vec<(usize, DaySpan)> =
                spans.iter().enumerate().flat_map(|(number, span)| span.days().into_iter().map(move |day| (number, day))).collect();
            let is_counted = |index: usize| counted[index % counted.len()];
            let sum = |sessions| Counted { sessions, ..Counted::default() };
            let rolled: BTreeMap<String, Counted> = days.iter().enumerate()
                .filter(|(index, _)| is_counted(*index)).map(|(_, (_, day))| (day.date.clone(), sum(1))).collect();
            let parts = Parts::of(&spans, &rolled);
            prop_assert_eq!(parts.rolled.iter().map(|(_, day)| day.sessions).sum::<i64>(), i64::try_from(rolled.len()).expect("few"));
            for (number, day) in &days {
                let is_rolled = rolled.contains_key(&day.date);
                let inside = |span: &&LiveSpan| span.begins_us <= day.begins_us && day.ends_us <= span.ends_us;
                let live: Vec<&LiveSpan> = parts.live.iter().filter(inside).collect();
                prop_assert_eq!(live.len(), usize::from(!is_rolled), "{}", day.date);
                prop_assert!(live.iter().all(|span| span.number == *number));
                let runs = parts.days.iter().filter(|(_, first, last)| *first <= day.date && day.date <= *last).count();
                let is_alone = spans[*number].days().len() == 1;
                prop_assert_eq!(runs, usize::from(is_rolled && !is_alone), "{}", day.date);
            }
        }
    }
}
