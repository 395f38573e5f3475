//! Money: integer micro-units, currencies, rates and what a call costs. Never a float.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

use std::fmt;
use std::str::FromStr;

mod rate;

pub use rate::{Funded, InvalidRate, Rate, Rounding, RoundingMode};

/// Micro-units (millionths of the major unit) of some currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    pub const ZERO: Self = Self(0);
    /// The most that one amount may be: 2^53 − 1 micro-units, exact also in Lua (design, section 7).
    pub const MAX: Self = Self(9_007_199_254_740_991);
    pub const MICROS_PER_UNIT: i64 = 1_000_000;
    const DECIMALS: usize = 6;

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// Major units with at least the currency's own decimals and no needless zero: `"4987.50"`.
    pub const fn in_currency(self, currency: Currency) -> MajorUnits {
        MajorUnits { amount: self, decimals_min: currency.decimals() }
    }
}

/// An amount printed in major units.
#[derive(Clone, Copy, Debug)]
pub struct MajorUnits {
    amount: Amount,
    decimals_min: usize,
}

impl MajorUnits {
    /// Digits of the largest amount with sign and point.
    pub const LEN_MAX: usize = 24;

    /// Writes the text, which is ASCII, from the back of `text` and returns it; no allocation.
    pub fn write(self, text: &mut [u8; Self::LEN_MAX]) -> &[u8] {
        let micros = self.amount.0.unsigned_abs();
        let unit = Amount::MICROS_PER_UNIT.unsigned_abs();
        let mut start = text.len();
        let mut put = |byte: u8| {
            start = start.saturating_sub(1);
            text[start] = byte;
        };
        let mut fraction = micros.checked_rem(unit).unwrap_or(0);
        let mut written = false;
        for decimals in (1..=Amount::DECIMALS).rev() {
            let digit = digit_of(&mut fraction);
            written |= digit != b'0' || decimals <= self.decimals_min;
            if written {
                put(digit);
            }
        }
        if written {
            put(b'.');
        }
        let mut whole = micros.checked_div(unit).unwrap_or(0);
        loop {
            put(digit_of(&mut whole));
            if whole == 0 {
                break;
            }
        }
        if self.amount.0 < 0 {
            put(b'-');
        }
        &text[start..]
    }
}

/// Takes the last decimal digit off a number.
fn digit_of(number: &mut u64) -> u8 {
    let digit = number.checked_rem(10).unwrap_or(0);
    *number = number.checked_div(10).unwrap_or(0);
    b'0'.saturating_add(u8::try_from(digit).unwrap_or(0))
}

impl fmt::Display for MajorUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::LEN_MAX];
        f.write_str(std::str::from_utf8(self.write(&mut text)).unwrap_or_default())
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    #[error("expected plain digits with at most 6 decimals, such as 5000 or \"49.95\"")]
    Malformed,
    #[error("expected at most 9007199254.740991")]
    TooLarge,
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    /// Reads major units: `5000`, `49.95`. No sign, no exponent, no separators.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > Self::DECIMALS {
            return Err(InvalidAmount::Malformed);
        }
        let whole: i64 = whole.parse().map_err(|_| InvalidAmount::TooLarge)?;
        let fraction: i64 =
            format!("{fraction:0<6}").parse().map_err(|_| InvalidAmount::Malformed)?;
        whole
            .checked_mul(Self::MICROS_PER_UNIT)
            .and_then(|micros| micros.checked_add(fraction))
            .map(Self)
            .filter(|amount| *amount <= Self::MAX)
            .ok_or(InvalidAmount::TooLarge)
    }
}

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    pub const INR: Self = Self(*b"INR");

    /// Active ISO 4217 codes of national currencies (list of 2024-06-25).
    pub const CODES: &'static str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD \
        BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP \
        ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK \
        JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK \
        MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG \
        QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
        TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG";
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    pub const fn to_bytes(self) -> [u8; 3] {
        self.0
    }

    pub fn from_bytes(bytes: [u8; 3]) -> Option<Self> {
        std::str::from_utf8(&bytes).ok()?.parse().ok()
    }

    /// Decimals of the minor unit: 2 for INR, 0 for JPY, 3 for KWD.
    pub const fn decimals(self) -> usize {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

const fn listed(codes: &str, code: [u8; 3]) -> bool {
    let mut rest = codes.as_bytes();
    while let [a, b, c, tail @ ..] = rest {
        if *a == code[0] && *b == code[1] && *c == code[2] {
            return true;
        }
        rest = tail;
        while let [b' ', tail @ ..] = rest {
            rest = tail;
        }
    }
    false
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The text is not a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an ISO 4217 code in capitals, such as INR")]
pub struct InvalidCurrency;

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if listed(Self::CODES, code) { Ok(Self(code)) } else { Err(InvalidCurrency) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().expect("an amount")
    }

    #[test]
    fn amounts_read_and_print_exactly() {
        assert_eq!(amount("5000").micros(), 5_000_000_000);
        assert_eq!(amount("49.95").micros(), 49_950_000);
        assert_eq!(amount("0.000001").micros(), 1);
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1_000", "1.0000001", "1,5", " 1"] {
            assert_eq!(text.parse::<Amount>(), Err(InvalidAmount::Malformed), "{text:?}");
        }
        assert_eq!("9007199254.740992".parse::<Amount>(), Err(InvalidAmount::TooLarge));
        assert_eq!("99999999999999999999".parse::<Amount>(), Err(InvalidAmount::TooLarge));
        let inr = |text: &str| amount(text).in_currency(Currency::INR).to_string();
        assert_eq!(inr("4987.5"), "4987.50");
        assert_eq!(inr("0"), "0.00");
        assert_eq!(inr("0.123456"), "0.123456");
        assert_eq!(amount("2.4").negated().in_currency(Currency::INR).to_string(), "-2.40");
        let yen = "JPY".parse().expect("a currency");
        assert_eq!(amount("7").in_currency(yen).to_string(), "7");
    }

    #[test]
    fn only_iso_currencies_are_accepted() {
        assert!("USD".parse::<Currency>().is_ok());
        for text in ["usd", "XXZ", "", "US", "USDX", "D A"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }
}
