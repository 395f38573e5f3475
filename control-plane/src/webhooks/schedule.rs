//! When a delivery is tried again, and what becomes of it.

use hub::clock::SECOND_US;

/// Words of the column `status`.
pub(super) const PENDING: &str = "pending";
pub(super) const DELIVERED: &str = "delivered";
pub(super) const FAILED: &str = "failed";

/// Pauses after the first attempt, the second and so on, in seconds: a little over three days in all.
/// Those that Standard Webhooks recommends.
const PAUSES_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// A webhook whose every attempt has failed for so long is switched off.
pub(super) const GIVEN_UP_AFTER_US: i64 = 5 * 24 * 3_600 * SECOND_US;
/// Deliveries are kept so long after their end.
pub(super) const KEPT_US: i64 = 30 * 24 * 3_600 * SECOND_US;

/// When a delivery is due again whose `tries` attempts have failed; `None`: never.
pub(super) fn next_us(tries: i64, now_us: i64) -> Option<i64> {
    let index = usize::try_from(tries.saturating_sub(1)).ok()?;
    let pause_s = PAUSES_S.get(index)?;
    // Many that failed together do not come back together.
    let spread = rand::random_range(0..=pause_s * SECOND_US / 10);
    Some(now_us + pause_s * SECOND_US + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_over_three_days_are_made() {
        let pauses: Vec<i64> = (1..).map_while(|tries| next_us(tries, 0)).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.is_sorted());
        assert!(pauses.iter().sum::<i64>() > 3 * 24 * 3_600 * SECOND_US);
        assert_eq!(next_us(0, 0), None);
    }
}
