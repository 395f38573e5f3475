//! Times as the API shows them: RFC 3339 in UTC, whole seconds.

use jiff::Timestamp;

/// `2025-03-15T10:22:00Z`
pub(crate) fn text(us: i64) -> String {
    Timestamp::from_second(us.div_euclid(hub::clock::SECOND_US))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

/// With microseconds: `2025-03-15T10:22:00.000001Z`
pub(crate) fn exact(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// Reads a date (`2025-06-25`, its first microsecond in UTC) or a time with its offset.
pub(crate) fn read(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_microsecond());
    }
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == "2025-06-25".len())?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_seconds_and_read_as_dates_or_times() {
        assert_eq!(text(1_742_034_120_999_999), "2025-03-15T10:22:00Z");
        assert_eq!(exact(1_742_034_120_000_001), "2025-03-15T10:22:00.000001Z");
        assert_eq!(read("2025-03-15T10:22:00Z"), Some(1_742_034_120_000_000));
        assert_eq!(read("2025-03-15T15:52:00.000+05:30"), Some(1_742_034_120_000_000));
        assert_eq!(read("2025-03-15"), Some(1_741_996_800_000_000));
        assert_eq!(read("yesterday"), None);
    }
}
