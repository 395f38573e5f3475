//! What every simulated world has: one organization with two accounts on its wallet, and one rate.

use hub::id::{AccountId, AccountKind};
use hub::money::{Amount, Rate};
use ulid::Ulid;

pub fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(1))
}

pub fn accounts() -> [AccountId; 2] {
    [2, 3].map(|number| AccountId::new(AccountKind::SubAccount, Ulid(number)))
}

/// A micro-unit a second.
pub fn rate() -> Rate {
    Rate::new(Amount::from_micros(60), 1, 1, Amount::ZERO, Amount::ZERO).expect("a rate")
}

/// What every call holds: five minutes.
pub fn hold() -> Amount {
    rate().charge(300)
}
