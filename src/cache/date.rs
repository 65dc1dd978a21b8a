//! HTTP dates (RFC 9110 section 5.6.7): all three forms, names in any case, GMT only.
//!
//! Lenient where the cache suite of the HTTP working group wants leniency, strict where a wrong reading would make a
//! stale response fresh. Anything else is no date, which means: expired.

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Seconds since the epoch of an HTTP date; `None` for what is none.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    imf(&lower).or_else(|| rfc850(&lower)).or_else(|| asctime(&lower))
}

/// `sun, 06 nov 1994 08:49:37 gmt`
fn imf(text: &str) -> Option<u64> {
    let (weekday, rest) = text.split_once(", ")?;
    is_weekday(weekday, 3)?;
    let [day, month, year, time, zone] = fields(rest, ' ')?;
    (zone == "gmt").then_some(())?;
    seconds(digits(year, 4)?, month_of(month)?, digits(day, 2)?, time)
}

/// `sunday, 06-nov-94 08:49:37 gmt`
fn rfc850(text: &str) -> Option<u64> {
    let (weekday, rest) = text.split_once(", ")?;
    is_weekday(weekday, 6)?;
    let [date, time, zone] = fields(rest, ' ')?;
    (zone == "gmt").then_some(())?;
    let [day, month, year] = fields(date, '-')?;
    let year = digits(year, 2)?;
    // A year that seems more than 50 years ahead is of the century before.
    let year = if year >= 76 { 1_900 + year } else { 2_000 + year };
    seconds(year, month_of(month)?, digits(day, 2)?, time)
}

/// `sun nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<u64> {
    let (weekday, rest) = text.split_once(' ')?;
    is_weekday(weekday, 3)?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let [empty, time, year] = fields(rest, ' ')?;
    empty.is_empty().then_some(())?;
    let day = day.strip_prefix(' ').map_or_else(|| digits(day, 2), |day| digits(day, 1))?;
    seconds(digits(year, 4)?, month_of(month)?, day, time)
}

fn fields<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<&str>>().try_into().ok()
}

fn is_weekday(name: &str, at_least: usize) -> Option<()> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.iter().any(|day| day.starts_with(name) && name.len() >= at_least.min(3)).then_some(())?;
    (if at_least == 3 { name.len() == 3 } else { name.len() >= 6 }).then_some(())
}

fn month_of(name: &str) -> Option<u64> {
    let index = MONTHS.iter().position(|month| *month == name)?;
    u64::try_from(index).ok().map(|index| index + 1)
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn seconds(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let [hour, minute, second] = fields(time, ':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let is_valid = hour < 24 && minute < 60 && second <= 60 && (1..=31).contains(&day) && year >= 1970;
    is_valid.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the Gregorian calendar (years from March, after Hinnant).
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    (year * 365 + year / 4 - year / 100 + year / 400 + of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_mean_the_same_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    }

    #[test]
    fn everything_else_is_no_date() {
        for text in [
            "0",
            "",
            "-1",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun,06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994  08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
