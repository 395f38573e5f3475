//! Ids, keys and configurations of as many accounts as a measurement wants.

use hub::deck::Pricing;
use hub::directory::{
    AccountConfig, AtZero, Billing, Change, OnHubLoss, OrganizationConfig, Status, WalletConfig,
};
use hub::id::{AccountId, AccountKind, Ulid};
use hub::key::{KeyHash, KeyScope};
use hub::money::{Amount, Currency, Rate};

/// Accounts of one organization, where there are many.
pub const ACCOUNTS_PER_ORGANIZATION: u64 = 1_000;

pub fn organization(account: u64) -> AccountId {
    let number = account / ACCOUNTS_PER_ORGANIZATION;
    AccountId::new(AccountKind::Organization, Ulid(u128::from(number) + 1))
}

pub fn sub_account(account: u64) -> AccountId {
    // Spread as real ULIDs are: their last bits are random.
    let mixed = u128::from(account).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    AccountId::new(AccountKind::SubAccount, Ulid(mixed))
}

/// The secret of an account's key, as long as a generated one.
pub fn secret(account: u64) -> String {
    format!("rf_live_{account:032x}")
}

/// 1.20 a minute, by the minute.
pub fn rate() -> Rate {
    let minute = Amount::from_micros(1_200_000);
    Rate::new(minute, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate within its limits")
}

pub fn organization_change(account: u64) -> Change {
    Change::Organization(OrganizationConfig {
        id: organization(account),
        version: 1,
        status: Status::Active,
        total: u32::MAX / 2,
        currency: Currency::INR,
        default_pricing: None,
    })
}

pub fn account_change(account: u64, cap: Option<u32>, rate: Option<Rate>) -> Change {
    Change::Account(AccountConfig {
        id: sub_account(account),
        organization: organization(account),
        version: 1,
        status: Status::Active,
        floor: cap.unwrap_or(0),
        cap,
        outbound_cap: None,
        cps_limit: None,
        region: Some("india".into()),
        billing: Billing::Isolated,
        pricing: rate.map(Pricing::Flat),
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    })
}

pub fn wallet_change(account: u64) -> Change {
    Change::Wallet(WalletConfig {
        owner: sub_account(account),
        organization: organization(account),
        currency: Currency::INR,
        escrow: Amount::MAX,
        sequence: 1,
        posted: Amount::ZERO,
    })
}

pub fn key_change(account: u64) -> Change {
    Change::Key {
        hash: KeyHash::of(secret(account).as_bytes()),
        scope: KeyScope::Account(sub_account(account)),
        organization: Some(organization(account)),
        expires_us: None,
    }
}
