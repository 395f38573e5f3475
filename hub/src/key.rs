//! API keys as both halves see them: a hash and what it opens. The secret itself is never stored.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::AccountId;

/// SHA-256 of a key's secret. Secrets are random and long, so a plain hash is enough.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// What a key may act for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyScope {
    /// Any account of any organization.
    Operator,
    /// The organization itself and every account below it.
    Organization(AccountId),
    /// One account. Test keys carry its shadow.
    Account(AccountId),
}

impl KeyScope {
    /// The scope on the shadow of its account: what a test key of this scope opens.
    #[must_use]
    pub const fn shadow(self) -> Self {
        match self {
            Self::Operator => Self::Operator,
            Self::Organization(id) => Self::Organization(id.shadow()),
            Self::Account(id) => Self::Account(id.shadow()),
        }
    }
}
