//! What calls cost, calculated from how rates and rate decks are described. Must never share code with
//! what it checks.

use std::fmt::Write as _;

use serde_json::{Value, json};
use support::account::micros;

/// A rate as an administrator writes it.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_minute: &'static str,
    pub increments: (u32, u32),
    pub connect_fee: &'static str,
    pub minimum: &'static str,
}

/// A price list: what it rounds to, and its rows.
#[derive(Debug)]
pub struct Deck {
    pub decimals: u32,
    pub rounds_up: bool,
    pub rows: &'static [Row],
}

#[derive(Debug)]
pub struct Row {
    pub direction: &'static str,
    /// Empty: every destination.
    pub prefix: &'static str,
    /// `None`: blocked.
    pub rate: Option<Rate>,
}

/// What an account's calls are priced by.
#[derive(Clone, Copy, Debug)]
pub enum Tariff {
    Flat(Rate),
    Deck(&'static Deck),
}

/// How one call is priced.
#[derive(Clone, Copy, Debug)]
pub struct Priced {
    rate: Rate,
    decimals: u32,
    rounds_up: bool,
}

impl Tariff {
    /// `None`: such a call is refused.
    pub fn of(&self, direction: &str, number: &str) -> Option<Priced> {
        match self {
            Self::Flat(rate) => Some(Priced { rate: *rate, decimals: 6, rounds_up: false }),
            Self::Deck(deck) => {
                let fits =
                    |row: &&Row| row.direction == direction && number.starts_with(row.prefix);
                let row = deck.rows.iter().filter(fits).max_by_key(|row| row.prefix.len())?;
                let (decimals, rounds_up) = (deck.decimals, deck.rounds_up);
                row.rate.map(|rate| Priced { rate, decimals, rounds_up })
            }
        }
    }
}

impl Priced {
    /// Micro-units: the connect fee and whole increments, rounded once on the whole, at least the minimum;
    /// nothing for a call that nobody answered.
    pub fn micros(&self, seconds: u32) -> i64 {
        if seconds == 0 {
            return 0;
        }
        let (initial, increment) = self.rate.increments;
        let mut billed = initial;
        while billed < seconds {
            billed += increment;
        }
        // Sixtieths of a micro-unit, so that nothing is lost before the one rounding.
        let exact = i128::from(micros(self.rate.per_minute)) * i128::from(billed)
            + i128::from(micros(self.rate.connect_fee)) * 60;
        let step = 60 * 10_i128.pow(6 - self.decimals);
        let (whole, beyond) = (exact / step, exact % step);
        let is_up = if self.rounds_up { beyond > 0 } else { 2 * beyond >= step };
        let rounded = (whole + i128::from(is_up)) * step / 60;
        i64::try_from(rounded).expect("a price").max(micros(self.rate.minimum))
    }
}

impl Rate {
    pub fn asked(&self) -> Value {
        let (initial_s, increment_s) = self.increments;
        json!({
            "per_minute": self.per_minute, "initial_s": initial_s, "increment_s": increment_s,
            "connect_fee": self.connect_fee, "minimum": self.minimum,
        })
    }
}

impl Deck {
    pub fn sheet(&self) -> String {
        let mut sheet =
            "direction,prefix,per_minute,initial_s,increment_s,connect_fee,minimum,blocked\n"
                .to_owned();
        for Row { direction, prefix, rate } in self.rows {
            let prefix = if prefix.is_empty() { "*" } else { prefix };
            write!(sheet, "{direction},{prefix},").expect("memory");
            match rate {
                Some(Rate {
                    per_minute,
                    increments: (initial, increment),
                    connect_fee,
                    minimum,
                }) => {
                    writeln!(sheet, "{per_minute},{initial},{increment},{connect_fee},{minimum},")
                }
                None => writeln!(sheet, ",,,,,true"),
            }
            .expect("memory");
        }
        sheet
    }

    /// How its versions are rounded, as a query.
    pub fn rounding(&self) -> String {
        let mode = if self.rounds_up { "up" } else { "half_up" };
        format!("decimals={}&rounding={mode}", self.decimals)
    }
}

#[test]
fn prices_are_what_a_bill_by_hand_says() {
    let rate = |per_minute, increments, connect_fee, minimum| {
        Tariff::Flat(Rate { per_minute, increments, connect_fee, minimum })
    };
    let price = |tariff: Tariff, seconds| tariff.of("outbound", "1").expect("open").micros(seconds);
    assert_eq!(price(rate("1.20", (60, 60), "0", "0"), 263), 6_000_000, "five minutes");
    assert_eq!(price(rate("1.20", (60, 1), "0.15", "0"), 61), 1_370_000);
    assert_eq!(price(rate("1.27", (30, 6), "0", "0.7"), 1), 700_000, "the minimum");
    assert_eq!(price(rate("0.000001", (1, 1), "0", "0"), 30), 1, "half a micro-unit");
    assert_eq!(price(rate("0.000001", (1, 1), "0", "0"), 29), 0);
    let row = |prefix, rate| Row { direction: "outbound", prefix, rate };
    let rows = [
        row(
            "",
            Some(Rate { per_minute: "7", increments: (60, 60), connect_fee: "0", minimum: "0" }),
        ),
        row("44", None),
        row(
            "447",
            Some(Rate { per_minute: "0.1", increments: (1, 1), connect_fee: "0", minimum: "0" }),
        ),
    ];
    let deck = Deck { decimals: 2, rounds_up: true, rows: Vec::leak(rows.into()) };
    let deck = Tariff::Deck(Box::leak(Box::new(deck)));
    assert!(deck.of("outbound", "4412").is_none());
    assert!(deck.of("inbound", "1").is_none());
    assert_eq!(deck.of("outbound", "4471").expect("open").micros(1), 10_000, "a cent begun");
    assert_eq!(deck.of("outbound", "91").expect("open").micros(61), 14_000_000);
}
