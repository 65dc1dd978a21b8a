//! Percentiles by nearest rank, and limits rounded to what people write.

use std::fmt;
use std::str::FromStr;

use crate::limit::LIMIT_MAX;

/// A percentile above 0 and up to 100, exact to the thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile {
    thousandths: u32,
}

impl Percentile {
    /// That many per cent, at most 100.
    #[must_use]
    pub const fn of(whole: u32) -> Self {
        Self { thousandths: whole * 1_000 }
    }

    /// That many tenths of a per cent, at most 1000.
    #[must_use]
    pub const fn of_tenths(tenths: u32) -> Self {
        Self { thousandths: tenths * 100 }
    }

    /// The value that at most the rest of the values exceed: of `n` sorted ones the `ceil(p/100 · n)`th. 0 of none.
    #[must_use]
    pub fn pick(self, sorted: &[u32]) -> u32 {
        let count = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
        let rank = count.saturating_mul(u64::from(self.thousandths)).div_ceil(100_000).max(1);
        usize::try_from(rank - 1).ok().and_then(|at| sorted.get(at)).copied().unwrap_or(0)
    }
}

impl FromStr for Percentile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "a percentile is above 0 and up to 100, with at most three decimals, such as 99.9";
        let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        if decimals.len() > 3
            || ![whole, decimals].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(FORM);
        }
        let whole: u32 = whole.parse().map_err(|_fault| FORM)?;
        let decimals: u32 = format!("{decimals:0<3}").parse().map_err(|_fault| FORM)?;
        let thousandths = whole.checked_mul(1_000).and_then(|whole| whole.checked_add(decimals)).unwrap_or(0);
        if (1..=100_000).contains(&thousandths) { Ok(Self { thousandths }) } else { Err(FORM) }
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.thousandths / 1_000, self.thousandths % 1_000);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{decimals:03}").trim_end_matches('0'))
    }
}

/// The next number that has at most two digits other than trailing zeros, at least 1 and at most what a limit may be.
#[must_use]
pub fn rounded_up(value: u32) -> u32 {
    let mut unit = 1_u32;
    while value.div_ceil(unit) >= 100 {
        unit = unit.saturating_mul(10);
    }
    value.div_ceil(unit).saturating_mul(unit).clamp(1, LIMIT_MAX)
}

/// A share in hundredths of a per cent; 0 of nothing.
#[must_use]
pub fn per_cent(part: u64, whole: u64) -> f64 {
    let hundredths = part.saturating_mul(10_000).checked_div(whole).unwrap_or(0);
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_read_as_they_are_written() {
        for text in ["50", "99.9", "99.95", "100", "0.001"] {
            assert_eq!(text.parse::<Percentile>().expect(text).to_string(), text);
        }
        assert_eq!(
            ("99.90".parse(), "95.".parse()),
            (Ok(Percentile::of_tenths(999)), Ok(Percentile::of(95)))
        );
        for text in ["", "0", "100.1", "-1", "1e1", "99.9999", "p99", "4294967295", "."] {
            assert!(text.parse::<Percentile>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_nearest_rank_is_picked() {
        let hundred: Vec<u32> = (1..=100).collect();
        let picks = ["0.001", "50", "95", "99", "99.9", "100"]
            .map(|text| text.parse::<Percentile>().expect(text).pick(&hundred));
        assert_eq!(picks, [1, 50, 95, 99, 100, 100]);
        assert_eq!((Percentile::of(99).pick(&[7]), Percentile::of(99).pick(&[])), (7, 0));
    }

    #[test]
    fn limits_are_rounded_up_to_two_digits() {
        let pairs = [
            (0, 1),
            (1, 1),
            (9, 9),
            (99, 99),
            (100, 100),
            (101, 110),
            (990, 990),
            (991, 1_000),
            (12_345, 13_000),
        ];
        for (value, rounded) in pairs {
            assert_eq!(rounded_up(value), rounded, "{value}");
        }
        assert_eq!((rounded_up(999_999), rounded_up(u32::MAX)), (LIMIT_MAX, LIMIT_MAX));
    }

    proptest! {
        #[test]
        fn at_most_the_rest_exceed_a_percentile_and_no_smaller_value_does(
            mut values in prop::collection::vec(0_u32..50, 1..80), thousandths in 1_u32..=100_000,
        ) {
            values.sort_unstable();
            let picked = Percentile { thousandths }.pick(&values);
            let above = |limit: u32| values.iter().filter(|value| **value > limit).count();
            let allowed = values.len() * (100_000 - thousandths as usize);
            prop_assert!(above(picked) * 100_000 <= allowed);
            prop_assert!(picked == 0 || above(picked - 1) * 100_000 > allowed || values.iter().all(|value| *value >= picked));
        }

        #[test]
        fn rounding_adds_less_than_a_tenth(value in 1_u32..900_000) {
            let rounded = rounded_up(value);
            prop_assert!(rounded >= value && (u64::from(rounded) - u64::from(value)) * 10 < u64::from(value).max(10));
        }
    }
}
