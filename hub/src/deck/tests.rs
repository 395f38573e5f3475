//! Prefixes, trees and parts of decks against plain looks at every prefix.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::directory::DIGITS_MAX;
use crate::money::{Amount, Rounding, RoundingMode};

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn rate(micros: i64) -> Tariff {
    let rate = Rate::new(Amount::from_micros(micros), 60, 1, Amount::ZERO, Amount::ZERO);
    let rounding = Rounding::new(4, RoundingMode::Up).expect("few decimals");
    Tariff::Rate(rate.expect("a rate").rounded(rounding))
}

fn digits() -> impl Strategy<Value = String> {
    // Few different digits, so that many begin alike.
    proptest::collection::vec(prop::sample::select(&['0', '1', '9'][..]), 0..=DIGITS_MAX)
        .prop_map(String::from_iter)
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = DeckId::new(Ulid(7));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(DeckId::from_bytes(id.to_bytes()), id);
    for text in ["", "deck_", "deck_7", "sa_00000000000000000000000007"] {
        assert_eq!(text.parse::<DeckId>(), Err(InvalidDeckId), "{text}");
    }
}

#[test]
fn prefixes_are_digits_or_a_star() {
    for (text, shown) in
        [("*", "*"), ("+91", "91"), ("1", "1"), ("999999999999999", "999999999999999")]
    {
        assert_eq!(prefix(text).to_string(), shown);
    }
    for text in ["", "+", "91 80", "9x", "1234567890123456", "**", "-1", "٣"] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
    assert!(
        prefix("91") < prefix("910") && prefix("910") < prefix("92") && Prefix::EMPTY < prefix("0")
    );
    assert!(prefix("*").begins(Digits::NONE));
    assert!(!prefix("0").begins(Digits::NONE));
}

#[test]
fn the_longest_prefix_wins_and_a_number_that_has_none_has_no_row() {
    let rows = ["1", "1212", "91", "9180", "91801", "9199"].map(prefix);
    let table = Table::new(rows.into_iter().zip(0..)).expect("in order");
    for (number, expected) in [
        ("+1 212 555 0100", Some("1212")),
        ("0012135550100", Some("1")),
        ("918", Some("91")),
        ("9180", Some("9180")),
        ("91802", Some("9180")),
        ("918019", Some("91801")),
        ("44", None),
        ("sip:alice@example.com", None),
        ("", None),
    ] {
        let row = table.longest(Digits::of_number(number));
        assert_eq!(row.map(|row| rows[row as usize]), expected.map(prefix), "{number}");
    }
    let table = |rows: &[&str]| Table::new(rows.iter().map(|text| prefix(text)).zip(0..));
    assert!(table(&["2", "1"]).is_err());
    assert!(table(&["2", "2"]).is_err());
    assert_eq!(table(&[]).expect("nothing").longest(Digits::NONE), None);
    assert_eq!(table(&["*"]).expect("all").longest(Digits::NONE), Some(0));
}

#[test]
fn many_rows_are_written_in_parts_of_one_direction_each() {
    let of = |direction, count: u64| {
        (0..count).map(move |number| Row {
            direction,
            prefix: prefix(&format!("{:08}", number * 7)),
            tariff: if number % 3 == 0 {
                Tariff::Blocked
            } else {
                rate((number % 50).cast_signed())
            },
        })
    };
    let rows: Vec<Row> =
        of(Direction::Outbound, 10_000).chain(of(Direction::Inbound, 100)).collect();
    let parts = part::write(&rows);
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().map(Vec::len).sum::<usize>() < 8 * rows.len());
    let mut read = Vec::new();
    for bytes in &parts {
        part::read(bytes, &mut read).expect("whole");
    }
    assert!(read == rows);
    assert!(part::write(&[]).is_empty());
}

/// What a table finds, and a look at every prefix.
fn compare(prefixes: &BTreeSet<String>, numbers: &[String]) -> Result<(), TestCaseError> {
    let digits = |text: &String| Digits::of(text).expect("digits");
    let table = Table::new(prefixes.iter().map(|text| Prefix::of(digits(text))).zip(0..));
    let table = table.expect("in order");
    for number in numbers {
        let expected = prefixes.iter().zip(0..).filter(|(it, _)| number.starts_with(*it));
        let expected = expected.max_by_key(|(it, _)| it.len()).map(|(_, row)| row);
        prop_assert_eq!(table.longest(digits(number)), expected, "{}", number);
    }
    Ok(())
}

proptest! {
    #[test]
    fn digits_keep_their_order_and_places(a in digits(), b in digits()) {
        let [x, y] = [&a, &b].map(|text| Digits::of(text).expect("digits"));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.to_string(), a.as_str());
        prop_assert_eq!(Prefix::of(x).begins(y), b.starts_with(&a));
        let alike = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(x.shared_with(y) as usize, alike);
    }

    #[test]
    fn a_table_finds_what_a_look_at_every_prefix_finds(
        prefixes in proptest::collection::btree_set(digits(), 0..60), numbers in proptest::collection::vec(digits(), 30),
    ) {
        compare(&prefixes, &numbers)?;
    }

    #[test]
    fn a_table_finds_them_where_very_many_begin_alike(
        alike in digits(), ends in proptest::collection::btree_set(0..10_000_u32, 0..2_000),
        short in proptest::collection::btree_set(digits(), 0..9), numbers in proptest::collection::vec((0..20_000_u32, digits()), 30),
    ) {
        let cut = |mut text: String| { text.truncate(DIGITS_MAX); text };
        let prefixes = ends.iter().map(|end| cut(format!("{alike}{end}"))).chain(short).collect();
        let numbers: Vec<_> = numbers.iter().map(|(end, more)| cut(format!("{alike}{end}{more}"))).collect();
        compare(&prefixes, &numbers)?;
    }

    #[test]
    fn rows_read_back_as_written(
        prefixes in proptest::collection::btree_set((any::<bool>(), digits()), 0..60),
    ) {
        let rows: Vec<Row> = prefixes.iter().enumerate().map(|(number, (inbound, text))| Row {
            direction: if *inbound { Direction::Inbound } else { Direction::Outbound },
            prefix: Prefix::of(Digits::of(text).expect("digits")),
            tariff: if number % 5 == 0 { Tariff::Blocked } else { rate(i64::from(number % 7 == 0)) },
        }).collect();
        let mut read = Vec::new();
        for bytes in part::write(&rows) {
            part::read(&bytes, &mut read).expect("whole");
        }
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn no_bytes_make_a_reader_of_parts_fail_otherwise_than_by_an_error(bytes in any::<Vec<u8>>()) {
        let mut rows = Vec::new();
        let _read = part::read(&bytes, &mut rows);
        let _read = part::read(&[&[1, 0], &bytes[..]].concat(), &mut rows);
    }
}
