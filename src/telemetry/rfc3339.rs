//! Unix seconds as RFC 3339 text in UTC.

use crate::base::calendar::civil;

/// `2026-07-01T12:00:00Z`.
#[must_use]
pub fn format_s(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(i64::MAX));
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
