//! Names of time zones.

/// Is there a time zone of this name in the IANA database? A build without the companion, which has no use for one, has
/// no such database and believes every name.
#[must_use]
pub fn is_zone_name(name: &str) -> bool {
    #[cfg(feature = "companion")]
    return jiff::tz::TimeZone::get(name).is_ok();
    #[cfg(not(feature = "companion"))]
    return !name.is_empty();
}

#[cfg(all(test, feature = "companion"))]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_the_database_in_any_case() {
        assert!(
            ["UTC", "Europe/Berlin", "europe/berlin", "America/Argentina/Ushuaia"]
                .into_iter()
                .all(is_zone_name)
        );
        assert!(!["", "Mars/Base", "CEST+2", "../etc/passwd"].into_iter().any(is_zone_name));
    }
}
