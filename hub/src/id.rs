//! Identifiers of accounts and holders. Parsed once at the edge; a value of these types is well formed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

pub use ulid::Ulid;

/// Logical shards of the hub; fixed at install (lease-protocol, section 1).
pub const SHARDS: usize = 256;

/// What sort of account an id names. The wire prefix tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AccountKind {
    Organization = 0,
    SubAccount = 1,
    Workspace = 2,
}

impl AccountKind {
    const ALL: [Self; 3] = [Self::Organization, Self::SubAccount, Self::Workspace];

    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Organization => "org_",
            Self::SubAccount => "sa_",
            Self::Workspace => "ws_",
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Organization),
            1 => Some(Self::SubAccount),
            2 => Some(Self::Workspace),
            _ => None,
        }
    }
}

/// An organization, sub-account or workspace: what slots and usage belong to. Written `sa_` and a
/// lower-case ULID. A *shadow* is the counterpart on which an account's test keys act; it is written
/// as its account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId {
    kind: AccountKind,
    shadow: bool,
    ulid: [u8; 16],
}

impl AccountId {
    /// Bytes of the binary form.
    pub const LEN: usize = 17;
    /// Bytes of the longest wire form.
    pub const TEXT_MAX: usize = 30;
    const SHADOW_BIT: u8 = 0x80;

    pub fn new(kind: AccountKind, ulid: Ulid) -> Self {
        Self { kind, shadow: false, ulid: ulid.to_bytes() }
    }

    pub const fn kind(self) -> AccountKind {
        self.kind
    }

    pub const fn is_shadow(self) -> bool {
        self.shadow
    }

    /// The account on which test keys of this account act.
    #[must_use]
    pub const fn shadow(self) -> Self {
        Self { shadow: true, ..self }
    }

    /// The account itself, whether or not this is its shadow.
    #[must_use]
    pub const fn real(self) -> Self {
        Self { shadow: false, ..self }
    }

    pub fn ulid(self) -> Ulid {
        Ulid::from_bytes(self.ulid)
    }

    /// The logical shard of an organization's id; everything of one organization lives in one shard.
    pub fn shard(self) -> u8 {
        // A fixed hash: the assignment is part of the data's format.
        (crc32c::crc32c(&self.ulid) & 0xff) as u8
    }

    /// Kind and shadow in one byte.
    const fn tag(self) -> u8 {
        self.kind as u8 | if self.shadow { Self::SHADOW_BIT } else { 0 }
    }

    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.tag();
        bytes[1..].copy_from_slice(&self.ulid);
        bytes
    }

    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let mut ulid = [0; 16];
        ulid.copy_from_slice(&bytes[1..]);
        Some(Self {
            kind: AccountKind::from_byte(bytes[0] & !Self::SHADOW_BIT)?,
            shadow: bytes[0] & Self::SHADOW_BIT != 0,
            ulid,
        })
    }

    /// Writes the wire form into `text` and returns it; no allocation.
    pub fn write(self, text: &mut [u8; Self::TEXT_MAX]) -> &str {
        let prefix = self.kind.prefix();
        let end = prefix.len() + ulid::ULID_LEN;
        text[..prefix.len()].copy_from_slice(prefix.as_bytes());
        write_digits(self.ulid, &mut text[prefix.len()..end]);
        std::str::from_utf8(&text[..end]).unwrap_or_default()
    }
}

impl Hash for AccountId {
    /// Two words: ids are the keys of every table.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_le_bytes(self.ulid));
        state.write_u8(self.tag());
    }
}

/// Writes a ULID in lower case: five bits a digit, the first digit three.
fn write_digits(ulid: [u8; 16], text: &mut [u8]) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    /// Bits and digits of a word.
    const WORD: (u32, usize) = (60, 12);
    let mut number = u128::from_be_bytes(ulid);
    for digits in text.rchunks_mut(WORD.1) {
        let mut word = u64::try_from(number & ((1 << WORD.0) - 1)).unwrap_or(0);
        number >>= WORD.0;
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(word & 0x1f) as usize];
            word >>= 5;
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; 30]))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}{}", if self.shadow { "(test)" } else { "" })
    }
}

/// The text is not the id of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an account id: org_, sa_ or ws_ and 26 lower-case ULID characters")]
pub struct InvalidAccountId;

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        let (kind, digits) = AccountKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or(InvalidAccountId)?;
        if digits.len() != ulid::ULID_LEN || digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidAccountId);
        }
        let ulid = Ulid::from_string(digits).map_err(|_| InvalidAccountId)?;
        let id = Self::new(kind, ulid);
        // ULID's alphabet has aliases (i, l, o); one account has one spelling.
        if id.to_string() == text { Ok(id) } else { Err(InvalidAccountId) }
    }
}

/// One start of one gateway process: random, never configured, never reused (rule 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HolderId(pub u128);

impl fmt::Display for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_reads_back_as_written_in_text_and_bytes() {
        let id = AccountId::new(
            AccountKind::SubAccount,
            Ulid(0x0192_f0c4_1234_5678_9abc_def0_1357_9bdf),
        );
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(AccountId::from_bytes(&id.shadow().to_bytes()), Some(id.shadow()));
        assert_eq!(id.shadow().real(), id);
        assert_eq!(id.to_string().len(), 29);
    }

    #[test]
    fn one_account_has_one_spelling() {
        let id = AccountId::new(AccountKind::Organization, Ulid(1));
        assert!(id.to_string().to_uppercase().parse::<AccountId>().is_err());
        assert!("org_0000000000000000000000000l".parse::<AccountId>().is_err());
        assert!("sa_".parse::<AccountId>().is_err());
        assert!("".parse::<AccountId>().is_err());
    }
}
