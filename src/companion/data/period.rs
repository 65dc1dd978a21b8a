//! Days, weeks and months of a time zone as spans of time: databases are asked for spans, and need know no zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

/// Days that may be asked for at once: two years.
pub const DAYS_MAX: i32 = 731;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// How long the spans are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Days.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// Months of the calendar.
    Month,
}

/// A span of time with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its first day as `YYYY-MM-DD`; that of the whole week or month where only a part of it is asked for.
    pub date: String,
    /// Its begin in microseconds since 1970.
    pub begins_us: i64,
    /// Its end, which is no longer part of it.
    pub ends_us: i64,
    /// The first day that is part of it.
    first: Date,
    zone: Zone,
}

/// A day of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaySpan {
    /// As `YYYY-MM-DD`.
    pub date: String,
    pub begins_us: i64,
    pub ends_us: i64,
}

impl Period {
    /// Spans that follow each other as one, which is called as the first; `None` of none.
    #[must_use]
    pub fn together(spans: &[Self]) -> Option<Self> {
        let (first, last) = (spans.first()?, spans.last()?);
        Some(Self { ends_us: last.ends_us, ..first.clone() })
    }

    /// Its days. None where there is no such day, as when a zone skips one.
    pub(super) fn days(&self) -> Vec<DaySpan> {
        let mut days = Vec::new();
        let (mut day, mut begins_us) = (self.first, self.begins_us);
        while begins_us < self.ends_us {
            let Ok(next) = day.tomorrow() else { break };
            // What is left ends with the span.
            let ends_us = self.zone.begins(next).unwrap_or(self.ends_us);
            days.push(DaySpan { date: day.to_string(), begins_us, ends_us });
            (day, begins_us) = (next, ends_us);
        }
        days
    }

    /// The first day that is part of it.
    pub(super) fn first_day(&self) -> String {
        self.first.to_string()
    }

    /// The last day that is part of it.
    pub(super) fn last_day(&self) -> String {
        self.days().pop().map_or_else(|| self.first.to_string(), |day| day.date)
    }

    /// By whose days it is.
    pub(super) fn zone_name(&self) -> &str {
        self.zone.name()
    }
}

/// Why there are no such spans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodFault {
    /// There is no such time zone.
    #[error("`{0}` is no time zone; write a name such as Europe/Berlin or UTC")]
    Zone(String),
    /// This is no day.
    #[error("`{0}` is no day; write YYYY-MM-DD")]
    Day(String),
    /// The last day comes before the first.
    #[error("the range ends before it begins")]
    Backwards,
    /// It is too long.
    #[error("the range has more than {DAYS_MAX} days")]
    TooLong,
}

impl Zone {
    /// A zone by its name in the IANA database.
    ///
    /// # Errors
    /// [`PeriodFault::Zone`] for any other name.
    pub fn parse(name: &str) -> Result<Self, PeriodFault> {
        TimeZone::get(name).map(Self).map_err(|_unknown| PeriodFault::Zone(name.to_owned()))
    }

    /// Its name as the database of zones writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// When the day began in which `now_us` lies.
    #[must_use]
    pub fn day_begins(&self, now_us: i64) -> i64 {
        let now = Timestamp::from_microsecond(now_us).unwrap_or(Timestamp::UNIX_EPOCH);
        self.begins(now.to_zoned(self.0.clone()).date()).unwrap_or(now_us)
    }

    /// The day in which `now_us` lies, as `YYYY-MM-DD`.
    #[must_use]
    pub fn day(&self, now_us: i64) -> String {
        let now = Timestamp::from_microsecond(now_us).unwrap_or(Timestamp::UNIX_EPOCH);
        now.to_zoned(self.0.clone()).date().to_string()
    }

    /// The first moment of a day; where clocks skip midnight it is later.
    fn begins(&self, day: Date) -> Result<i64, PeriodFault> {
        let begins = day.to_zoned(self.0.clone()).and_then(|midnight| midnight.start_of_day());
        begins
            .map(|begins| begins.timestamp().as_microsecond())
            .map_err(|_far| PeriodFault::Day(day.to_string()))
    }
}

/// Is it a day, `YYYY-MM-DD`?
#[must_use]
pub fn is_day(text: &str) -> bool {
    day(text).is_ok()
}

/// The day so many days before another.
///
/// # Errors
/// [`PeriodFault::Day`] for what is no day, or has none so far before it.
pub fn days_before(text: &str, days: i32) -> Result<String, PeriodFault> {
    let before = day(text)?.checked_sub(i64::from(days).days());
    before.map(|day| day.to_string()).map_err(|_far| PeriodFault::Day(text.to_owned()))
}

/// The first and the last day of the range before one, which has as many days.
///
/// # Errors
/// [`PeriodFault`].
pub fn range_before(from: &str, to: &str) -> Result<(String, String), PeriodFault> {
    let length = (day(to)? - day(from)?).get_days();
    Ok((days_before(from, length + 1)?, days_before(from, 1)?))
}

/// A moment as RFC 3339 text in UTC, as finely as it is known.
#[must_use]
pub fn format_us(moment_us: i64) -> String {
    Timestamp::from_microsecond(moment_us).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// The microseconds since 1970 of an RFC 3339 text (section 5.6), cut to whole ones; `None` for any other text.
#[must_use]
pub fn parse_us(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let is_strict = |(index, byte): (usize, u8)| match index {
        0 => byte.eq_ignore_ascii_case(&b'T'),
        3 | 6 => byte == b':',
        1 | 2 | 4 | 5 | 7 | 8 => byte.is_ascii_digit(),
        _ => byte.is_ascii_digit() || b".+-:Zz".contains(&byte),
    };
    let is_rfc3339 = time.len() >= 10 && time.bytes().enumerate().all(is_strict);
    // The reader takes more than that: offsets with seconds, or without a colon.
    let offset = time.get(9..)?.trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let is_offset = offset.eq_ignore_ascii_case("z") || (offset.len() == 6 && offset.get(3..4) == Some(":"));
    let moment: Timestamp = (is_rfc3339 && is_offset && is_day(date)).then(|| text.parse().ok())??;
    Some(moment.as_microsecond())
}

/// The spans from the day `from` to the day `to`, both included. The first and the last may be parts of a week or month.
///
/// # Errors
/// [`PeriodFault`] for what is no day, a range that ends before it begins, or one of more than [`DAYS_MAX`] days.
pub fn periods(
    from: &str,
    to: &str,
    granularity: Granularity,
    zone: &Zone,
) -> Result<Vec<Period>, PeriodFault> {
    let (first, last) = (day(from)?, day(to)?);
    if last < first {
        return Err(PeriodFault::Backwards);
    }
    if (last - first).get_days() >= DAYS_MAX {
        return Err(PeriodFault::TooLong);
    }
    let too_far = |_: jiff::Error| PeriodFault::Day(to.to_owned());
    let end = last.tomorrow().map_err(too_far)?;
    let mut periods = Vec::new();
    let mut begin = first;
    while begin < end {
        let (named, next) = whole(begin, granularity).map_err(too_far)?;
        let next = next.min(end);
        periods.push(Period {
            date: named.to_string(),
            begins_us: zone.begins(begin)?,
            ends_us: zone.begins(next)?,
            first: begin,
            zone: zone.clone(),
        });
        begin = next;
    }
    Ok(periods)
}

/// The day that is so many days later (`YYYY-MM-DD`), or earlier.
///
/// # Errors
/// [`PeriodFault::Day`] where there is none.
pub fn shifted(from: &str, days: i32) -> Result<String, PeriodFault> {
    let far = |_: jiff::Error| PeriodFault::Day(from.to_owned());
    Ok(day(from)?.checked_add(days.days()).map_err(far)?.to_string())
}

fn day(text: &str) -> Result<Date, PeriodFault> {
    let is_day = text.len() == 10;
    let day = text.parse::<Date>().ok().filter(|_| is_day);
    day.ok_or_else(|| PeriodFault::Day(text.to_owned()))
}

/// The first day of the span that a day is part of, and the first day after it.
fn whole(day: Date, granularity: Granularity) -> Result<(Date, Date), jiff::Error> {
    match granularity {
        Granularity::Day => Ok((day, day.tomorrow()?)),
        Granularity::Week => {
            let since = day.weekday().since(Weekday::Monday);
            let monday = day.checked_sub(i64::from(since).days())?;
            Ok((monday, monday.checked_add(7.days())?))
        }
        Granularity::Month => {
            let first = day.first_of_month();
            Ok((first, first.checked_add(1.month())?))
        }
    }
}

/// Spans as both dialects read them: `[[begin, end, date], …]`.
pub(super) fn spans(periods: &[Period]) -> String {
    let span = |period: &Period| {
        Value::from(vec![
            Value::from(period.begins_us),
            Value::from(period.ends_us),
            Value::from(period.date.clone()),
        ])
    };
    periods.iter().map(span).collect::<Value>().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).expect("a zone")
    }

    fn dates(from: &str, to: &str, granularity: Granularity) -> Vec<String> {
        let periods = periods(from, to, granularity, &zone("UTC")).expect("sound");
        periods.into_iter().map(|period| period.date).collect()
    }

    #[test]
    fn days_are_as_long_as_the_zone_has_them() {
        let hours = |name: &str, from: &str, to: &str| -> Vec<i64> {
            let days = periods(from, to, Granularity::Day, &zone(name)).expect("sound");
            days.iter().map(|day| (day.ends_us - day.begins_us) / HOUR_US).collect()
        };
        assert_eq!(hours("Europe/Berlin", "2026-03-28", "2026-03-30"), [24, 23, 24]);
        assert_eq!(hours("Europe/Berlin", "2026-10-24", "2026-10-26"), [24, 25, 24]);
        // Here midnight itself is skipped: the day begins at one.
        assert_eq!(hours("Africa/Cairo", "2024-04-25", "2024-04-27"), [24, 23, 24]);
        assert_eq!(hours("UTC", "2026-03-29", "2026-03-29"), [24]);
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_their_first_even_in_part() {
        assert_eq!(
            dates("2026-01-01", "2026-01-12", Granularity::Week),
            ["2025-12-29", "2026-01-05", "2026-01-12"]
        );
        assert_eq!(
            dates("2026-01-31", "2026-03-01", Granularity::Month),
            ["2026-01-01", "2026-02-01", "2026-03-01"]
        );
        assert_eq!(
            dates("2024-02-28", "2024-03-01", Granularity::Day),
            ["2024-02-28", "2024-02-29", "2024-03-01"]
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let fault = |from, to| periods(from, to, Granularity::Day, &zone("UTC")).expect_err("no range");
        assert_eq!(fault("2026-02-30", "2026-03-01"), PeriodFault::Day("2026-02-30".to_owned()));
        assert_eq!(fault("2026-3-1", "2026-03-01"), PeriodFault::Day("2026-3-1".to_owned()));
        assert_eq!(fault("2026-03-02", "2026-03-01"), PeriodFault::Backwards);
        assert_eq!(fault("2024-01-01", "2026-01-01"), PeriodFault::TooLong);
        assert_eq!(dates("2024-01-01", "2025-12-31", Granularity::Day).len(), 731);
        assert!(Zone::parse("Mars/Base").is_err() && Zone::parse("").is_err());
    }

    #[test]
    fn a_moment_is_read_as_rfc_3339_has_it_and_in_no_other_way() {
        for (text, seconds) in [
            ("1970-01-01T00:00:01Z", 1),
            ("1970-01-01t02:00:01.000000999+02:00", 1),
            ("1969-12-31T23:59:59.5z", -1),
        ] {
            let moment = parse_us(text).expect("a moment");
            assert_eq!(moment.div_euclid(1_000_000), seconds, "{text}");
            assert_eq!(parse_us(&format_us(moment)), Some(moment));
        }
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00Z",
            "1970-01-01 00:00:01Z",
            "1970-01-01T00:00:01",
            "1970-01-01T00:00:01+0200",
            "1970-01-01T00:00:01+02:00:00",
            "1970-01-01T00:00:01Z[UTC]",
            "1970-02-30T00:00:01Z",
            "1970-01-01T25:00:01Z",
            "1970-01-01T00:00:01.Z",
            "-001970-01-01T00:00:01Z",
            "1970-01-01T00:00:0\u{661}Z",
        ] {
            assert_eq!(parse_us(text), None, "{text}");
        }
    }

    #[test]
    fn the_range_before_has_as_many_days() {
        let before = |from, to| range_before(from, to).expect("a range");
        assert_eq!(before("2026-03-01", "2026-03-31"), ("2026-01-29".to_owned(), "2026-02-28".to_owned()));
        assert_eq!(before("2026-03-01", "2026-03-01"), ("2026-02-28".to_owned(), "2026-02-28".to_owned()));
        assert!(days_before("-009999-01-01", 1).is_err() && range_before("2026-03-01", "soon").is_err());
    }

    proptest! {
        #[test]
        fn spans_follow_each_other_without_a_gap(
            start in 10_000_i32..25_000, days in 0_i32..DAYS_MAX, which in 0_usize..3, place in 0_usize..4,
        ) {
            let granularity = [Granularity::Day, Granularity::Week, Granularity::Month][which];
            let zone = zone(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"][place]);
            let first = Date::new(1970, 1, 1).expect("a day") + i64::from(start).days();
            let last = first + i64::from(days).days();
            let periods = periods(&first.to_string(), &last.to_string(), granularity, &zone).expect("sound");
            prop_assert_eq!(periods[0].begins_us, zone.begins(first).expect("near"));
            let after = zone.begins(last.tomorrow().expect("near")).expect("near");
            prop_assert_eq!(periods.last().expect("one").ends_us, after);
            prop_assert!(periods.windows(2).all(|two| two[0].ends_us == two[1].begins_us));
            // A zone may skip a whole day (Apia did in 2011): that day is there, and empty.
            prop_assert!(periods.iter().all(|period| period.begins_us <= period.ends_us));
        }
    }
}
