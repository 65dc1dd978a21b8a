//! Unix seconds as RFC 3339 text in UTC.

/// `2026-07-01T12:00:00Z`. Civil date by Howard Hinnant's `civil_from_days` for years after 1970.
#[must_use]
pub(super) fn format_s(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_known_dates() {
        assert_eq!(format_s(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_s(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(format_s(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(format_s(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
