//! Caps beside those of accounts: of a phone number, of a provider, of an account's outbound calls. Each
//! is one more counter of its organization (lease-protocol, rule 17): so many calls that name it may be
//! live at once, whichever accounts they are of. Calls of test keys take none.

use ulid::Ulid;

use crate::id::AccountId;

/// Names a cap within its organization: the random half of the ULID of what it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapId(u64);

impl CapId {
    pub const LEN: usize = 8;

    /// That of a number or a provider.
    pub const fn of(resource: Ulid) -> Self {
        // The low half is the cut that is meant.
        #[expect(clippy::cast_possible_truncation, reason = "the random half")]
        Self(resource.0 as u64)
    }

    /// That of an account's outbound calls.
    pub fn outbound(account: AccountId) -> Self {
        Self::of(account.ulid())
    }

    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.to_be_bytes()
    }

    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// The caps that one call takes, all or none of them, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    ids: [CapId; Self::MAX],
    count: u8,
}

impl Caps {
    /// Of its number, its provider and its direction.
    pub const MAX: usize = 3;
    pub const NONE: Self = Self { ids: [CapId(0); Self::MAX], count: 0 };

    /// Adds one; beyond [`Caps::MAX`] nothing is added.
    pub fn push(&mut self, id: CapId) {
        if let Some(place) = self.ids.get_mut(usize::from(self.count)) {
            *place = id;
            self.count += 1;
        }
    }

    pub fn as_slice(&self) -> &[CapId] {
        &self.ids[..usize::from(self.count)]
    }

    pub const fn count(&self) -> u8 {
        self.count
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<CapId> for Caps {
    fn from_iter<I: IntoIterator<Item = CapId>>(ids: I) -> Self {
        let mut caps = Self::NONE;
        ids.into_iter().for_each(|id| caps.push(id));
        caps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_three_caps_at_most() {
        let ids = [1, 2, 3, 4].map(|number| CapId::of(Ulid(number)));
        let caps: Caps = ids.into_iter().collect();
        assert_eq!(caps.as_slice(), &ids[..Caps::MAX]);
        assert!(Caps::NONE.is_empty());
    }
}
