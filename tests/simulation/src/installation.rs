//! What every simulated world has: one organization with two accounts on its wallet, one rate, and a
//! phone number from which some calls of both accounts come.

use hub::cap::{CapId, Caps};
use hub::id::{AccountId, AccountKind};
use hub::money::{Amount, Rate};
use ulid::Ulid;

pub fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(1))
}

pub fn accounts() -> [AccountId; 2] {
    [2, 3].map(|number| AccountId::new(AccountKind::SubAccount, Ulid(number)))
}

/// That of the number.
pub fn cap() -> CapId {
    CapId::of(Ulid(4))
}

/// Whether a call comes from the number: one of three does.
pub fn is_from_number(call_id: &str) -> bool {
    call_id.bytes().next_back().is_some_and(|last| last % 3 == 0)
}

pub fn caps_of(call_id: &str) -> Caps {
    is_from_number(call_id).then(cap).into_iter().collect()
}

/// A micro-unit a second.
pub fn rate() -> Rate {
    Rate::new(Amount::from_micros(60), 1, 1, Amount::ZERO, Amount::ZERO).expect("a rate")
}

/// What every call holds: five minutes.
pub fn hold() -> Amount {
    rate().charge(300)
}
