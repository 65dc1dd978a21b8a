//! Time stamps of access logs: RFC 3339, the common log format's, Unix seconds and their fractions.

use crate::base::calendar::{civil, days_from_civil};

/// Bare numbers below this are seconds (until the year 5138), below its thousandfold milliseconds, else microseconds.
const SECONDS_MAX: u64 = 100_000_000_000;

const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Microseconds since 1970; `None` for what is no time stamp or lies before 1970.
#[must_use]
pub fn parse_us(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    match (text.get(2), text.get(4)) {
        (Some(b'/'), _) => common(text),
        (_, Some(b'-')) => rfc3339(text),
        _ => unix(text),
    }
}

/// `1735689599`, `1735689599.123`, `1735689599123`.
fn unix(text: &[u8]) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at_checked(point)?;
    let whole_units = number(whole)?;
    let unit_us = match whole_units {
        0..SECONDS_MAX => 1_000_000,
        SECONDS_MAX..100_000_000_000_000 => 1_000,
        _ => 1,
    };
    let millionths = match fraction {
        [] => 0,
        [_, digits @ ..] => millionths(digits)?,
    };
    whole_units.checked_mul(unit_us)?.checked_add(millionths.saturating_mul(unit_us) / 1_000_000)
}

/// `2026-07-01T12:00:00.123456+02:00`; a space may stand for the `T`. Without an offset it is UTC.
fn rfc3339(text: &[u8]) -> Option<u64> {
    let is_form = matches!(text.get(7), Some(b'-'))
        && matches!(text.get(10), Some(b'T' | b't' | b' '))
        && matches!((text.get(13), text.get(16)), (Some(b':'), Some(b':')));
    let rest = text.get(19..).filter(|_| is_form)?;
    let digits = rest
        .strip_prefix(b".")
        .map_or(0, |after| after.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let (fraction, offset) = if digits > 0 { rest.split_at_checked(digits + 1)? } else { (&b""[..], rest) };
    let day = days(part(text, 0, 4)?, part(text, 5, 2)?, part(text, 8, 2)?)?;
    let second = clock(part(text, 11, 2)?, part(text, 14, 2)?, part(text, 17, 2)?)?;
    let fraction_us = fraction.strip_prefix(b".").map_or(Some(0), millionths)?;
    moment(day, second, offset_s(offset.trim_ascii_start())?, fraction_us)
}

/// `10/Oct/2000:13:55:36 -0700`
fn common(text: &[u8]) -> Option<u64> {
    let is_form = text.get(6) == Some(&b'/') && text.get(11) == Some(&b':') && text.get(14) == Some(&b':');
    let name = text.get(3..6).filter(|_| is_form)?;
    let month = MONTHS.chunks_exact(3).position(|known| known == name)?;
    let day = days(part(text, 7, 4)?, i64::try_from(month).ok()? + 1, part(text, 0, 2)?)?;
    let second = clock(part(text, 12, 2)?, part(text, 15, 2)?, part(text, 18, 2)?)?;
    moment(day, second, offset_s(text.get(20..)?.trim_ascii_start())?, 0)
}

fn moment(day: i64, second: i64, offset_s: i64, fraction_us: u64) -> Option<u64> {
    let unix_s = u64::try_from(day.checked_mul(86_400)? + second - offset_s).ok()?;
    unix_s.checked_mul(1_000_000)?.checked_add(fraction_us)
}

fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let days = days_from_civil(year, month, day);
    // A 30 February would be some other day.
    ((1..=12).contains(&month) && civil(days) == (year, month, day)).then_some(days)
}

/// Seconds of the day; a leap second is the next one.
fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
}

/// `Z`, `+02:00`, `-0700`, or nothing.
fn offset_s(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes_at = match rest {
        [_, _, b':', _, _] => 3,
        [_, _, _, _] => 2,
        _ => return None,
    };
    let (hours, minutes) = (part(rest, 0, 2)?, part(rest, minutes_at, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn part(text: &[u8], from: usize, length: usize) -> Option<i64> {
    i64::try_from(number(text.get(from..from + length)?)?).ok()
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// Digits after a decimal point as millionths; finer ones are cut.
fn millionths(digits: &[u8]) -> Option<u64> {
    let kept = digits.get(..digits.len().min(6))?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    (0..6).try_fold(0, |sum, at| Some(sum * 10 + u64::from(kept.get(at).map_or(0, |byte| byte - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn us(text: &str) -> Option<u64> {
        parse_us(text.as_bytes())
    }

    #[test]
    fn reads_the_three_kinds() {
        for text in [
            "971211336",
            "971211336.0",
            "971211336000",
            "971211336000.0",
            "971211336000000",
            "10/Oct/2000:13:55:36 -0700",
            "10/Oct/2000:20:55:36 +0000",
            "2000-10-10T20:55:36Z",
            "2000-10-10 20:55:36",
            "2000-10-10t22:55:36+02:00",
            "2000-10-10T20:55:36.000000000 +00:00",
        ] {
            assert_eq!(us(text), Some(971_211_336_000_000), "{text}");
        }
    }

    #[test]
    fn fractions_are_kept_to_the_microsecond() {
        assert_eq!(us("2026-07-01T12:00:00.123456789Z"), Some(1_782_907_200_123_456));
        assert_eq!(us("1782907200.25"), Some(1_782_907_200_250_000));
        assert_eq!(us("1782907200123.5"), Some(1_782_907_200_123_500));
    }

    #[test]
    fn what_is_no_moment_since_1970_is_refused() {
        for text in [
            "",
            "-1",
            "-971211336",
            "1969-12-31T23:59:59Z",
            "-001-01-01T00:00:00Z",
            "31/Dec/1969:23:59:59 +0000",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+2",
            "2026-01-01T00:00:00.Z",
            "10/Okt/2000:13:55:36 -0700",
            "10/Oct/2000:13:55:36 -7000",
            "99999999999999999999",
            "1e9",
            "12:00",
            "nan",
            ".5",
        ] {
            assert_eq!(us(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_second_of_two_centuries_is_read_in_every_spelling(unix_s in 0_u64..6_000_000_000) {
            let rfc = crate::telemetry::rfc3339::format_s(unix_s);
            prop_assert_eq!(us(&rfc), Some(unix_s * 1_000_000));
            prop_assert_eq!(us(&unix_s.to_string()), Some(unix_s * 1_000_000));
        }

        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(parse_us(&text).is_none_or(|us| us < u64::MAX));
        }
    }
}
