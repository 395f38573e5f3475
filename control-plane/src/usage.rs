//! What finished calls were and cost, read from their records, and what was refused, as gateways report it. Test calls are never among them.

use hub::clock::{SECOND_US, now_us};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Raw, values};
use crate::timestamp;

pub(crate) mod calls;
pub(crate) mod costs;
pub(crate) mod csv;
mod demand;
mod denials;
pub(crate) mod interval;
pub(crate) mod refused_demand;
mod series;
pub(crate) mod sums;
mod tally;
pub(crate) mod totals;

/// The longest window of totals: a leap year.
const WINDOW_MAX_US: i64 = 366 * 86_400 * SECOND_US;

/// A window of times, of calls their admission: from, included, to, excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

/// The parameters that [`window`] reads.
pub(crate) fn parameters() -> [(&'static str, Schema); 2] {
    [
        ("from", schema::moment().about("a date or a time, included")),
        ("to", schema::moment().about("a date, whose day is included, or a time, excluded")),
    ]
}

/// Reads `from` and `to`: dates, in UTC, or times. `to` as a date includes that day.
pub(crate) fn window(query: &mut Fields, from_default_us: i64) -> Window {
    window_in(query, &TimeZone::UTC, from_default_us)
}

/// The same with dates of a time zone.
fn window_in(query: &mut Fields, zone: &TimeZone, from_default_us: i64) -> Window {
    let from_us = query.optional("from", |raw| moment(raw, zone, false)).unwrap_or(from_default_us);
    let to_us = query
        .optional("to", |raw| moment(raw, zone, true))
        .unwrap_or_else(|| now_us().saturating_add(SECOND_US));
    if from_us > to_us {
        query.refuse("from", "expected a time before to");
    }
    Window { from_us, to_us }
}

pub(crate) fn moment(raw: &Raw, zone: &TimeZone, end_of_day: bool) -> Result<i64, String> {
    let text = values::text(raw)?;
    let date: Option<Date> = text.parse().ok().filter(|_| text.len() == "2025-06-25".len());
    let us = match date {
        Some(date) if end_of_day => {
            date.tomorrow().ok().and_then(|date| interval::start_us(date, zone))
        }
        Some(date) => interval::start_us(date, zone),
        None => timestamp::read(&text),
    };
    us.ok_or_else(|| "expected a date (2025-06-25) or a time (2025-06-25T10:00:00Z)".to_owned())
}
