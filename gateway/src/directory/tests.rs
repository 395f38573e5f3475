//! What is told in any order comes to the same.

use hub::directory::{AtZero, OnHubLoss};
use hub::id::{AccountKind, Ulid};
use hub::money::Rate;

use super::*;

fn id(kind: AccountKind, number: u128) -> AccountId {
    AccountId::new(kind, Ulid(number))
}

fn organization(version: u64, currency: &str) -> Change {
    Change::Organization(OrganizationConfig {
        id: id(AccountKind::Organization, 1),
        version,
        status: Status::Active,
        total: 10,
        currency: currency.parse().expect("a currency"),
        default_pricing: None,
    })
}

fn account(number: u128, pricing: Option<Pricing>) -> Change {
    Change::Account(AccountConfig {
        id: id(AccountKind::SubAccount, number),
        organization: id(AccountKind::Organization, 1),
        version: 1,
        status: Status::Active,
        floor: 0,
        cap: None,
        outbound_cap: None,
        cps_limit: None,
        region: None,
        billing: Billing::Isolated,
        pricing,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    })
}

#[test]
fn an_account_that_is_told_before_its_organization_is_priced_in_the_currency_of_that() {
    let directory = Directory::new(None);
    let follow = |change| drop(directory.follow(&change, |_| Amount::ZERO));
    let one = Amount::from_micros(1_000_000);
    let rate = Rate::new(one, 60, 1, Amount::ZERO, Amount::ZERO).expect("a rate");
    follow(account(2, Some(Pricing::Flat(rate))));
    follow(account(3, Some(Pricing::Deck(DeckId::new(Ulid(9))))));
    follow(account(4, None));
    let charging = |number| {
        let account = directory.account(id(AccountKind::SubAccount, number));
        account.expect("told").terms_full().charging.clone()
    };
    for (version, currency) in [(1, "JPY"), (2, "KWD")] {
        follow(organization(version, currency));
        let Charging::Flat(pins) = charging(2) else { unreachable!("it has a rate") };
        assert_eq!((pins.currency.code(), pins.rate), (currency, rate));
        assert!(matches!(charging(3), Charging::Deck(deck) if deck.id == DeckId::new(Ulid(9))));
        assert!(matches!(charging(4), Charging::Nothing));
    }
}
