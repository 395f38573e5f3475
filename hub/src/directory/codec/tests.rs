//! Every change reads back as it was written, and no other bytes are taken for one.

use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::costs::CostKind;
use crate::directory::{AtZero, OnHubLoss, WalletConfig};
use crate::id::{AccountId, AccountKind};

fn account(kind: AccountKind, number: u128) -> AccountId {
    AccountId::new(kind, Ulid(number))
}

fn changes() -> Vec<Change> {
    let organization = account(AccountKind::Organization, 1);
    let id = account(AccountKind::SubAccount, 2);
    let currency = Currency::INR;
    let amount = Amount::from_micros;
    let rate = Rate::new(amount(1_200_000), 60, 6, amount(5), amount(7)).ok();
    let pricing = rate.map(Pricing::Flat);
    let deck = Some(Pricing::Deck(DeckId::new(Ulid(5))));
    let full = || AccountConfig {
        id,
        organization,
        version: u64::MAX,
        status: Status::Suspended,
        floor: 3,
        cap: Some(u32::MAX),
        outbound_cap: None,
        cps_limit: Some(5),
        region: Some("india".into()),
        billing: Billing::Isolated,
        pricing,
        lease_s: Some(14_400),
        duration_max_s: Some(3_600),
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    };
    let plain = AccountConfig {
        status: Status::Ending,
        cap: None,
        cps_limit: None,
        region: None,
        billing: Billing::Consolidated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        ..full()
    };
    let bought = OrganizationConfig {
        id: organization,
        version: 7,
        status: Status::Active,
        total: 100,
        currency,
        default_pricing: pricing,
    };
    let escrow = amount(-4);
    let wallet =
        WalletConfig { owner: id, organization, currency, escrow, sequence: 9, posted: amount(2) };
    vec![
        Change::Organization(OrganizationConfig { default_pricing: None, ..bought.clone() }),
        Change::Organization(OrganizationConfig { default_pricing: deck, ..bought.clone() }),
        Change::Organization(bought),
        Change::Account(full()),
        Change::Account(AccountConfig { status: Status::Deleting, ..plain.clone() }),
        Change::Account(plain),
        Change::Account(AccountConfig { outbound_cap: Some(0), ..full() }),
        Change::Account(AccountConfig { outbound_cap: Some(0), pricing: deck, ..full() }),
        Change::Account(AccountConfig { pricing: deck, ..full() }),
        Change::Account(AccountConfig { at_zero: AtZero::Finish, ..full() }),
        Change::Account(AccountConfig { is_over_budget: true, ..full() }),
        Change::Account(AccountConfig { at_zero: AtZero::Finish, is_over_budget: true, ..full() }),
        Change::AccountGone { id, organization },
        Change::Wallet(wallet),
        Change::TokenKey(TokenKey([7; 32])),
    ]
}

fn all() -> impl Iterator<Item = Change> {
    let others = [key_changes(), resource_changes(), deck_changes()];
    changes().into_iter().chain(others.into_iter().flatten())
}

fn key_changes() -> Vec<Change> {
    let organization = account(AccountKind::Organization, 1);
    let id = account(AccountKind::SubAccount, 2);
    let hash = KeyHash::of(b"secret");
    let key = |scope, organization| Change::Key { hash, scope, organization, expires_us: None };
    let expiring = |expires_us| Change::Key {
        hash,
        scope: KeyScope::Account(id),
        organization: Some(organization),
        expires_us: Some(expires_us),
    };
    vec![
        key(KeyScope::Operator, None),
        key(KeyScope::Organization(organization), Some(organization)),
        key(KeyScope::Account(id.shadow()), Some(organization)),
        expiring(0),
        expiring(i64::MAX),
        Change::KeyGone { hash, organization: None },
        Change::KeyGone { hash, organization: Some(organization) },
    ]
}

fn deck_changes() -> Vec<Change> {
    let organization = account(AccountKind::Organization, 1);
    let id = DeckId::new(Ulid(5));
    let billed = [CostKind::Llm, CostKind::Telephony].into_iter().collect();
    let version = |number, billed| VersionConfig { number, effective_us: -9, parts: 3, billed };
    let config = |versions| DeckConfig {
        id,
        organization,
        version: u64::MAX,
        currency: Currency::INR,
        versions,
    };
    let part = |rows| DeckPart {
        organization,
        version: DeckVersion { deck: id, number: u32::MAX },
        part: 7,
        rows,
    };
    vec![
        Change::Deck(config(Box::default())),
        Change::Deck(config([version(1, billed), version(2, CostKinds::NONE)].into())),
        Change::DeckPart(part(Some([1, 2, 3].into()))),
        Change::DeckPart(part(None)),
        Change::DeckGone { organization, id },
    ]
}

fn resource_changes() -> Vec<Change> {
    let organization = account(AccountKind::Organization, 1);
    let id = account(AccountKind::SubAccount, 2);
    vec![
        Change::Resource(ResourceConfig {
            organization,
            kind: ResourceKind::Provider,
            name: "carrier".into(),
            version: 3,
            account: None,
            id: CapId::of(Ulid(3)),
            cap: Some(30),
        }),
        Change::Resource(ResourceConfig {
            organization,
            kind: ResourceKind::Agent,
            name: "ag".into(),
            version: 3,
            account: Some(id),
            id: CapId::of(Ulid(4)),
            cap: None,
        }),
        Change::ResourceGone {
            organization,
            kind: ResourceKind::Number,
            name: "919812345678".into(),
            id: CapId::of(Ulid(5)),
        },
    ]
}

fn written(change: &Change) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_change(&mut Writer(&mut bytes), change);
    bytes
}

#[test]
fn every_change_reads_back_as_it_was_written() {
    for change in all() {
        assert_eq!(read_change(&written(&change)), Ok(change));
    }
}

#[test]
fn a_change_that_is_cut_off_or_has_more_or_is_of_another_version_is_refused() {
    for change in all() {
        let mut bytes = written(&change);
        for length in 0..bytes.len() {
            assert!(read_change(&bytes[..length]).is_err(), "{change:?} cut to {length}");
        }
        bytes.push(0);
        assert_eq!(read_change(&bytes), Err(Malformed("more than a change")));
        bytes[0] = VERSION + 1;
        assert_eq!(read_change(&bytes), Err(Malformed("a change of another version")));
    }
}

#[test]
fn the_token_key_is_never_shown() {
    let change = Change::TokenKey(TokenKey([0xab; 32]));
    assert_eq!(format!("{change:?}"), "TokenKey(TokenKey(hidden))");
}

proptest! {
    #[test]
    fn no_bytes_make_reading_fail_otherwise_than_by_an_error(
        tag in 0..20_u8, rest in any::<Vec<u8>>(),
    ) {
        let bytes = [&[VERSION, tag][..], &rest].concat();
        let _read = read_change(&bytes);
    }
}
