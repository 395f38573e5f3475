//! How fast call records are posted: how many of them one transaction takes, and how long posting
//! rests after it to stay within its share of a processor. Reads no clock, asks nobody.

/// Records that one transaction takes, at least and at most. The least is one statement of the
/// largest size per table: fewer would mostly pay for the commit.
const RECORDS_MIN: usize = 256;
pub(super) const RECORDS_MAX: usize = 2_048;
/// Statements of one transaction that took longer kept a processor too long at a stretch.
const LONG_US: i64 = 20_000;
/// Twice the records of a transaction that took less are not long yet.
const SHORT_US: i64 = 8_000;
/// What may be spent at once after a rest, so that the record of a lone call is never late.
const CREDIT_US: i64 = 20_000;
/// What a batch counts for at most: one that took longer waited for the disk.
const SPENT_MAX_US: i64 = 200_000;

/// What one batch took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) records: usize,
    /// Of `spent_us`, what the statements took before the commit, which mostly waits for the disk.
    pub(super) statements_us: i64,
    /// All the time in which a processor may have been busy with it.
    pub(super) spent_us: i64,
}

/// The size of the next batch, and what of the share is used up.
#[derive(Debug)]
pub(super) struct Pace {
    share_percent: i64,
    records: usize,
    /// The share up to this instant is spent.
    covered_us: i64,
}

impl Pace {
    /// `share_percent` is of one processor; none is no limit.
    pub(super) fn new(share_percent: Option<u8>) -> Self {
        let share_percent = i64::from(share_percent.unwrap_or(100).clamp(1, 100));
        Self { share_percent, records: RECORDS_MIN, covered_us: 0 }
    }

    /// Records that the next batch takes at most.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// Learns from a batch how large the next one may be.
    pub(super) fn fit(&mut self, batch: Batch) {
        self.records = fitting(self.records, batch);
    }

    /// How long to rest after a batch that ended at `ended_us` and took `spent_us` of the share.
    pub(super) fn rest_us(&mut self, ended_us: i64, spent_us: i64) -> i64 {
        let span = |spent_us: i64| spent_us * 100 / self.share_percent;
        let unused_us = ended_us - spent_us - span(CREDIT_US);
        self.covered_us = self.covered_us.max(unused_us) + span(spent_us.min(SPENT_MAX_US));
        (self.covered_us - ended_us).max(0)
    }
}

fn fitting(records: usize, batch: Batch) -> usize {
    if batch.statements_us > LONG_US {
        (records / 2).max(RECORDS_MIN)
    } else if batch.statements_us < SHORT_US && batch.records >= records {
        (records * 2).min(RECORDS_MAX)
    } else {
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: usize, statements_us: i64) -> Batch {
        Batch { records, statements_us, spent_us: statements_us }
    }

    /// The parts of a million that batches of `spent_us` take, one after the other with their rests.
    fn share_ppm(pace: &mut Pace, spent_us: i64) -> i64 {
        let (batches, mut now_us) = (1_000, 0);
        for _ in 0..batches {
            now_us += spent_us;
            now_us += pace.rest_us(now_us, spent_us);
        }
        batches * spent_us * 1_000_000 / now_us
    }

    #[test]
    fn batches_under_load_take_their_share_of_a_processor_and_no_more() {
        for percent in [1, 5, 25, 50, 99] {
            for spent_us in [300, 7_000, 40_000, SPENT_MAX_US] {
                let taken = share_ppm(&mut Pace::new(Some(percent)), spent_us);
                let allowed = i64::from(percent) * 10_000;
                assert!(
                    (allowed * 9 / 10..=allowed * 11 / 10).contains(&taken),
                    "{percent} % of {spent_us} µs: {taken}"
                );
            }
        }
    }

    #[test]
    fn without_a_limit_posting_never_rests() {
        assert_eq!(share_ppm(&mut Pace::new(None), 7_000), 1_000_000);
    }

    #[test]
    fn a_batch_after_a_quiet_time_is_not_followed_by_a_rest_and_the_next_one_is() {
        let mut pace = Pace::new(Some(5));
        assert_eq!(pace.rest_us(10_000_000, CREDIT_US), 0);
        assert_eq!(pace.rest_us(10_020_000, 20_000), 360_000);
    }

    #[test]
    fn a_batch_that_waited_for_the_disk_does_not_stop_posting_for_minutes() {
        let mut pace = Pace::new(Some(5));
        assert!(pace.rest_us(100_000_000, 60_000_000) <= SPENT_MAX_US * 20);
    }

    #[test]
    fn batches_grow_while_they_are_short_and_full_and_shrink_when_they_are_long() {
        let mut pace = Pace::new(None);
        let mut sizes = Vec::new();
        for _ in 0..4 {
            pace.fit(batch(pace.records(), SHORT_US - 1));
            sizes.push(pace.records());
        }
        assert_eq!(sizes, [512, 1_024, RECORDS_MAX, RECORDS_MAX]);
        pace.fit(batch(RECORDS_MAX, SHORT_US));
        assert_eq!(pace.records(), RECORDS_MAX);
        for _ in 0..4 {
            pace.fit(batch(pace.records(), LONG_US + 1));
        }
        assert_eq!(pace.records(), RECORDS_MIN);
        pace.fit(batch(1, 100));
        assert_eq!(pace.records(), RECORDS_MIN, "a lone record says nothing of a full batch");
    }
}
