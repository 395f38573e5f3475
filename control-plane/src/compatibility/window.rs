//! The window of a usage report: dates or date-times, as many a client writes them.

use hub::clock::{SECOND_US, now_us};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Raw, values};
use crate::usage::Window;

const DAY_US: i64 = 86_400 * SECOND_US;
/// The longest window, in days.
const DAYS_MAX: i64 = 32;
/// The longest text that is read as a moment.
const CHARACTERS_MAX: usize = 48;

/// A window, and how it is shown.
pub(super) struct Shown {
    pub(super) window: Window,
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Date(Date),
    Time(Timestamp),
}

/// The parameters that [`read`] reads.
pub(super) fn parameters() -> [(&'static str, Schema); 2] {
    [
        ("from", schema::moment_or_empty().about("a date or a time; the first of this month where nothing stands")),
        ("to", schema::moment_or_empty().about("a date, whose day is included, or a time; the end of today; at most 32 days after `from`")),
    ]
}

/// Reads `from`, by default the first of this month, and `to`, by default the end of today, in UTC. A
/// date in `to` includes its day.
pub(super) fn read(query: &mut Fields) -> Shown {
    let now = Timestamp::from_microsecond(now_us()).unwrap_or(Timestamp::UNIX_EPOCH);
    let today = now.to_zoned(TimeZone::UTC).date();
    let from = query.optional("from", moment).flatten();
    let to = query.optional("to", moment).flatten();
    let from = from.unwrap_or(Moment::Date(today.first_of_month()));
    let to = to.unwrap_or(Moment::Date(today));
    let window = Window { from_us: from.start_us(), to_us: to.end_us() };
    let length_us = window.to_us.saturating_sub(window.from_us);
    if length_us < 0 {
        query.refuse("from", "expected a time before to");
    } else if length_us > DAYS_MAX * DAY_US {
        query.refuse("from", format!("expected at most {DAYS_MAX} days before to"));
    }
    Shown { window, from: from.text(), to: to.end_text() }
}

/// `None` where nothing stands.
fn moment(raw: &Raw) -> Result<Option<Moment>, String> {
    let text = values::text(raw)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let found = if text.len() > CHARACTERS_MAX { None } else { parse(text) };
    found.map(Some).ok_or_else(|| {
        "expected a date (2025-06-25) or a time (2025-06-25T10:00:00.000Z)".to_owned()
    })
}

fn parse(text: &str) -> Option<Moment> {
    if text.len() == "2025-06-25".len() {
        return text.parse().ok().map(Moment::Date);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(Moment::Time(time));
    }
    // Without an offset it is UTC.
    if let Ok(time) = text.parse::<DateTime>() {
        return time.to_zoned(TimeZone::UTC).ok().map(|zoned| Moment::Time(zoned.timestamp()));
    }
    // The plus of an offset is a space where a client does not encode it.
    let (time, offset) = text.rsplit_once(' ')?;
    format!("{time}+{offset}").parse().ok().map(Moment::Time)
}

impl Moment {
    fn start_us(self) -> i64 {
        match self {
            Self::Date(date) => date
                .to_zoned(TimeZone::UTC)
                .map_or(i64::MAX, |zoned| zoned.timestamp().as_microsecond()),
            Self::Time(time) => time.as_microsecond(),
        }
    }

    /// Excluded.
    fn end_us(self) -> i64 {
        match self {
            Self::Date(_) => self.start_us().saturating_add(DAY_US),
            Self::Time(_) => self.start_us(),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
        }
    }

    fn end_text(self) -> String {
        match self {
            Self::Date(date) => format!("{date}T23:59:59.999999"),
            Self::Time(time) => time.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<(Window, String, String), String> {
        let mut fields = Fields::of_lenient_query(Some(query));
        let shown = read(&mut fields);
        fields.finish().map_err(|problem| format!("{problem:?}"))?;
        Ok((shown.window, shown.from, shown.to))
    }

    /// The first microsecond of 2025-06-25.
    const START_US: i64 = 1_750_809_600_000_000;

    #[test]
    fn dates_and_times_are_read_as_clients_write_them() {
        let (read, from, to) = window("from=2025-06-25&to=2025-06-27").expect("a window");
        assert_eq!(read, Window { from_us: START_US, to_us: START_US + 3 * DAY_US });
        assert_eq!((from.as_str(), to.as_str()), ("2025-06-25", "2025-06-27T23:59:59.999999"));
        for time in [
            "2025-06-25T01:00:00Z",
            "2025-06-25T01:00:00.000Z",
            "2025-06-25T01:00:00",
            "2025-06-25T01:00:00.000000",
            "2025-06-25%2001:00:00",
            "2025-06-25T06:30:00%2B05:30",
            "2025-06-25T06:30:00+05:30",
        ] {
            let (read, _, to) = window(&format!("from=2025-06-25&to={time}")).expect(time);
            assert_eq!(read.to_us, START_US + 3_600 * SECOND_US, "{time}");
            assert_eq!(to, "2025-06-25T01:00:00Z");
        }
    }

    #[test]
    fn without_moments_it_is_this_month_to_the_end_of_today() {
        let (read, from, to) = window("from=&page_size=x").expect("a window");
        assert!(from.ends_with("-01") && to.ends_with("T23:59:59.999999"));
        assert!(read.to_us > now_us() && read.to_us <= now_us() + DAY_US);
        assert!(read.to_us - read.from_us <= 31 * DAY_US);
    }

    #[test]
    fn a_window_has_at_most_32_days_and_a_direction() {
        assert!(window("from=2025-06-01&to=2025-07-02").is_ok());
        for query in [
            "from=2025-06-01&to=2025-07-03",
            "from=2025-06-02&to=2025-05-31",
            "from=2025-06-01T00:00:00Z&to=2025-07-03T00:00:00.001Z",
            "from=yesterday",
            "to=2025-13-01",
            "from=1999-01-01",
        ] {
            assert!(window(query).is_err(), "{query}");
        }
    }
}
