//! A window cut at the hours, days or months of a time zone. Pure. Its zones are built in: the
//! machine's are not looked at.
//!
//! An hour that a clock that is set back shows twice is two intervals, one that it skips is none; the
//! days around it have 25 and 23 hours.

use hub::clock::SECOND_US;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Error, Timestamp, ToSpan as _, Zoned};

use super::Window;
use crate::fields::{Raw, values};
use crate::timestamp;

/// The most intervals of one answer.
pub(crate) const INTERVALS_MAX: usize = 1_000;
const HOUR_S: i64 = 3_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    Hour,
    Day,
    Month,
}

impl Interval {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("hour", Self::Hour), ("day", Self::Day), ("month", Self::Month)];

    /// The first instant after `at` at which another interval begins.
    pub(crate) fn after(self, at: &Zoned) -> Result<Timestamp, Error> {
        let next = match self {
            // By what the clock on the wall shows: zones are off by half hours too, and change by them.
            Self::Hour => {
                let into_s = i64::from(at.minute()) * 60 + i64::from(at.second());
                Timestamp::from_second(
                    at.timestamp().as_microsecond().div_euclid(SECOND_US) + HOUR_S - into_s,
                )?
            }
            Self::Day => at.tomorrow()?.start_of_day()?.timestamp(),
            Self::Month => at.first_of_month()?.checked_add(1.month())?.start_of_day()?.timestamp(),
        };
        Ok(next)
    }
}

/// The instants at which the intervals of a window begin, and its end. `None`: more than
/// [`INTERVALS_MAX`], or too far from now to be counted.
pub(crate) fn cuts(
    window: Window,
    interval: Option<Interval>,
    zone: &TimeZone,
) -> Option<Vec<i64>> {
    let mut cuts = vec![window.from_us];
    let Some(interval) = interval else {
        cuts.push(window.to_us);
        return Some(cuts);
    };
    let mut at_us = window.from_us;
    while at_us < window.to_us {
        if cuts.len() > INTERVALS_MAX {
            return None;
        }
        let at = Timestamp::from_microsecond(at_us).ok()?.to_zoned(zone.clone());
        let next_us = interval.after(&at).ok()?.as_microsecond();
        if next_us <= at_us {
            return None;
        }
        at_us = next_us;
        cuts.push(next_us.min(window.to_us));
    }
    if cuts.len() == 1 {
        cuts.push(window.to_us);
    }
    Some(cuts)
}

/// `Asia/Kolkata`
pub(crate) fn zone(raw: &Raw) -> Result<TimeZone, String> {
    let expected = "expected the name of a time zone (Asia/Kolkata, UTC)";
    TimeZone::get(&values::text(raw)?).map_err(|_| expected.to_owned())
}

/// When a day of a zone begins.
pub(crate) fn start_us(date: Date, zone: &TimeZone) -> Option<i64> {
    Some(date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?.timestamp().as_microsecond())
}

/// The first day of the month in which `now_us` lies.
pub(crate) fn month_start_us(now_us: i64, zone: &TimeZone) -> i64 {
    let now = Timestamp::from_microsecond(now_us).unwrap_or(Timestamp::UNIX_EPOCH);
    start_us(now.to_zoned(zone.clone()).date().first_of_month(), zone).unwrap_or_default()
}

/// With the offset that is in force then: `2025-06-25T00:00:00+05:30`; `…Z` in UTC.
pub(crate) fn text(us: i64, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        return timestamp::text(us);
    }
    let at = Timestamp::from_second(us.div_euclid(SECOND_US));
    at.map_or_else(|_| String::new(), |at| at.display_with_offset(zone.to_offset(at)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(interval: Interval, zone: &str, from: &str, to: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).expect("a zone that is built in");
        let us = |text: &str| text.parse::<Timestamp>().expect("a time").as_microsecond();
        let window = Window { from_us: us(from), to_us: us(to) };
        let cuts = cuts(window, Some(interval), &zone).expect("few");
        cuts.into_iter().map(|cut| text(cut, &zone)).collect()
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_and_one_that_is_skipped_is_none() {
        let twice =
            shown(Interval::Hour, "Europe/Berlin", "2025-10-25T23:30:00Z", "2025-10-26T02:30:00Z");
        assert_eq!(
            twice,
            [
                "2025-10-26T01:30:00+02:00",
                "2025-10-26T02:00:00+02:00",
                "2025-10-26T02:00:00+01:00",
                "2025-10-26T03:00:00+01:00",
                "2025-10-26T03:30:00+01:00",
            ]
        );
        let skipped =
            shown(Interval::Hour, "Europe/Berlin", "2025-03-30T00:00:00Z", "2025-03-30T02:00:00Z");
        assert_eq!(
            skipped,
            ["2025-03-30T01:00:00+01:00", "2025-03-30T03:00:00+02:00", "2025-03-30T04:00:00+02:00"]
        );
        // Half an hour is skipped here: the hours are those of the wall again after it.
        let half = shown(
            Interval::Hour,
            "Australia/Lord_Howe",
            "2025-10-04T14:30:00Z",
            "2025-10-04T17:00:00Z",
        );
        assert_eq!(
            half,
            [
                "2025-10-05T01:00:00+10:30",
                "2025-10-05T02:30:00+11:00",
                "2025-10-05T03:00:00+11:00",
                "2025-10-05T04:00:00+11:00",
            ]
        );
    }

    #[test]
    fn days_and_months_begin_when_they_do_in_the_zone() {
        let days = shown(
            Interval::Day,
            "America/New_York",
            "2025-03-08T05:00:00Z",
            "2025-03-11T04:00:00Z",
        );
        assert_eq!(
            days,
            [
                "2025-03-08T00:00:00-05:00",
                "2025-03-09T00:00:00-05:00",
                "2025-03-10T00:00:00-04:00",
                "2025-03-11T00:00:00-04:00",
            ]
        );
        // A midnight that does not exist: the day begins at one.
        let gap =
            shown(Interval::Day, "Asia/Beirut", "2025-03-29T20:00:00Z", "2025-03-30T22:00:00Z");
        assert_eq!(gap[1], "2025-03-30T01:00:00+03:00");
        let months =
            shown(Interval::Month, "Asia/Kolkata", "2025-01-30T18:30:00Z", "2025-03-01T00:00:00Z");
        assert_eq!(
            months,
            [
                "2025-01-31T00:00:00+05:30",
                "2025-02-01T00:00:00+05:30",
                "2025-03-01T00:00:00+05:30",
                "2025-03-01T05:30:00+05:30",
            ]
        );
    }

    #[test]
    fn intervals_are_bounded() {
        let day_us = 86_400 * SECOND_US;
        let window = Window { from_us: 0, to_us: 41 * day_us };
        assert_eq!(
            cuts(window, Some(Interval::Hour), &TimeZone::UTC).map(|cuts| cuts.len()),
            Some(985)
        );
        let window = Window { from_us: 0, to_us: 42 * day_us };
        assert_eq!(cuts(window, Some(Interval::Hour), &TimeZone::UTC), None);
    }
}
