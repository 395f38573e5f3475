//! What finished calls were and cost, read from their records. Test calls are never among them.

use hub::clock::{SECOND_US, now_us};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fields::{Fields, Raw, values};
use crate::timestamp;

pub(crate) mod calls;
pub(crate) mod costs;
pub(crate) mod sums;
pub(crate) mod totals;

/// The longest window of totals: a leap year.
const WINDOW_MAX_US: i64 = 366 * 86_400 * SECOND_US;

/// A window of times, of calls their admission: from, included, to, excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

/// Reads `from` and `to`: dates or times. `to` as a date includes that day.
pub(crate) fn window(query: &mut Fields, from_default_us: i64) -> Window {
    let from_us = query.optional("from", |raw| moment(raw, false)).unwrap_or(from_default_us);
    let to_us = query
        .optional("to", |raw| moment(raw, true))
        .unwrap_or_else(|| now_us().saturating_add(SECOND_US));
    if from_us > to_us {
        query.refuse("from", "expected a time before to");
    }
    Window { from_us, to_us }
}

/// The first microsecond of this month in UTC.
fn month_start_us() -> i64 {
    let now = Timestamp::from_microsecond(now_us())
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC);
    now.first_of_month()
        .and_then(|day| day.start_of_day())
        .map_or(0, |start| start.timestamp().as_microsecond())
}

fn moment(raw: &Raw, end_of_day: bool) -> Result<i64, String> {
    let text = values::text(raw)?;
    let us = timestamp::read(&text)
        .ok_or("expected a date (2025-06-25) or a time (2025-06-25T10:00:00Z)")?;
    let is_date = text.len() == "2025-06-25".len();
    Ok(if end_of_day && is_date { us.saturating_add(86_400 * SECOND_US) } else { us })
}
