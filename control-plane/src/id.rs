//! New ids of what is stored: a prefix that says what it is, and a ULID of the time and fresh randomness.

use hub::id::{AccountId, AccountKind};

/// Of an account.
pub(crate) fn new_account_id(kind: AccountKind, now_us: i64) -> AccountId {
    AccountId::new(kind, new_ulid(now_us))
}

/// Of anything else: `key_…`.
pub(crate) fn new_id(prefix: &str, now_us: i64) -> String {
    format!("{prefix}_{}", new_ulid(now_us).to_string().to_lowercase())
}

/// Of what has a type of its own for its id.
pub(crate) fn new_ulid(now_us: i64) -> ulid::Ulid {
    let ms = u64::try_from(now_us / 1_000).unwrap_or(0);
    ulid::Ulid::from_parts(ms, rand::random())
}
