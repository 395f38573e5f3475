//! Calls: the facts fixed at admission, how a call ends, and the record it leaves. Shared by the
//! gateway's tables and the embedded hub: one allocation per call.

use std::fmt;
use std::str::FromStr;

use triomphe::{Arc, ThinArc};

use crate::cap::{CapId, Caps};
use crate::clock::{EpochSeconds, Moment};
use crate::costs::CostKinds;
use crate::deck::DeckVersion;
use crate::directory::Billing;
use crate::id::AccountId;
use crate::money::{Amount, Currency, Rate};

/// Who called whom, as the platform sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Direction {
    #[default]
    Outbound = 0,
    Inbound = 1,
}

impl Direction {
    pub const ALL: [Self; 2] = [Self::Outbound, Self::Inbound];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// How a call came out, as the stack reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    Completed = 0,
    NoAnswer = 1,
    Busy = 2,
    Failed = 3,
    Canceled = 4,
}

impl Outcome {
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::NoAnswer, Self::Busy, Self::Failed, Self::Canceled];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoAnswer => "no-answer",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    Release = 0,
    Expiry = 1,
    Reconcile = 2,
    /// Its lease ran out while its account's calls were to end.
    Suspended = 3,
    Deleted = 4,
}

impl Cause {
    pub const ALL: [Self; 5] =
        [Self::Release, Self::Expiry, Self::Reconcile, Self::Suspended, Self::Deleted];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Expiry => "expiry",
            Self::Reconcile => "reconcile",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// Whether no stack said when the call ended: one release may still say it.
    pub const fn may_be_corrected(self) -> bool {
        matches!(self, Self::Expiry | Self::Suspended)
    }
}

/// The text is none of the expected words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {0}")]
pub struct UnknownWord(pub &'static str);

impl FromStr for Direction {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|direction| direction.label() == text);
        found.ok_or(UnknownWord("outbound, inbound"))
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.label() == text);
        found.ok_or(UnknownWord("completed, no-answer, busy, failed, canceled"))
    }
}

/// What a billed call is charged by, whatever is configured later (invariant I12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pins {
    pub billing: Billing,
    pub currency: Currency,
    pub rate: Rate,
    /// Where the rate comes from; `None`: it is the account's or its organization's one rate.
    pub deck: Option<PinnedDeck>,
}

/// The version of a rate deck that a call is priced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedDeck {
    pub version: DeckVersion,
    /// The reported costs that are charged beside the call itself.
    pub billed: CostKinds,
}

/// What is fixed when a call is admitted, except its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Microseconds since 1970.
    pub admitted_us: i64,
    /// Unique within the holder that admitted; orders calls.
    pub admission: u64,
    /// `None`: the call is not billed.
    pub pins: Option<Arc<Pins>>,
    pub account: AccountId,
    pub direction: Direction,
    /// The lease that the stack asked for because it cannot renew, in seconds; 0 is none: the
    /// ordinary, renewed lease.
    pub lease_s: u32,
}

/// Where a call stands in the order of admission, whoever admitted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallPlace {
    /// Microseconds since 1970, never negative.
    pub admitted_us: u64,
    pub admission: u64,
}

impl CallPlace {
    pub const LEN: usize = 16;

    pub fn of(call: &Call) -> Self {
        let Facts { admitted_us, admission, .. } = *call.facts();
        Self { admitted_us: admitted_us.unsigned_abs(), admission }
    }

    /// Bytes in the same order.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        ((u128::from(self.admitted_us) << 64) | u128::from(self.admission)).to_be_bytes()
    }

    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [admitted_us, admission] = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(half)
        });
        Self { admitted_us, admission }
    }
}

/// Texts of a call. Each is at most 255 bytes, `call_id` at most 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts<'a> {
    pub call_id: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub agent_id: &'a str,
    pub source: &'a str,
}

/// Lengths of the texts that lie one after the other in [`Call`]'s tail, in the order of [`Texts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths(pub [u8; 5]);

/// What stands before a call's tail: its texts, then so many caps.
#[derive(Clone, Debug)]
struct Header {
    facts: Facts,
    lengths: Lengths,
    caps: u8,
}

// A call with a call id of 36 bytes takes 112.
const _: () = assert!(size_of::<Header>() == 56);

/// All texts of a call, one after the other, in bytes.
const TAIL_MAX: usize = CALL_ID_MAX + 4 * TEXT_MAX;
const SMALL_TAIL: usize = 128;

/// The parts one after the other in `room`, which is long enough.
fn joined<'a>(parts: [&str; 5], room: &'a mut [u8]) -> &'a [u8] {
    let mut end = 0;
    for part in parts {
        room[end..end + part.len()].copy_from_slice(part.as_bytes());
        end += part.len();
    }
    &room[..end]
}

/// One admitted call: facts, texts and caps in one shared allocation; cloning counts a reference.
#[derive(Clone)]
pub struct Call(ThinArc<Header, u8>);

/// The longest `call_id`, in bytes.
pub const CALL_ID_MAX: usize = 128;
/// The longest of the other texts of a call, in bytes.
pub const TEXT_MAX: usize = 255;

impl Call {
    /// A call that takes no cap beside its account's. `None` when a text is too long.
    #[inline]
    pub fn new(facts: Facts, texts: Texts<'_>) -> Option<Self> {
        Self::with_caps(facts, texts, Caps::NONE)
    }

    /// As [`Call::new`], of a call that takes these caps.
    pub fn with_caps(facts: Facts, texts: Texts<'_>, caps: Caps) -> Option<Self> {
        let parts = [texts.call_id, texts.from, texts.to, texts.agent_id, texts.source];
        if texts.call_id.len() > CALL_ID_MAX {
            return None;
        }
        let mut lengths = [0; 5];
        for (length, part) in lengths.iter_mut().zip(parts) {
            *length = u8::try_from(part.len()).ok()?;
        }
        let lengths = Lengths(lengths);
        if !caps.is_empty() {
            return Some(Self::put_together(facts, lengths, parts.concat().as_bytes(), caps));
        }
        let header = Header { facts, lengths, caps: 0 };
        // Most calls fit into the small room; clearing the large one costs more than all the rest.
        let length: usize = parts.iter().map(|part| part.len()).sum();
        Some(Self(if length == texts.call_id.len() {
            ThinArc::from_header_and_slice(header, texts.call_id.as_bytes())
        } else if length <= SMALL_TAIL {
            ThinArc::from_header_and_slice(header, joined(parts, &mut [0; SMALL_TAIL]))
        } else {
            ThinArc::from_header_and_slice(header, joined(parts, &mut [0; TAIL_MAX]))
        }))
    }

    fn put_together(facts: Facts, lengths: Lengths, texts: &[u8], caps: Caps) -> Self {
        let ids = caps.as_slice();
        let mut tail = Vec::with_capacity(texts.len() + ids.len() * CapId::LEN);
        tail.extend_from_slice(texts);
        for id in ids {
            tail.extend_from_slice(&id.to_bytes());
        }
        Self(ThinArc::from_header_and_slice(Header { facts, lengths, caps: caps.count() }, &tail))
    }

    fn header(&self) -> &Header {
        &self.0.header.header
    }

    pub fn facts(&self) -> &Facts {
        &self.header().facts
    }

    /// What the call takes beside its account's slot.
    #[inline]
    pub fn caps(&self) -> Caps {
        let count = self.header().caps;
        if count == 0 {
            return Caps::NONE;
        }
        let (_, ids) = self.0.slice.split_at(self.texts_end());
        ids.as_chunks().0.iter().copied().map(CapId::from_bytes).collect()
    }

    fn texts_end(&self) -> usize {
        self.0.slice.len() - usize::from(self.header().caps) * CapId::LEN
    }

    pub fn account(&self) -> AccountId {
        self.facts().account
    }

    /// The caller's own name of the call, visible ASCII.
    pub fn call_id(&self) -> &[u8] {
        self.text_bytes(0)
    }

    pub fn texts(&self) -> Texts<'_> {
        let text = |index| std::str::from_utf8(self.text_bytes(index)).unwrap_or_default();
        Texts { call_id: text(0), from: text(1), to: text(2), agent_id: text(3), source: text(4) }
    }

    /// The texts in the order of [`Texts`].
    pub fn text_parts(&self) -> [&[u8]; 5] {
        std::array::from_fn(|index| self.text_bytes(index))
    }

    /// All texts, one after the other.
    pub fn joined_texts(&self) -> (Lengths, &[u8]) {
        (self.header().lengths, &self.0.slice[..self.texts_end()])
    }

    /// A call from what [`Call::joined_texts`] and [`Call::caps`] gave. `None` when the lengths are not
    /// those of texts.
    pub fn from_joined(facts: Facts, lengths: Lengths, joined: &str, caps: Caps) -> Option<Self> {
        let [call_id, ..] = lengths.0;
        let mut end = 0;
        for length in lengths.0 {
            end += usize::from(length);
            joined.get(..end)?;
        }
        (end == joined.len() && usize::from(call_id) <= CALL_ID_MAX)
            .then(|| Self::put_together(facts, lengths, joined.as_bytes(), caps))
    }

    fn text_bytes(&self, index: usize) -> &[u8] {
        let lengths = self.header().lengths.0;
        let start: usize = lengths[..index].iter().map(|length| usize::from(*length)).sum();
        &self.0.slice[start..start + usize::from(lengths[index])]
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("facts", self.facts())
            .field("texts", &self.texts())
            .field("caps", &self.caps())
            .finish()
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts()
            && self.texts() == other.texts()
            && self.caps() == other.caps()
    }
}

/// What a finished call was and cost: the receipt, and what the ledger posts.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub call: Call,
    /// `None`: never reported answered.
    pub answered: Option<Moment>,
    pub ended_us: i64,
    pub outcome: Outcome,
    pub cause: Cause,
    /// Answered seconds that the charge stands for.
    pub billable_s: u32,
    /// What the call costs in whole, debt included.
    pub cost: Amount,
    /// The part of `cost` that neither hold nor wallet could pay.
    pub debt: Amount,
    /// How often the record was corrected: 0 at the end of the call, 1 after the release that
    /// followed an expiry. A correction posts the difference.
    pub revision: u32,
    /// The seconds granted at the end, for the receipt; 0: unlimited.
    pub granted_s: u32,
    /// When a repeated release or renew is no longer answered from memory.
    pub forget_at: EpochSeconds,
    /// The stack's breakdown of costs: JSON, stored as it came.
    pub costs: Option<Box<str>>,
}

impl Record {
    /// Microseconds since 1970; `None`: never reported answered.
    pub fn answered_us(&self) -> Option<i64> {
        self.answered.map(Moment::us)
    }

    /// What it takes out of the wallet: debt is not in it.
    pub const fn taken(&self) -> Amount {
        self.cost.saturating_sub(self.debt)
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::id::AccountKind;

    fn facts() -> Facts {
        Facts {
            admitted_us: 1,
            admission: 2,
            pins: None,
            account: AccountId::new(AccountKind::SubAccount, Ulid(3)),
            direction: Direction::Inbound,
            lease_s: 0,
        }
    }

    #[test]
    fn a_call_keeps_its_texts_and_refuses_longer_ones() {
        let texts =
            Texts { call_id: "a/b@c", from: "+91", to: "", agent_id: "ag", source: "kam-1" };
        let call = Call::new(facts(), texts).expect("short texts");
        assert_eq!(call.texts(), texts);
        assert_eq!(call.call_id(), b"a/b@c");
        let long = "x".repeat(CALL_ID_MAX + 1);
        assert!(Call::new(facts(), Texts { call_id: &long, ..texts }).is_none());
    }

    #[test]
    fn a_call_keeps_its_caps_beside_its_texts() {
        let texts = Texts { call_id: "a", to: "+91", ..Texts::default() };
        let caps: Caps = [7, 8].map(|id| CapId::of(Ulid(id))).into_iter().collect();
        let call = Call::with_caps(facts(), texts, caps).expect("short texts");
        assert_eq!((call.caps(), call.texts()), (caps, texts));
        let (lengths, joined) = call.joined_texts();
        let joined = std::str::from_utf8(joined).expect("texts");
        assert_eq!(Call::from_joined(facts(), lengths, joined, caps), Some(call.clone()));
        assert_ne!(Call::new(facts(), texts), Some(call), "without its caps it is another");
    }

    #[test]
    fn joined_texts_make_the_same_call_and_wrong_lengths_none() {
        let texts = Texts { call_id: "a", from: "é", ..Texts::default() };
        let call = Call::new(facts(), texts).expect("short texts");
        let (lengths, joined) = call.joined_texts();
        let joined = std::str::from_utf8(joined).expect("texts");
        assert_eq!(Call::from_joined(facts(), lengths, joined, Caps::NONE), Some(call.clone()));
        for wrong in [[1, 1, 1, 0, 0], [1, 2, 1, 0, 0], [1, 1, 0, 0, 0], [0; 5]] {
            let made = Call::from_joined(facts(), Lengths(wrong), joined, Caps::NONE);
            assert_eq!(made, None, "{wrong:?}");
        }
    }
}
