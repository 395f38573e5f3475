//! The configuration that the control plane publishes and gateways follow: organizations, accounts,
//! wallets and keys, each with a version; a change replaces what has a lower version.

pub mod codec;

use std::fmt;
use std::sync::Arc;

use crate::cap::CapId;
use crate::deck::{DeckId, DeckVersion, Digits, Pricing, VersionConfig};
use crate::id::AccountId;
use crate::key::{KeyHash, KeyScope};
use crate::money::{Amount, Currency};

/// Whether an account may start calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Active,
    Suspended,
    /// Suspended, and its live calls are to end: none of them is renewed.
    Ending,
    Deleting,
}

/// Whose money pays for an account's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Billing {
    /// The account's own wallet.
    Isolated,
    /// The organization's wallet.
    Consolidated,
}

/// What an organization bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationConfig {
    pub id: AccountId,
    /// Grows with each change of this organization.
    pub version: u64,
    pub status: Status,
    /// Slots that all its accounts may use together.
    pub total: u32,
    pub currency: Currency,
    /// For accounts without one of their own.
    pub default_pricing: Option<Pricing>,
}

/// One account. An organization is also an account: the one that its own key acts for, with
/// `floor` = its reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountConfig {
    pub id: AccountId,
    pub organization: AccountId,
    /// Grows with each change of this account.
    pub version: u64,
    pub status: Status,
    /// Slots guaranteed.
    pub floor: u32,
    /// The most slots; `None` is elastic: up to the organization's total.
    pub cap: Option<u32>,
    /// The most slots that outbound calls may use; the rest is for inbound ones. `None`: all.
    pub outbound_cap: Option<u32>,
    /// Admits per second; `None` is unlimited.
    pub cps_limit: Option<u32>,
    /// The region whose gateways admit its calls; `None` is any.
    pub region: Option<Box<str>>,
    pub billing: Billing,
    /// `None`: its organization's.
    pub pricing: Option<Pricing>,
    /// The call lease for stacks that cannot renew, in seconds, when a request names none.
    pub lease_s: Option<u32>,
    /// The longest grant, in seconds.
    pub duration_max_s: Option<u32>,
    pub on_hub_loss: OnHubLoss,
    pub at_zero: AtZero,
    /// What its calls may cost in a month is spent: no billed call begins until it is not.
    pub is_over_budget: bool,
}

/// What becomes of an account's live calls when the money, or its budget, is gone; new ones are refused in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtZero {
    /// They end where what they hold ends.
    #[default]
    End,
    /// They go on, and what nobody could pay is counted as debt.
    Finish,
}

/// What a gateway does with an account's admits once it has lost the hub that it shares, beyond its
/// fence (lease-protocol, rule 14). Billed calls are always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHubLoss {
    #[default]
    Closed,
    /// Each gateway admits, up to the account's whole limit.
    Open,
}

/// What sort of thing calls name besides their account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ResourceKind {
    /// Who talks: a voice agent of one account.
    Agent = 0,
    /// A phone number: the one that an outbound call comes from, or an inbound one goes to.
    Number = 1,
    /// The carrier that takes the call.
    Provider = 2,
}

impl ResourceKind {
    pub const ALL: [Self; 3] = [Self::Agent, Self::Number, Self::Provider];
}

/// An agent, a phone number or a provider of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceConfig {
    pub organization: AccountId,
    pub kind: ResourceKind,
    /// As calls name it: an agent's id, a number's digits, a provider's name.
    pub name: Box<str>,
    /// Grows with each change of this resource, and from one of a name to the next of that name.
    pub version: u64,
    /// Whose it is; `None`: shared by all accounts of the organization.
    pub account: Option<AccountId>,
    /// Names its cap.
    pub id: CapId,
    /// How many live calls may name it; `None`: any number. Agents have none.
    pub cap: Option<u32>,
}

/// The digits by which a phone number is known, however it is written: separators, a leading `+` and an
/// international `00` do not count. `None`: not a number.
pub fn number_digits(text: &str) -> Option<String> {
    let digits = Digits::of_number(text);
    (!digits.is_empty()).then(|| digits.to_string())
}

/// Digits of a phone number, at most (E.164).
pub const DIGITS_MAX: usize = 15;

/// Money that the ledger has put at the hub's disposal for one wallet, in total since its creation:
/// recharges less withdrawals. Absolute, so repeating it is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletConfig {
    /// The account whose wallet it is: an organization or an isolated sub-account.
    pub owner: AccountId,
    pub organization: AccountId,
    pub currency: Currency,
    pub escrow: Amount,
    /// The ledger's sequence number of `escrow`; a lower one is ignored.
    pub sequence: u64,
    /// Charges that the ledger has posted against this wallet; what the hub counts as spent is never
    /// less, so a lost journal cannot give spent money back.
    pub posted: Amount,
}

/// A rate deck of an organization: its versions that are in force or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckConfig {
    pub id: DeckId,
    pub organization: AccountId,
    /// Grows with each change of this deck.
    pub version: u64,
    pub currency: Currency,
    /// In the order in which they come into force.
    pub versions: Box<[VersionConfig]>,
}

/// A part of a version of a rate deck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeckPart {
    pub organization: AccountId,
    pub version: DeckVersion,
    /// Counted from 0.
    pub part: u32,
    /// Its rows (`deck::part`). `None`: it is gone.
    pub rows: Option<Arc<[u8]>>,
}

/// One change of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Organization(OrganizationConfig),
    Account(AccountConfig),
    /// The account is gone; what is still live there ends with cause `deleted`.
    AccountGone {
        id: AccountId,
        organization: AccountId,
    },
    Wallet(WalletConfig),
    Resource(ResourceConfig),
    ResourceGone {
        organization: AccountId,
        kind: ResourceKind,
        name: Box<str>,
        id: CapId,
    },
    /// Comes after the parts of the versions that it names, but for who reads all there is.
    Deck(DeckConfig),
    DeckPart(DeckPart),
    DeckGone {
        organization: AccountId,
        id: DeckId,
    },
    Key {
        hash: KeyHash,
        scope: KeyScope,
        /// Whose accounts it opens; `None` is a key of the operator.
        organization: Option<AccountId>,
        /// From when on it opens nothing, in microseconds since 1970.
        expires_us: Option<i64>,
    },
    KeyGone {
        hash: KeyHash,
        /// As it had.
        organization: Option<AccountId>,
    },
    /// What call tokens of the installation are made with. An embedded hub has a key of its own.
    TokenKey(TokenKey),
}

impl Change {
    /// The shard in whose directory it stands.
    pub fn shard(&self) -> u8 {
        match self {
            Self::Organization(config) => config.id.shard(),
            Self::Account(config) => config.organization.shard(),
            Self::Wallet(config) => config.organization.shard(),
            Self::Resource(config) => config.organization.shard(),
            Self::Deck(config) => config.organization.shard(),
            Self::DeckPart(part) => part.organization.shard(),
            Self::AccountGone { organization, .. }
            | Self::ResourceGone { organization, .. }
            | Self::DeckGone { organization, .. } => organization.shard(),
            Self::Key { organization, .. } | Self::KeyGone { organization, .. } => {
                organization.map_or(INSTALLATION, AccountId::shard)
            }
            Self::TokenKey(_) => INSTALLATION,
        }
    }
}

/// The shard of what belongs to no organization.
const INSTALLATION: u8 = 0;

/// A key for call tokens; never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenKey(pub [u8; 32]);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_its_digits_however_it_is_written() {
        for text in ["+919812345678", "919812345678", "00919812345678", "+91 98123-45678"] {
            assert_eq!(number_digits(text).as_deref(), Some("919812345678"), "{text}");
        }
        assert_eq!(number_digits("1800").as_deref(), Some("1800"));
        for text in ["", "+", "sip:1@a", "agent", "1234567890123456", "++1", "1+2", "٣"] {
            assert_eq!(number_digits(text), None, "{text}");
        }
    }
}
