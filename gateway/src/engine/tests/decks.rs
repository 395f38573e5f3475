//! Calls that are priced by destination, with an embedded hub.

use hub::call::Direction;
use hub::clock::SECOND_US;
use hub::costs::{CostKind, CostKinds};
use hub::deck::{DeckId, DeckVersion, Row, Tariff, VersionConfig, part};
use hub::directory::{DeckConfig, DeckPart};

use super::*;

const DECK: DeckId = DeckId::new(hub::id::Ulid(900));

fn row(direction: Direction, prefix: &str, per_minute: Option<&str>) -> Row {
    let rate = per_minute
        .map(|text| Rate::new(amount(text), 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate"));
    let tariff = rate.map_or(Tariff::Blocked, Tariff::Rate);
    Row { direction, prefix: prefix.parse().expect("a prefix"), tariff }
}

fn version(number: u32, effective_us: i64) -> VersionConfig {
    VersionConfig { number, effective_us, parts: 2, billed: CostKinds::NONE }
}

fn deck(order: u64, versions: &[VersionConfig]) -> Change {
    Change::Deck(DeckConfig {
        id: DECK,
        organization: organization(),
        version: order,
        currency: Currency::INR,
        versions: versions.into(),
    })
}

/// The parts of a version: India, a dearer part of it, a blocked part of that; anything inbound.
fn parts(number: u32, per_minute: &str) -> Vec<Change> {
    let rows = [
        row(Direction::Outbound, "91", Some(per_minute)),
        row(Direction::Outbound, "9180", Some("9")),
        row(Direction::Outbound, "918055", None),
        row(Direction::Inbound, "*", Some("0.50")),
    ];
    let parts = part::write(&rows).into_iter().zip(0..);
    let change = |(bytes, part): (Vec<u8>, u32)| {
        Change::DeckPart(DeckPart {
            organization: organization(),
            version: DeckVersion { deck: DECK, number },
            part,
            rows: Some(bytes.into()),
        })
    };
    parts.map(change).collect()
}

fn tell_parts(world: &World, number: u32, per_minute: &str) {
    for part in parts(number, per_minute) {
        world.publish(part);
    }
}

fn priced_by_deck() -> AccountConfig {
    AccountConfig { pricing: Some(Pricing::Deck(DECK)), ..account(0, 0, Some(90)) }
}

fn told() -> World {
    let world = World::new(100, &[priced_by_deck()]);
    world.publish(wallet(sub_account(0), "1000", 1));
    tell_parts(&world, 1, "2");
    world.publish(deck(1, &[version(1, 0)]));
    world
}

fn to<'a>(call_id: &'a str, number: &'a str) -> Admit<'a> {
    Admit { call_id, to: number, requested_s: Some(60), ..Admit::default() }
}

fn outcome(world: &World, call: &Admit<'_>) -> Result<Amount, Reason> {
    match world.admit_as(&world.account(0), call) {
        Ok(grant) => Ok(grant.lease.hold),
        Err(Refusal::Denied(denial)) => Err(denial.reason()),
        Err(Refusal::Ended(_)) => Err(Reason::CallEnded),
    }
}

#[test]
fn the_longest_prefix_of_the_other_party_prices_a_call_and_without_one_there_is_none() {
    let world = told();
    for (call, expected) in [
        (to("a", "+91 98123 45678"), Ok(amount("2"))),
        (to("b", "00918012345678"), Ok(amount("9"))),
        (to("c", "918055123456"), Err(Reason::DestinationBlocked)),
        (to("d", "+14155550100"), Err(Reason::DestinationBlocked)),
        (to("e", ""), Err(Reason::DestinationBlocked)),
        (
            Admit { direction: Direction::Inbound, from: "+14155550100", ..to("f", "+918055") },
            Ok(amount("0.50")),
        ),
    ] {
        assert_eq!(outcome(&world, &call), expected, "{}", call.call_id);
    }
    assert_eq!(world.hub.account_use(organization(), sub_account(0)).live, 3);
    assert_eq!(cost(&world.release(0, "b", Some(61))), amount("18"));
    let shadow = world.engine.directory().account(sub_account(0).shadow()).expect("a shadow");
    let test = world.admit_as(&shadow, &to("t", "+14155550100")).expect("test keys never pay");
    assert!(!test.is_billed());
}

#[test]
fn a_call_stays_with_the_version_of_its_admission() {
    let world = told();
    let (first, now_us) = (to("first", "919"), clock::now_us());
    assert_eq!(outcome(&world, &first), Ok(amount("2")));
    tell_parts(&world, 2, "3");
    world.publish(deck(2, &[version(1, 0), version(2, now_us + 3_600 * SECOND_US)]));
    assert_eq!(outcome(&world, &to("still", "919")), Ok(amount("2")), "not in force yet");
    world.publish(deck(3, &[version(1, 0), version(2, now_us)]));
    assert_eq!(outcome(&world, &to("second", "919")), Ok(amount("3")));
    world.publish(deck(2, &[version(1, 0)]));
    assert_eq!(outcome(&world, &to("third", "919")), Ok(amount("3")), "an older word");
    assert_eq!(cost(&world.release(0, "first", Some(120))), amount("4"));
    assert_eq!(cost(&world.release(0, "second", Some(120))), amount("6"));
    let world = world.restart(100, &[priced_by_deck()]);
    assert_eq!(cost(&world.release(0, "third", Some(120))), amount("6"), "with its journal");
}

#[test]
fn a_deck_that_is_not_whole_here_prices_nothing_and_one_without_a_version_in_force_blocks() {
    let world = World::new(100, &[priced_by_deck()]);
    world.publish(wallet(sub_account(0), "1000", 1));
    let call = to("call", "919");
    assert_eq!(outcome(&world, &call), Err(Reason::HubUnavailable), "never told");
    world.publish(deck(1, &[version(1, 0)]));
    assert_eq!(outcome(&world, &call), Err(Reason::HubUnavailable), "without its rows");
    let mut parts = parts(1, "2");
    world.publish(parts.pop().expect("two"));
    assert_eq!(outcome(&world, &call), Err(Reason::HubUnavailable), "without the half of them");
    world.publish(parts.pop().expect("one"));
    assert_eq!(outcome(&world, &call), Ok(amount("2")));
    world.publish(deck(2, &[version(1, i64::MAX)]));
    assert_eq!(outcome(&world, &to("later", "919")), Err(Reason::DestinationBlocked));
    world.publish(Change::DeckGone { organization: organization(), id: DECK });
    assert_eq!(outcome(&world, &to("gone", "919")), Err(Reason::HubUnavailable));
}

#[test]
fn accounts_without_pricing_follow_their_organization_from_a_rate_to_a_deck() {
    let world = told();
    world.publish(Change::Account(AccountConfig { pricing: None, version: 2, ..priced_by_deck() }));
    let set = |version, default_pricing| {
        world.publish(Change::Organization(OrganizationConfig {
            id: organization(),
            version,
            status: Status::Active,
            total: 100,
            currency: Currency::INR,
            default_pricing,
        }));
    };
    assert_eq!(outcome(&world, &to("free", "919")), Ok(Amount::ZERO));
    set(2, Some(flat(60, 60)));
    assert_eq!(outcome(&world, &to("flat", "919")), Ok(amount("1.20")));
    set(3, Some(Pricing::Deck(DECK)));
    assert_eq!(outcome(&world, &to("deck", "919")), Ok(amount("2")));
    set(4, None);
    assert_eq!(outcome(&world, &to("free again", "919")), Ok(Amount::ZERO));
}

#[test]
fn reported_costs_are_charged_as_the_deck_says_and_must_be_amounts() {
    let world = told();
    let billed: CostKinds = [CostKind::Llm, CostKind::Telephony].into_iter().collect();
    world.publish(deck(2, &[VersionConfig { billed, ..version(1, 0) }]));
    tell_parts(&world, 2, "2");
    world.publish(deck(3, &[VersionConfig { billed, ..version(2, 0) }]));
    world.admit_as(&world.account(0), &to("call", "919")).expect("admitted");
    let released = |costs| {
        let release =
            Release { call_id: "call", token: None, outcome: None, billable_s: Some(60), costs };
        done(world.engine.release(&world.account(0), &release, clock::now_us()))
    };
    match released(Some(r#"{"llm":"free"}"#)) {
        Err(Denial::InvalidRequest(bad)) => assert_eq!(bad[0].field, "costs"),
        other => panic!("{other:?}"),
    }
    let costs = r#"{"llm":{"a":0.25,"b":"0.5"},"network":1,"platform":100}"#;
    assert_eq!(cost(&released(Some(costs)).expect("released")), amount("3.75"));
    assert_eq!(cost(&released(None).expect("the same receipt")), amount("3.75"));
    world.engine.flush().expect("recorded");
    world.hub.check().expect("invariants");
    assert_eq!(world.free(0), amount("996.25"));
}
