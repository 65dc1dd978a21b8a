//! HTTP dates: the three forms of RFC 9110 section 5.6.7, read leniently where the suite of real caches is lenient
//! (letter case) and strictly everywhere else (one space, two digits, `GMT` only).
//!
//! Reads no clock: the obsolete two-digit year is resolved against a time that is given.

use crate::base::calendar::{civil, days_from_civil};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const DAY_S: i64 = 86_400;

/// Seconds since the Unix epoch (negative before 1970) of an HTTP date, `None` when `text` is not one.
///
/// `now_s` resolves the two-digit year of the RFC 850 form: a date more than 50 years ahead is in the past.
#[must_use]
pub fn parse_date(text: &str, now_s: u64) -> Option<i64> {
    let text = text.trim_matches([' ', '\t']);
    match text.split_once(", ") {
        Some((day, rest)) if is_weekday(day, 3) => imf_fixdate(rest),
        Some((day, rest)) if is_weekday(day, 0) => rfc850(rest, now_s),
        Some(_) => None,
        None => asctime(text),
    }
}

/// Writes the preferred form: `Sun, 06 Nov 1994 08:49:37 GMT`. Years above 9999 are written as 9999.
#[must_use]
pub fn format_date(epoch_s: u64) -> String {
    const LAST: u64 = 253_402_300_799;
    let seconds = i64::try_from(epoch_s.min(LAST)).unwrap_or(0);
    let (days, rest) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let weekday = pick(&WEEKDAYS, days.rem_euclid(7)).get(..3).unwrap_or("Thu");
    let name = pick(&MONTHS, month - 1);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn pick(names: &'static [&'static str], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

/// `length` 0: the whole name.
fn is_weekday(text: &str, length: usize) -> bool {
    WEEKDAYS.iter().any(|name| {
        let short = if length == 0 { Some(*name) } else { name.get(..length) };
        short.is_some_and(|name| name.eq_ignore_ascii_case(text))
    })
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(rest: &str) -> Option<i64> {
    let [day, month, year, time, zone] = fields(rest)?;
    gmt(zone)?;
    epoch(number(year, 4)?, month_number(month)?, number(day, 2)?, clock_time(time)?)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(rest: &str, now_s: u64) -> Option<i64> {
    let [date, time, zone] = fields(rest)?;
    gmt(zone)?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (day, month, short, time) =
        (number(day, 2)?, month_number(month)?, number(year, 2)?, clock_time(time)?);
    let (now_year, _, _) = civil(i64::try_from(now_s).unwrap_or(i64::MAX).div_euclid(DAY_S));
    let mut year = now_year - now_year.rem_euclid(100) + short;
    if year > now_year + 50 {
        year -= 100;
    } else if year <= now_year - 50 {
        year += 100;
    }
    epoch(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    if !is_weekday(weekday, 3) {
        return None;
    }
    epoch(number(year, 4)?, month_number(month)?, day, clock_time(time)?)
}

fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut parts = text.split(' ');
    let mut found = [""; N];
    for slot in &mut found {
        *slot = parts.next()?;
    }
    parts.next().is_none().then_some(found)
}

fn gmt(zone: &str) -> Option<()> {
    zone.eq_ignore_ascii_case("GMT").then_some(())
}

fn month_number(text: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    i64::try_from(index).ok().map(|index| index + 1)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Seconds of the day of `08:49:37`; a leap second (`:60`) is taken as the next minute's first.
fn clock_time(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let fits = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    fits.then_some(hour * 3_600 + minute * 60 + second)
}

fn epoch(year: i64, month: i64, day: i64, time_s: i64) -> Option<i64> {
    let days = days_from_civil(year, month, day);
    // A day that the month does not have comes back as another date.
    (civil(days) == (year, month, day)).then_some(days * DAY_S + time_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_S: u64 = 1_790_000_000; // September 2026

    fn read(text: &str) -> Option<i64> {
        parse_date(text, NOW_S)
    }

    #[test]
    fn reads_the_three_forms_of_one_instant() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " SUN, 06 nov 1994 08:49:37 gmt ",
        ] {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn two_digit_years_stay_within_fifty_years() {
        assert_eq!(read("Thursday, 18-Aug-50 02:01:18 GMT"), read("Thu, 18 Aug 2050 02:01:18 GMT"));
        assert_eq!(read("Thursday, 18-Aug-76 02:01:18 GMT"), read("Thu, 18 Aug 2076 02:01:18 GMT"));
        assert_eq!(read("Thursday, 18-Aug-77 02:01:18 GMT"), read("Thu, 18 Aug 1977 02:01:18 GMT"));
    }

    #[test]
    fn refuses_what_real_caches_must_refuse() {
        for text in [
            "0",
            "-1",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, +8 Aug 2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
            "Xyz Aug  8 02:01:18 2050",
            "Thu, 18 Aug 2050 02:01:18 GMT x",
            "é, 18 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(read(text), None, "{text:?} was read");
        }
    }

    #[test]
    fn far_dates_do_not_wrap() {
        assert_eq!(read("Tue, 19 Jan 2038 14:14:08 GMT"), Some(2_147_523_248));
        assert_eq!(read("Sun, 21 Nov 2286 04:46:39 GMT"), Some(10_000_039_599));
        assert_eq!(format_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(read("Thu, 01 Jan 1601 00:00:00 GMT"), Some(-11_644_473_600));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(epoch_s in 0_u64..253_402_300_800) {
            let text = format_date(epoch_s);
            prop_assert_eq!(read(&text), i64::try_from(epoch_s).ok(), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            read(&text);
        }
    }
}
