//! Whole minor units of a currency: the one place where money is rounded for invoices, and taxes. Pure, and
//! never a float.
//!
//! Calls cost micro-units; an invoice names whole minor units (paise, cents; yen). An amount is rounded to
//! the nearest, a half away from zero. A tax is computed on the net of the whole document, exactly, and
//! rounded once.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

use hub::money::{Amount, Currency};

/// Hundredths of a percent in one whole.
const WHOLE_BP: i64 = 10_000;
const DECIMALS: usize = 6;

/// Micro-units of one minor unit: 10,000 for INR, 1,000,000 for JPY.
pub(crate) const fn unit(currency: Currency) -> i64 {
    let mut unit = 1_i64;
    let mut decimals = currency.decimals();
    while decimals < DECIMALS {
        unit = unit.saturating_mul(10);
        decimals = decimals.saturating_add(1);
    }
    unit
}

/// The nearest whole minor unit.
pub(crate) fn rounded(amount: Amount, currency: Currency) -> Amount {
    divided(i128::from(amount.micros()), 1, currency)
}

/// What a tax of so many hundredths of a percent comes to.
pub(crate) fn tax(net: Amount, rate_bp: u32, currency: Currency) -> Amount {
    let product = i128::from(net.micros()).saturating_mul(i128::from(rate_bp));
    divided(product, WHOLE_BP, currency)
}

pub(crate) fn is_whole(amount: Amount, currency: Currency) -> bool {
    rounded(amount, currency) == amount
}

/// `micros / divisor`, as the nearest whole minor unit.
fn divided(micros: i128, divisor: i64, currency: Currency) -> Amount {
    let step = i128::from(divisor).saturating_mul(i128::from(unit(currency)));
    let half = step.checked_div(2).unwrap_or_default();
    let size = i128::try_from(micros.unsigned_abs()).unwrap_or(i128::MAX);
    let units = size.saturating_add(half).checked_div(step).unwrap_or_default();
    let whole = units.saturating_mul(i128::from(unit(currency))).saturating_mul(micros.signum());
    let bounded = i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX });
    Amount::from_micros(bounded)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    fn currencies() -> impl Strategy<Value = Currency> {
        prop::sample::select(vec!["INR", "EUR", "JPY", "KWD"]).prop_map(currency)
    }

    #[test]
    fn halves_go_away_from_zero_and_units_are_those_of_the_currency() {
        for (code, micros, whole) in [
            ("INR", 1_004_999, 1_000_000),
            ("INR", 1_005_000, 1_010_000),
            ("INR", -1_005_000, -1_010_000),
            ("INR", -1_004_999, -1_000_000),
            ("JPY", 499_999, 0),
            ("JPY", 500_000, 1_000_000),
            ("KWD", 1_000_500, 1_001_000),
        ] {
            let got = rounded(Amount::from_micros(micros), currency(code));
            assert_eq!(got.micros(), whole, "{code} {micros}");
        }
        // 9 % of 0.50 is 0.045: half a paisa more than 0.04.
        assert_eq!(tax(Amount::from_micros(500_000), 900, Currency::INR).micros(), 50_000);
        assert_eq!(tax(Amount::MAX, 10_000, Currency::INR), rounded(Amount::MAX, Currency::INR));
    }

    proptest! {
        #[test]
        fn what_is_rounded_is_whole_and_at_most_half_a_unit_away(
            micros in -9_007_199_254_740_991_i64..=9_007_199_254_740_991, currency in currencies(),
        ) {
            let got = rounded(Amount::from_micros(micros), currency);
            prop_assert_eq!(got.micros() % unit(currency), 0);
            prop_assert!((got.micros() - micros).abs() * 2 <= unit(currency));
            prop_assert!(is_whole(got, currency));
            prop_assert_eq!(rounded(Amount::from_micros(-micros), currency), got.negated());
        }

        /// By decimals, as on paper: net times rate over ten thousand, compared with the rounded tax.
        #[test]
        fn a_tax_is_its_exact_share_to_half_a_unit(
            units in 0_i64..=900_000_000, rate_bp in 0_u32..=10_000, currency in currencies(),
        ) {
            let net = Amount::from_micros(units * unit(currency));
            let got = i128::from(tax(net, rate_bp, currency).micros());
            let exact_times_10_000 = i128::from(net.micros()) * i128::from(rate_bp);
            let off = (got * 10_000 - exact_times_10_000) * 2;
            let step = i128::from(unit(currency)) * 10_000;
            prop_assert!(-step < off && off <= step, "{got} {off}");
            prop_assert_eq!(got % i128::from(unit(currency)), 0);
        }

        #[test]
        fn a_tax_grows_with_what_it_is_on(
            a in 0_i64..=1_000_000_000, b in 0_i64..=1_000_000_000, rate_bp in 0_u32..=10_000,
        ) {
            let of = |units: i64| tax(Amount::from_micros(units * 10_000), rate_bp, Currency::INR);
            prop_assert!(of(a.min(b)) <= of(a.max(b)));
        }
    }
}
