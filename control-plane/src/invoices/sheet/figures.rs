//! Figures as people read them: digits in groups, signs of currencies, percentages. From decimal texts to texts.

use hub::money::Currency;

/// Signs that are one currency's where the code stands beside them; others are named by their code.
const SIGNS: [(&str, &str); 7] = [
    ("INR", "₹"),
    ("EUR", "€"),
    ("GBP", "£"),
    ("USD", "$"),
    ("JPY", "¥"),
    ("NGN", "₦"),
    ("KRW", "₩"),
];

/// `₹1,23,456.50`, `€1,234.50`, `KWD 1,234.500`; below zero with a minus before it.
pub(super) fn money(text: &str, currency: Currency) -> String {
    let (sign, digits) = signed(text);
    let symbol = SIGNS.iter().find(|(code, _)| *code == currency.code());
    let symbol = symbol.map_or_else(|| format!("{currency} "), |(_, symbol)| (*symbol).to_owned());
    format!("{sign}{symbol}{}", grouped(digits, currency))
}

/// Digits in groups as the currency's country writes them: of rupees lakhs and crores, else thousands.
pub(super) fn grouped(text: &str, currency: Currency) -> String {
    let (sign, digits) = signed(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let later = if currency == Currency::INR { 2 } else { 3 };
    let ends_group = |left: usize| left == 3 || left > 3 && (left - 3).is_multiple_of(later);
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && ends_group(whole.len() - index) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

/// `9 %`, `8.25 %`
pub(super) fn percent(rate_bp: u32) -> String {
    let (whole, hundredths) = (rate_bp / 100, rate_bp % 100);
    match hundredths {
        0 => format!("{whole} %"),
        tenths if tenths % 10 == 0 => format!("{whole}.{} %", tenths / 10),
        _ => format!("{whole}.{hundredths:02} %"),
    }
}

fn signed(text: &str) -> (&'static str, &str) {
    text.strip_prefix(['-', '−']).map_or(("", text), |digits| ("−", digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_and_signed_as_their_currency_is() {
        for (text, code, shown) in [
            ("0.00", "INR", "₹0.00"),
            ("999.00", "INR", "₹999.00"),
            ("1000.50", "INR", "₹1,000.50"),
            ("123456.50", "INR", "₹1,23,456.50"),
            ("1234567890.00", "INR", "₹1,23,45,67,890.00"),
            ("1234567.89", "EUR", "€1,234,567.89"),
            ("-12.50", "EUR", "−€12.50"),
            ("1234", "JPY", "¥1,234"),
            ("1234.500", "KWD", "KWD 1,234.500"),
        ] {
            assert_eq!(money(text, code.parse().expect("a currency")), shown);
        }
        for (rate_bp, shown) in
            [(900, "9 %"), (825, "8.25 %"), (250, "2.5 %"), (5, "0.05 %"), (0, "0 %")]
        {
            assert_eq!(percent(rate_bp), shown);
        }
    }
}
