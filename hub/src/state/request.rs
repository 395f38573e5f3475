//! What the state machine is asked and answers.

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::cap::CapId;
use crate::clock::{EpochSeconds, Moment};
use crate::denial::Scope;
use crate::directory::{Change, ResourceConfig, ResourceKind, WalletConfig};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;

/// One request to a shard. Repeating one changes nothing more.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What an organization bought; replaces a lower version.
    Organization {
        id: AccountId,
        version: u64,
        total: u32,
    },
    /// The limits of a counter; replaces a lower version.
    Counter {
        id: AccountId,
        organization: AccountId,
        version: u64,
        floor: u32,
        cap: u32,
        /// Of its outbound calls; see [`CapId::outbound`].
        outbound_cap: Option<u32>,
    },
    /// Removes a counter. One with live calls stays without limits; it is to be asked again.
    CounterGone {
        id: AccountId,
    },
    /// How many live calls may name a cap, if that is limited; replaces a lower version.
    Cap {
        id: CapId,
        version: u64,
        most: Option<u32>,
    },
    /// What had the cap is gone.
    CapGone {
        id: CapId,
    },
    Wallet(WalletConfig),
    /// The one holder of an embedded hub: reaps every other at once and takes its calls over.
    TakeOver {
        holder: HolderId,
        call_lease_s: u32,
    },
    Sync(Sync),
    /// The ledger has posted all records up to and including this one.
    Acknowledge {
        through: u64,
    },
    /// Drops the oldest tombstones: there are more than are kept.
    Forget {
        count: u32,
    },
}

impl Request {
    /// What a shard is to hear of a change; `None`: nothing.
    pub fn of(change: &Change) -> Option<Self> {
        Some(match change {
            Change::Organization(config) => {
                Self::Organization { id: config.id, version: config.version, total: config.total }
            }
            Change::Account(config) => Self::Counter {
                id: config.id,
                organization: config.organization,
                version: config.version,
                floor: config.floor,
                cap: config.cap.unwrap_or(u32::MAX),
                outbound_cap: config.outbound_cap,
            },
            Change::AccountGone { id, .. } => Self::CounterGone { id: *id },
            // Agents have no cap.
            Change::Resource(ResourceConfig { kind: ResourceKind::Agent, .. })
            | Change::ResourceGone { kind: ResourceKind::Agent, .. }
            | Change::Deck(_)
            | Change::DeckPart(_)
            | Change::DeckGone { .. }
            | Change::Key { .. }
            | Change::KeyGone { .. }
            | Change::TokenKey(_) => return None,
            Change::Resource(config) => {
                Self::Cap { id: config.id, version: config.version, most: config.cap }
            }
            Change::ResourceGone { id, .. } => Self::CapGone { id: *id },
            Change::Wallet(config) => Self::Wallet(*config),
        })
    }
}

/// What a holder reports and wants: cumulative counters, and the events since its last request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sync {
    pub holder: HolderId,
    pub events: Vec<Event>,
    pub holdings: Vec<Holding>,
    pub wants: Vec<Want>,
    pub purses: Vec<Purse>,
    pub funds: Vec<Fund>,
}

impl Sync {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.holdings.is_empty()
            && self.wants.is_empty()
            && self.purses.is_empty()
            && self.funds.is_empty()
    }
}

/// What happened to a call at its holder.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// On a unit that the holder has.
    Admitted {
        call: Call,
        lease: Lease,
    },
    /// To be admitted now if its caps allow it and a unit can be leased for it: the exact regime.
    /// Decided by [`Answer::decided`].
    Wanted {
        call: Call,
        lease: Lease,
        /// The holder has a unit for it: only the caps decide.
        has_unit: bool,
    },
    /// The state of a live call after an answer or a renew.
    Renewed {
        call: Call,
        lease: Lease,
    },
    /// A call that this holder has from a dead one, by its token or because it found it at the hub.
    /// Its unit and hold come along.
    Adopted {
        call: Call,
        lease: Lease,
    },
    /// The admission is undone: nobody was told.
    Withdrawn(Call),
    Ended(Arc<Record>),
}

/// The changing part of a live call: 32 bytes, kept twice for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The call ends then unless renewed.
    pub deadline: EpochSeconds,
    pub granted: Granted,
    /// Money set aside.
    pub hold: Amount,
    /// `None`: not answered yet.
    pub answered: Option<Moment>,
    /// The last admit, answer or renew, in microseconds since 1970.
    pub renewed_us: i64,
}

const _: () = assert!(size_of::<Lease>() == 32);

impl Lease {
    /// Seconds the call may last from its answer; 0: unlimited.
    pub const fn granted_s(&self) -> u32 {
        self.granted.0 & Granted::SECONDS
    }

    /// Whether no more than that can be funded.
    pub const fn is_final(&self) -> bool {
        self.granted.0 & !Granted::SECONDS != 0
    }

    /// Microseconds since 1970; `None`: not answered yet.
    pub fn answered_us(&self) -> Option<i64> {
        self.answered.map(Moment::us)
    }
}

/// Granted seconds and whether they are final, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted(u32);

impl Granted {
    const SECONDS: u32 = u32::MAX >> 1;

    /// `seconds` is cut to 31 bits: 68 years.
    pub const fn new(seconds: u32, is_final: bool) -> Self {
        let seconds = if seconds > Self::SECONDS { Self::SECONDS } else { seconds };
        Self(if is_final { seconds | !Self::SECONDS } else { seconds })
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// What a holder has had of a counter, in total: state, not change, so that repeating it is harmless
/// (rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    pub counter: AccountId,
    /// Units granted to it as it knows: what a hub that lost its memory learns from.
    pub granted: u64,
    /// Units it has given back.
    pub returned: u64,
    /// The admits that it may answer before the hub has them, at most.
    pub unflushed_max: u32,
}

/// As [`Holding`], of a wallet's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    pub owner: AccountId,
    pub granted: Amount,
    pub returned: Amount,
    /// What the calls whose admission the hub may not know can hold, at most.
    pub unflushed_max: Amount,
}

/// A holder asks for units of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub counter: AccountId,
    pub units: u32,
    /// This holder has nothing idle of it, and has given back what it had idle above floors.
    pub recalled: bool,
}

/// A holder asks for money of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fund {
    pub owner: AccountId,
    /// Less is of no use.
    pub least: Amount,
    pub most: Amount,
}

/// The answer to a [`Want`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// So many units more, at least one.
    Granted(u32),
    /// Idle units must come back before a refusal would be true: ask again.
    Recall,
    /// Every unit is in use or promised. `limit` is the cap or the total.
    Refused { scope: Scope, limit: u32 },
    /// So many calls as there may be name this cap of the call, `position` of its [`Call::caps`].
    Capped { position: u8, limit: u32 },
    /// The counter or its organization was never configured here.
    Unknown,
    /// The hub is learning: it grants nothing, and no refusal would be true.
    Learning,
}

/// The answer to a [`Fund`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funded {
    /// So much more, at least the least.
    Granted(Amount),
    /// Holders have idle money, perhaps this one: give it back, and ask again.
    Recall,
    /// All holders together cannot fund the least; so much is left.
    Empty(Amount),
    Learning,
}

/// What the state machine answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// One for each want, in order.
    pub wanted: Vec<Wanted>,
    /// One for each `Wanted` event, in order; `Granted` also for one whose position is in `rejected`.
    pub decided: Vec<Wanted>,
    /// One for each fund, in order.
    pub funded: Vec<Funded>,
    /// Positions of admissions that another admission of the same `call_id` had preceded, which the
    /// holder undoes (rule 10); of adoptions and ends of calls that are another holder's.
    pub rejected: Vec<usize>,
    /// Positions of adoptions that cannot be decided while the hub learns: to be told again.
    pub deferred: Vec<usize>,
}
