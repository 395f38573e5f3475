//! Times as RFC 3339 in UTC with milliseconds, written by hand: several stand in every answer.

/// A second in microseconds.
const SECOND: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

/// Writes times and remembers the last date: those of an answer lie on one day or two.
#[derive(Debug)]
pub(super) struct Times {
    day: u32,
    text: [u8; Self::LEN],
}

impl Default for Times {
    fn default() -> Self {
        Self { day: 0, text: *b"1970-01-01T00:00:00.000Z" }
    }
}

impl Times {
    pub(super) const LEN: usize = 24;

    /// `2026-11-22T16:05:00.123Z`. Times before 1970 or after 9999 are written as the nearest of
    /// these.
    pub(super) fn rfc3339(&mut self, at_us: i64) -> &[u8; Self::LEN] {
        const LAST_S: u64 = 253_402_300_799;
        let at_us = u64::try_from(at_us).unwrap_or(0).min(LAST_S * SECOND);
        let (seconds, micros) = (at_us / SECOND, at_us % SECOND);
        // In range: the last day is number 2,932,896.
        let day = u32::try_from(seconds / DAY_S).unwrap_or(0);
        let second = u32::try_from(seconds % DAY_S).unwrap_or(0);
        let millis = u32::try_from(micros / 1_000).unwrap_or(0);
        if day != self.day {
            self.day = day;
            self.write_date();
        }
        self.two(11, second / 3_600);
        self.two(14, second / 60 % 60);
        self.two(17, second % 60);
        // The point is written after the digit that lies on it.
        self.two(19, millis / 100);
        self.text[19] = b'.';
        self.two(21, millis % 100);
        &self.text
    }

    #[cold]
    fn write_date(&mut self) {
        let (year, month, day) = civil(self.day);
        self.two(0, year / 100);
        self.two(2, year % 100);
        self.two(5, month);
        self.two(8, day);
    }

    /// Writes a number below 100 with two digits.
    fn two(&mut self, at: usize, value: u32) {
        let digits = PAIRS.get(value as usize).unwrap_or(b"99");
        self.text[at..at + 2].copy_from_slice(digits);
    }
}

/// `00` to `99`
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value as usize] = [b'0' + value / 10, b'0' + value % 10];
        value += 1;
    }
    pairs
};

/// The date of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`; years begin
/// in March, so that the leap day is the last.
const fn civil(day: u32) -> (u32, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(at_us: i64) -> String {
        let mut times = Times::default();
        // Another time before it leaves nothing behind.
        times.rfc3339(951_782_399_999_999);
        String::from_utf8(times.rfc3339(at_us).to_vec()).expect("ASCII")
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
