//! What a gateway reports beside the lease protocol: statistics of refused admits, and which keys were
//! used. Nothing is decided by it, and whoever loses it loses statistics only.
//!
//! A report is known by who made it and its number, and never changes: it may be told, and read, more
//! than once, and counts once. At most one of each reporter waits for a control plane; what happens
//! meanwhile its gateway adds up for the next.

use crate::codec::{Malformed, Reader, Writer};
use crate::denial::{Reason, Scope};
use crate::id::{AccountId, HolderId};
use crate::key::KeyHash;

/// Seconds of one slice of a minute: when a call was refused is known so exactly.
pub const SLICE_S: u32 = 5;
/// Slices of a minute.
pub const SLICES: usize = 12;
const _: () = assert!(SLICE_S as usize * SLICES == 60);

/// Accounts times minutes in one report, at most.
pub const MINUTES_MAX: usize = 1_000;
/// Keys in one report, at most.
pub const KEYS_MAX: usize = 1_000;
/// Reporters whose report waits for a control plane, at most; others wait with theirs.
pub const REPORTERS_MAX: u32 = 1_000;

/// Of the form below; a report of another version is passed over.
const VERSION: u8 = 1;

/// Minutes since 1970, in UTC.
pub type EpochMinutes = u32;

/// The minute in which `us` lies.
pub fn minute_of(us: i64) -> EpochMinutes {
    EpochMinutes::try_from(us.div_euclid(60_000_000)).unwrap_or(0)
}

/// When a minute begins, in microseconds since 1970.
pub fn minute_us(minute: EpochMinutes) -> i64 {
    i64::from(minute) * 60_000_000
}

/// The slice of its minute in which `us` lies.
pub fn slice_of(us: i64) -> usize {
    let second = us.div_euclid(1_000_000).rem_euclid(60);
    usize::try_from(second / i64::from(SLICE_S)).unwrap_or(0)
}

/// Calls refused for slots, in each slice of a minute. A call that is tried again counts once.
pub type Slices = [u32; SLICES];

/// Refused admits of one account in one minute, or a part of them: what reports say of the same minute
/// adds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub account: AccountId,
    pub minute: EpochMinutes,
    /// Admits by reason, each try.
    pub denials: Vec<(Reason, u32)>,
    /// Calls, by whose limit refused them.
    pub by_account: Slices,
    pub by_organization: Slices,
}

impl Refused {
    /// By whose limit.
    pub const fn calls(&self, scope: Scope) -> &Slices {
        match scope {
            Scope::Account => &self.by_account,
            Scope::Organization => &self.by_organization,
        }
    }
}

/// A key was used in a minute, or up to one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    pub hash: KeyHash,
    pub minute: EpochMinutes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One start of a gateway.
    pub reporter: HolderId,
    /// Grows from report to report.
    pub sequence: u64,
    pub refused: Vec<Refused>,
    pub keys: Vec<KeyUse>,
    /// Refused admits beyond what the gateway keeps apart: nobody knows any more whose they were.
    pub unattributed: u64,
}

impl Report {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.byte(VERSION);
        writer.fixed(self.reporter.0.to_le_bytes());
        writer.unsigned(self.sequence);
        writer.unsigned(self.unattributed);
        writer.unsigned(self.refused.len() as u64);
        for refused in &self.refused {
            writer.fixed(refused.account.to_bytes());
            writer.unsigned(refused.minute.into());
            writer.unsigned(refused.denials.len() as u64);
            for (reason, count) in &refused.denials {
                // By its name: another version has other numbers.
                writer.bytes(reason.label().as_bytes());
                writer.unsigned((*count).into());
            }
            write_slices(&mut writer, &refused.by_account);
            write_slices(&mut writer, &refused.by_organization);
        }
        writer.unsigned(self.keys.len() as u64);
        for key in &self.keys {
            writer.fixed(*key.hash.as_bytes());
            writer.unsigned(key.minute.into());
        }
        bytes
    }

    /// Denials for a reason that this version does not know are not attributed.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return Err(Malformed("a report of another version"));
        }
        let reporter = HolderId(u128::from_le_bytes(reader.fixed()?));
        let sequence = reader.unsigned()?;
        let mut unattributed = reader.unsigned()?;
        let mut refused = Vec::new();
        for _ in 0..length(&mut reader, MINUTES_MAX)? {
            let account = AccountId::from_bytes(&reader.fixed()?).ok_or(Malformed("an account"))?;
            let minute = reader.small()?;
            let mut denials = Vec::new();
            for _ in 0..length(&mut reader, u8::MAX.into())? {
                let label = reader.text()?;
                let reason = Reason::ALL.into_iter().find(|reason| reason.label() == label);
                let count = reader.small()?;
                match reason {
                    Some(reason) => denials.push((reason, count)),
                    None => unattributed = unattributed.saturating_add(count.into()),
                }
            }
            let by_account = read_slices(&mut reader)?;
            let by_organization = read_slices(&mut reader)?;
            refused.push(Refused { account, minute, denials, by_account, by_organization });
        }
        let mut keys = Vec::new();
        for _ in 0..length(&mut reader, KEYS_MAX)? {
            let hash = KeyHash::from_bytes(reader.fixed()?);
            keys.push(KeyUse { hash, minute: reader.small()? });
        }
        if !reader.is_empty() {
            return Err(Malformed("a report goes on after its end"));
        }
        Ok(Self { reporter, sequence, refused, keys, unattributed })
    }
}

fn length(reader: &mut Reader<'_>, most: usize) -> Result<usize, Malformed> {
    let length = usize::try_from(reader.unsigned()?).ok().filter(|length| *length <= most);
    length.ok_or(Malformed("a report is too long"))
}

/// Only the slices with calls: mostly none, or few.
fn write_slices(writer: &mut Writer<'_>, slices: &Slices) {
    let some = || (0_u8..).zip(slices).filter(|(_, calls)| **calls > 0);
    writer.unsigned(some().count() as u64);
    for (slice, calls) in some() {
        writer.byte(slice);
        writer.unsigned((*calls).into());
    }
}

fn read_slices(reader: &mut Reader<'_>) -> Result<Slices, Malformed> {
    let mut slices = Slices::default();
    for _ in 0..length(reader, SLICES)? {
        let slice = usize::from(reader.byte()?);
        *slices.get_mut(slice).ok_or(Malformed("a slice of a minute"))? = reader.small()?;
    }
    Ok(slices)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{AccountKind, Ulid};

    fn report() -> Report {
        let mut by_account = Slices::default();
        by_account[0] = 3;
        by_account[SLICES - 1] = 70_000;
        let refused = Refused {
            account: AccountId::new(AccountKind::SubAccount, Ulid::from(7_u128)),
            minute: 29_000_000,
            denials: vec![(Reason::NoSlot, 9), (Reason::RateLimited, 1)],
            by_account,
            by_organization: Slices::default(),
        };
        let key = KeyUse { hash: KeyHash::of(b"k"), minute: 29_000_001 };
        Report {
            reporter: HolderId(5),
            sequence: 4,
            refused: vec![refused],
            keys: vec![key],
            unattributed: 2,
        }
    }

    #[test]
    fn a_report_reads_back_as_written() {
        assert_eq!(Report::read(&report().to_bytes()), Ok(report()));
    }

    #[test]
    fn a_reason_of_another_version_is_counted_for_nobody() {
        let bytes = report().to_bytes();
        let at = bytes.windows(7).position(|bytes| bytes == b"no_slot").expect("there");
        let mut newer = bytes;
        newer[at..at + 7].copy_from_slice(b"no_moon");
        let read = Report::read(&newer).expect("readable");
        assert_eq!((read.unattributed, read.refused[0].denials.len()), (2 + 9, 1));
    }

    #[test]
    fn a_minute_has_twelve_slices() {
        let second = 1_000_000;
        assert_eq!((minute_of(60 * second - 1), minute_of(60 * second)), (0, 1));
        assert_eq!(slice_of(4 * second), 0);
        assert_eq!(slice_of(65 * second), 1);
        assert_eq!(slice_of(120 * second - 1), SLICES - 1);
        assert_eq!(minute_us(2), 120 * second);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_fail_otherwise_than_by_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200,
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            prop_assert!(Report::read(&bytes).is_err() || bytes.len() > 20);
            let whole = report().to_bytes();
            let cut = cut % whole.len();
            prop_assert!(Report::read(&whole[..cut]).is_err());
        }
    }
}
