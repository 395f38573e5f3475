//! What a call costs, calculated apart from the product: by the second, as the rate is described. Must
//! never share code with what it checks.

/// A rate per minute with its initial and further increments.
#[derive(Clone, Copy, Debug)]
pub struct Tariff {
    pub per_minute: &'static str,
    pub initial_s: u32,
    pub increment_s: u32,
}

/// A price with a remainder at every increment: rounding is part of what is checked.
pub const TARIFF: Tariff = Tariff { per_minute: "1.27", initial_s: 30, increment_s: 6 };

impl Tariff {
    /// The price of so many answered seconds in micro-units: whole increments, rounded half up once.
    pub fn price_micros(&self, seconds: u32) -> i64 {
        if seconds == 0 {
            return 0;
        }
        let mut billed_s = self.initial_s;
        while billed_s < seconds {
            billed_s += self.increment_s;
        }
        let sixtieths = support::account::micros(self.per_minute) * i64::from(billed_s);
        (2 * sixtieths + 60).div_euclid(120)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_of_whole_increments_and_rounded_once() {
        assert_eq!(TARIFF.price_micros(0), 0);
        assert_eq!(TARIFF.price_micros(1), 635_000);
        assert_eq!(TARIFF.price_micros(30), 635_000);
        assert_eq!(TARIFF.price_micros(31), 762_000);
        let odd = Tariff { per_minute: "0.000001", initial_s: 30, increment_s: 1 };
        assert_eq!((odd.price_micros(29), odd.price_micros(89)), (1, 1), "half up");
        let less = Tariff { per_minute: "0.000001", initial_s: 1, increment_s: 1 };
        assert_eq!((less.price_micros(29), less.price_micros(30)), (0, 1));
    }
}
