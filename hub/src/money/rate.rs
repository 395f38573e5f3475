//! Rates: what a call costs by its answered seconds, and how long money lasts.

use super::Amount;

/// To what the price of a whole call is rounded, and which way. Unless it is said otherwise to the
/// nearest micro-unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rounding {
    decimals: u8,
    mode: RoundingMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RoundingMode {
    /// To the nearest, a half up.
    HalfUp = 0,
    /// Up.
    Up = 1,
}

impl RoundingMode {
    pub const ALL: [Self; 2] = [Self::HalfUp, Self::Up];

    pub const fn label(self) -> &'static str {
        match self {
            Self::HalfUp => "half_up",
            Self::Up => "up",
        }
    }
}

impl Rounding {
    pub const DECIMALS_MAX: u8 = 6;
    pub const DEFAULT: Self = Self { decimals: Self::DECIMALS_MAX, mode: RoundingMode::HalfUp };

    /// To so many decimals of the major unit; `None`: more than [`Rounding::DECIMALS_MAX`].
    pub const fn new(decimals: u8, mode: RoundingMode) -> Option<Self> {
        if decimals > Self::DECIMALS_MAX { None } else { Some(Self { decimals, mode }) }
    }

    pub const fn decimals(self) -> u8 {
        self.decimals
    }

    pub const fn mode(self) -> RoundingMode {
        self.mode
    }

    /// Micro-units of one step.
    const fn step(self) -> i64 {
        match self.decimals {
            0 => 1_000_000,
            1 => 100_000,
            2 => 10_000,
            3 => 1_000,
            4 => 100,
            5 => 10,
            _ => 1,
        }
    }

    /// Sixtieths of micro-units, not below zero, as a whole number of steps in micro-units.
    fn of_sixtieths(self, sixtieths: i64) -> Amount {
        let step = self.step().saturating_mul(60);
        let up = match self.mode {
            RoundingMode::HalfUp => step.checked_div(2).unwrap_or(0),
            RoundingMode::Up => step.saturating_sub(1),
        };
        let steps = sixtieths.saturating_add(up).checked_div(step).unwrap_or(0);
        Amount::from_micros(steps.saturating_mul(self.step()))
    }
}

impl Default for Rounding {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A flat rate: what a call costs, by its answered seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    per_minute: Amount,
    initial_s: u32,
    increment_s: u32,
    connect_fee: Amount,
    minimum: Amount,
    rounding: Rounding,
}

/// The longest call at the highest price, before it is divided by sixty, is an `i64`: nothing
/// saturates in [`Rate::charge`].
const _: () = {
    #[expect(clippy::as_conversions, reason = "`From` is not const")]
    let seconds_max = Rate::SECONDS_MAX as i64 + Rate::INCREMENT_MAX_S as i64;
    let fee_and_step = 60 * (Rate::AMOUNT_MAX.micros() + Amount::MICROS_PER_UNIT);
    assert!(Rate::AMOUNT_MAX.micros() < (i64::MAX - fee_and_step) / seconds_max);
};

/// A part of a rate lies outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    #[error("expected 0 to {}", Rate::AMOUNT_MAX.micros() / Amount::MICROS_PER_UNIT)]
    Amount(&'static str),
    #[error("expected 1 to {} seconds", Rate::INCREMENT_MAX_S)]
    Increment(&'static str),
}

impl InvalidRate {
    /// The name of the part that is out of range.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Amount(field) | Self::Increment(field) => field,
        }
    }
}

impl Rate {
    /// The most a minute, a connect fee or a minimum may cost: a million major units.
    pub const AMOUNT_MAX: Amount = Amount::from_micros(1_000_000_000_000);
    pub const INCREMENT_MAX_S: u32 = 3_600;
    /// The longest call that can be charged: thirty days.
    pub const SECONDS_MAX: u32 = 30 * 86_400;

    pub fn new(
        per_minute: Amount,
        initial_s: u32,
        increment_s: u32,
        connect_fee: Amount,
        minimum: Amount,
    ) -> Result<Self, InvalidRate> {
        for (field, amount) in
            [("per_minute", per_minute), ("connect_fee", connect_fee), ("minimum", minimum)]
        {
            if amount < Amount::ZERO || amount > Self::AMOUNT_MAX {
                return Err(InvalidRate::Amount(field));
            }
        }
        for (field, seconds) in [("initial_s", initial_s), ("increment_s", increment_s)] {
            if seconds == 0 || seconds > Self::INCREMENT_MAX_S {
                return Err(InvalidRate::Increment(field));
            }
        }
        let rounding = Rounding::DEFAULT;
        Ok(Self { per_minute, initial_s, increment_s, connect_fee, minimum, rounding })
    }

    /// The same rate with prices rounded so.
    #[must_use]
    pub const fn rounded(self, rounding: Rounding) -> Self {
        Self { rounding, ..self }
    }

    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    pub const fn per_minute(&self) -> Amount {
        self.per_minute
    }

    pub const fn initial_s(&self) -> u32 {
        self.initial_s
    }

    pub const fn increment_s(&self) -> u32 {
        self.increment_s
    }

    pub const fn connect_fee(&self) -> Amount {
        self.connect_fee
    }

    pub const fn minimum(&self) -> Amount {
        self.minimum
    }

    /// `seconds` rounded up to the initial increment and then whole further increments; 0 stays 0.
    pub fn billed_seconds(&self, seconds: u32) -> u32 {
        if seconds == 0 {
            return 0;
        }
        let beyond = seconds.saturating_sub(self.initial_s);
        let steps = beyond.div_ceil(self.increment_s.max(1));
        self.initial_s.saturating_add(steps.saturating_mul(self.increment_s))
    }

    /// What a call of `seconds` answered seconds costs: connect fee and billed seconds, rounded once, on
    /// the whole, then at least the minimum; an unanswered call (0) is free.
    pub fn charge(&self, seconds: u32) -> Amount {
        if seconds == 0 {
            return Amount::ZERO;
        }
        let billed = i64::from(self.billed_seconds(seconds.min(Self::SECONDS_MAX)));
        let talk = self.per_minute.micros().saturating_mul(billed);
        let sixtieths = talk.saturating_add(self.connect_fee.micros().saturating_mul(60));
        self.rounding.of_sixtieths(sixtieths).max(self.minimum)
    }

    /// The longest call of at most `wanted_s` that `money` pays for: all of `wanted_s`, else whole
    /// increments. `None` when not even the initial increment can be paid.
    pub fn affordable(&self, money: Amount, wanted_s: u32) -> Option<Funded> {
        let funded = |seconds| Funded { seconds, hold: self.charge(seconds) };
        let whole = funded(wanted_s);
        if whole.hold <= money {
            return Some(whole);
        }
        if self.charge(self.initial_s) > money {
            return None;
        }
        // The price never falls as a call grows: bisect the number of further increments.
        let length =
            |steps: u32| self.initial_s.saturating_add(steps.saturating_mul(self.increment_s));
        let steps_max = wanted_s.saturating_sub(self.initial_s).div_ceil(self.increment_s.max(1));
        let (mut paid, mut unpaid) = (0, steps_max);
        while unpaid.saturating_sub(paid) > 1 {
            let middle = paid.midpoint(unpaid);
            if self.charge(length(middle)) <= money {
                paid = middle;
            } else {
                unpaid = middle;
            }
        }
        Some(funded(length(paid)))
    }
}

/// Seconds a call may last and the money that must be held for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funded {
    pub seconds: u32,
    pub hold: Amount,
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "the tests compute plainly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().expect("an amount")
    }

    #[test]
    fn a_call_of_four_minutes_twenty_three_is_five_minutes_at_60_60() {
        let rate = Rate::new(amount("1.20"), 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate");
        assert_eq!(rate.charge(263), amount("6"));
        assert_eq!(rate.charge(0), Amount::ZERO);
        assert_eq!(rate.charge(60), amount("1.2"));
        assert_eq!(rate.charge(61), amount("2.4"));
    }

    prop_compose! {
        fn rates()(minute in 0i64..5_000_000, initial in 1u32..90, increment in 1u32..90,
                   fee in 0i64..500_000, minimum in 0i64..500_000, decimals in 0u8..=6,
                   mode in prop::sample::select(&RoundingMode::ALL[..])) -> Rate {
            let [minute, fee, minimum] = [minute, fee, minimum].map(Amount::from_micros);
            let rate = Rate::new(minute, initial, increment, fee, minimum).expect("in range");
            rate.rounded(Rounding::new(decimals, mode).expect("few"))
        }
    }

    /// The definition, second by second.
    fn charge_naively(rate: &Rate, seconds: u32) -> i64 {
        if seconds == 0 {
            return 0;
        }
        let mut billed = rate.initial_s;
        while billed < seconds {
            billed += rate.increment_s;
        }
        let sixtieths =
            rate.per_minute.micros() * i64::from(billed) + 60 * rate.connect_fee.micros();
        let step = 60 * 10_i64.pow(6 - u32::from(rate.rounding.decimals()));
        let beyond = sixtieths % step;
        let is_up = match rate.rounding.mode() {
            RoundingMode::HalfUp => 2 * beyond >= step,
            RoundingMode::Up => beyond > 0,
        };
        let rounded = (sixtieths - beyond) / 60 + i64::from(is_up) * step / 60;
        rounded.max(rate.minimum.micros())
    }

    #[test]
    fn a_price_is_rounded_once_on_the_whole() {
        let rate =
            Rate::new(amount("0.0125"), 1, 1, amount("0.003"), Amount::ZERO).expect("a rate");
        let rounded = |decimals, mode| rate.rounded(Rounding::new(decimals, mode).expect("few"));
        assert_eq!(rate.charge(7), amount("0.004458"));
        assert_eq!(rounded(4, RoundingMode::HalfUp).charge(7), amount("0.0045"));
        assert_eq!(rounded(3, RoundingMode::HalfUp).charge(7), amount("0.004"));
        assert_eq!(rounded(3, RoundingMode::Up).charge(7), amount("0.005"));
        assert_eq!(rounded(0, RoundingMode::Up).charge(7), amount("1"));
        assert_eq!(rounded(0, RoundingMode::Up).charge(0), Amount::ZERO);
        assert_eq!(Rounding::new(7, RoundingMode::Up), None);
    }

    proptest! {
        #[test]
        fn a_charge_follows_the_definition(rate in rates(), seconds in 0u32..4_000) {
            prop_assert_eq!(rate.charge(seconds).micros(), charge_naively(&rate, seconds));
        }

        #[test]
        fn the_affordable_length_is_the_longest_that_the_money_pays(
            rate in rates(), money in 0i64..3_000_000, wanted in 1u32..600,
        ) {
            match rate.affordable(Amount::from_micros(money), wanted) {
                None => prop_assert!(rate.charge(1).0 > money),
                Some(funded) => {
                    prop_assert!(funded.hold.0 <= money);
                    prop_assert_eq!(funded.hold, rate.charge(funded.seconds));
                    prop_assert!(funded.seconds <= wanted.max(rate.initial_s));
                    if funded.seconds < wanted {
                        prop_assert!(rate.charge(funded.seconds + 1).0 > money);
                    }
                }
            }
        }
    }
}
