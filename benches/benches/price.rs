//! What a call costs, and how long money lasts: arithmetic on every admit and release.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use benches::in_process::names;
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::decks::Version;
use hub::call::{Direction, PinnedDeck};
use hub::costs::CostKinds;
use hub::deck::{DeckId, DeckVersion, Prefix, Row, Tariff, part};
use hub::directory::Billing;
use hub::id::Ulid;
use hub::money::{Amount, Currency, Rate};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

fn price(criterion: &mut Criterion) {
    let rate = names::rate();
    let money = Amount::from_micros(3_500_000);
    let mut group = criterion.benchmark_group("price");
    group.bench_function("charge", |bencher| {
        bencher.iter(|| black_box(rate).charge(black_box(263)));
    });
    group.bench_function("affordable", |bencher| {
        bencher.iter(|| black_box(rate).affordable(black_box(money), black_box(300)));
    });
    group.finish();
}

/// Rows of a large deck.
const ROWS: usize = 1_000_000;

/// Which row of a deck of a million prices a call: every look-up is of another number.
fn rate_by_deck(criterion: &mut Criterion) {
    let mut random = StdRng::seed_from_u64(1);
    let mut digits = |length: u32| {
        let text: String = (0..length).map(|_| random.random_range('0'..='9')).collect();
        text.parse::<Prefix>().expect("digits")
    };
    let mut prefixes = BTreeSet::new();
    // As many of each length from four to ten digits as there can be.
    for length in (4..=10).cycle() {
        if prefixes.len() == ROWS {
            break;
        }
        prefixes.insert(digits(length));
    }
    let rows: Vec<Row> = prefixes
        .iter()
        .zip(0..)
        .map(|(prefix, row)| Row {
            direction: Direction::Outbound,
            prefix: *prefix,
            tariff: Tariff::Rate(rate_of(row % 5_000)),
        })
        .collect();
    let mut numbers: Vec<String> = rows.iter().map(|row| format!("+{}0042", row.prefix)).collect();
    numbers.shuffle(&mut random);
    let parts: Vec<Arc<[u8]>> = part::write(&rows).into_iter().map(Into::into).collect();
    let deck = DeckVersion { deck: DeckId::new(Ulid(1)), number: 1 };
    let pinned = PinnedDeck { version: deck, billed: CostKinds::NONE };
    let version = Version::build(Currency::INR, pinned, parts.iter()).expect("a whole version");
    let mut group = criterion.benchmark_group("deck");
    group.bench_function("price_of_1000000_prefixes", |bencher| {
        let mut next = numbers.iter().cycle();
        bencher.iter(|| {
            let number = next.next().map_or("", String::as_str);
            version.price(Billing::Isolated, Direction::Outbound, black_box(number))
        });
    });
    group.sample_size(10).bench_function("build_of_1000000_prefixes", |bencher| {
        bencher.iter(|| Version::build(Currency::INR, pinned, parts.iter()));
    });
    group.finish();
}

fn rate_of(micros: i64) -> Rate {
    let minute = Amount::from_micros(micros);
    Rate::new(minute, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate within its limits")
}

criterion_group!(prices, price, rate_by_deck);
criterion_main!(prices);
