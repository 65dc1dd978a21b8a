//! Durations and sizes as people write them: `50ms 10s 5m 1h 1d`, `64KiB 10MiB`.

use std::time::Duration;

const DURATIONS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// What is wrong with a written quantity, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}; write a whole number and a unit, such as {example}")]
pub struct UnitFault {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Reads a duration: a whole number and one of `ms s m h d`. `0` needs no unit.
///
/// # Errors
/// [`UnitFault`] when the text is anything else or does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitFault> {
    let fault = UnitFault { text: text.to_owned(), what: "duration", example: "50ms, 10s, 5m, 1h or 1d" };
    parse(text, DURATIONS).map(Duration::from_millis).ok_or(fault)
}

/// Reads a size in bytes: a whole number and one of `B kB MB GB KiB MiB GiB`. A bare number is bytes.
///
/// # Errors
/// [`UnitFault`] when the text is anything else or does not fit.
pub fn parse_size(text: &str) -> Result<u64, UnitFault> {
    let fault = UnitFault { text: text.to_owned(), what: "size", example: "512B, 64KiB or 10MiB" };
    match text.parse::<u64>() {
        Ok(bytes) => Ok(bytes),
        Err(_not_bare) => parse(text, SIZES).ok_or(fault),
    }
}

/// Writes a duration in the largest unit that divides it: the inverse of [`parse_duration`] to the millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    format_in(super::clock::millis(duration), DURATIONS, "ms")
}

/// Writes a size in the largest binary unit that divides it: the inverse of [`parse_size`].
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let binary: Vec<(&str, u64)> = SIZES.iter().filter(|(unit, _)| unit.ends_with("iB")).copied().collect();
    format_in(bytes, &binary, "B")
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn format_in(value: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let fitting = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    fitting.map_or_else(|| format!("{value}{smallest}"), |(unit, factor)| format!("{}{unit}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_design_shows() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!((ms("50ms"), ms("10s"), ms("5m")), (Ok(50), Ok(10_000), Ok(300_000)));
        assert_eq!((ms("1h"), ms("1d"), ms("0")), (Ok(3_600_000), Ok(86_400_000), Ok(0)));
        assert_eq!(
            (parse_size("64KiB"), parse_size("10MiB"), parse_size("17")),
            (Ok(65_536), Ok(10_485_760), Ok(17))
        );
    }

    #[test]
    fn refuses_the_rest_and_says_what_would_be_right() {
        for text in
            ["", "10", "s", "-1s", "1.5h", "1 s", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_duration(text).is_err(), "{text:?} was accepted");
        }
        let says = parse_duration("1w").expect_err("not a unit").to_string();
        assert_eq!(
            says,
            "`1w` is not a duration; write a whole number and a unit, such as 50ms, 10s, 5m, 1h or 1d"
        );
        assert!(parse_size("10 MiB").is_err() && parse_size("mib").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..10_000_000_000, bytes in 0_u64..1 << 50) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
    }
}
