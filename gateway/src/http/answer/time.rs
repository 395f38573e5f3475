//! Times as RFC 3339 in UTC with milliseconds, written by hand: several stand in every answer.

use hub::clock::SECOND_US;

const DAY_S: i64 = 86_400;

/// `2026-11-22T16:05:00.123Z`. Times before 1970 or after 9999 are written as the nearest of these.
pub(super) fn rfc3339(out: &mut Vec<u8>, at_us: i64) {
    const LAST_S: i64 = 253_402_300_799;
    let at_us = at_us.clamp(0, LAST_S * SECOND_US);
    let (seconds, micros) = (at_us / SECOND_US, at_us % SECOND_US);
    let (year, month, day) = civil(seconds / DAY_S);
    let second_of_day = seconds % DAY_S;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second_of_day / 3_600);
    digits(&mut text[14..16], second_of_day / 60 % 60);
    digits(&mut text[17..19], second_of_day % 60);
    digits(&mut text[20..23], micros / 1_000);
    out.extend_from_slice(&text);
}

/// The date of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`; years begin
/// in March, so that the leap day is the last.
const fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

fn digits(text: &mut [u8], mut value: i64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(at_us: i64) -> String {
        let mut out = Vec::new();
        rfc3339(&mut out, at_us);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn leap_days_and_ends_of_years_are_right() {
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_782_400_999_999), "2000-02-29T00:00:00.999Z");
        assert_eq!(written(1_798_761_599_000_000), "2026-12-31T23:59:59.000Z");
        assert_eq!(written(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(i64::MAX), "9999-12-31T23:59:59.000Z");
    }

    proptest! {
        #[test]
        fn every_time_is_written_as_a_calendar_library_writes_it(at_ms in 0i64..253_402_300_799_000) {
            let timestamp = jiff::Timestamp::from_millisecond(at_ms).expect("in range");
            prop_assert_eq!(written(at_ms * 1_000), format!("{timestamp:.3}"));
        }
    }
}
