//! Reads the `MessagePack` that Lua writes.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Packed {
    Number(i64),
    Flag(bool),
    Bytes(Vec<u8>),
    List(Vec<Packed>),
    Table(BTreeMap<Vec<u8>, Packed>),
}

impl Packed {
    pub(super) fn of(mut bytes: &[u8]) -> Self {
        let packed = value(&mut bytes);
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        packed
    }

    pub(super) fn signed(&self) -> i64 {
        let Self::Number(number) = self else { panic!("{self:?} is no number") };
        *number
    }

    pub(super) fn number(&self) -> u64 {
        self.signed().try_into().expect("not negative")
    }

    pub(super) fn small(&self) -> u32 {
        self.signed().try_into().expect("a small number")
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let Self::Bytes(bytes) = self else { panic!("{self:?} is no bytes") };
        bytes
    }

    pub(super) fn list(&self) -> &[Packed] {
        let Self::List(list) = self else { panic!("{self:?} is no list") };
        list
    }

    /// Lua does not tell an empty table from an empty list.
    pub(super) fn table(&self) -> BTreeMap<Vec<u8>, Packed> {
        if let Self::Table(table) = self {
            return table.clone();
        }
        assert!(self.list().is_empty(), "{self:?} is no table");
        BTreeMap::new()
    }

    pub(super) fn field(&self, name: &str) -> &Packed {
        self.optional(name).unwrap_or_else(|| panic!("{self:?} has no {name}"))
    }

    pub(super) fn optional(&self, name: &str) -> Option<&Packed> {
        let Self::Table(table) = self else { panic!("{self:?} is no table") };
        table.get(name.as_bytes())
    }

    pub(super) fn numbers<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.field(name).number())
    }

    pub(super) fn flag(&self) -> bool {
        *self == Self::Flag(true)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (first, rest) = bytes.split_at(count);
    *bytes = rest;
    first
}

fn sized(bytes: &mut &[u8], size: usize) -> usize {
    let size = take(bytes, size).iter().fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
    usize::try_from(size).expect("a size")
}

fn value(bytes: &mut &[u8]) -> Packed {
    let tag = take(bytes, 1)[0];
    match tag {
        0..=0x7f => Packed::Number(tag.into()),
        0xe0..=0xff => Packed::Number(i64::from(tag.cast_signed())),
        0x80..=0x8f => table(bytes, usize::from(tag & 0x0f)),
        0x90..=0x9f => list(bytes, usize::from(tag & 0x0f)),
        0xa0..=0xbf => Packed::Bytes(take(bytes, usize::from(tag & 0x1f)).to_vec()),
        0xc2 | 0xc3 => Packed::Flag(tag == 0xc3),
        0xcc => unsigned(bytes, 1),
        0xcd => unsigned(bytes, 2),
        0xce => unsigned(bytes, 4),
        0xcf => unsigned(bytes, 8),
        0xd0 => signed(bytes, 1),
        0xd1 => signed(bytes, 2),
        0xd2 => signed(bytes, 4),
        0xd3 => signed(bytes, 8),
        0xd9..=0xdb => {
            let length = sized(bytes, 1 << (tag - 0xd9));
            Packed::Bytes(take(bytes, length).to_vec())
        }
        0xdc | 0xdd => {
            let length = sized(bytes, 2 << (tag - 0xdc));
            list(bytes, length)
        }
        0xde | 0xdf => {
            let length = sized(bytes, 2 << (tag - 0xde));
            table(bytes, length)
        }
        _ => panic!("tag {tag:#x}: the scripts keep whole numbers, flags, bytes, lists and tables"),
    }
}

fn unsigned(bytes: &mut &[u8], size: usize) -> Packed {
    Packed::Number(i64::try_from(sized(bytes, size)).expect("below 2^53"))
}

fn signed(bytes: &mut &[u8], size: usize) -> Packed {
    let unused = 64 - 8 * u32::try_from(size).expect("small");
    let word = u64::try_from(sized(bytes, size)).expect("a word");
    Packed::Number((word << unused).cast_signed() >> unused)
}

fn list(bytes: &mut &[u8], length: usize) -> Packed {
    Packed::List((0..length).map(|_| value(bytes)).collect())
}

fn table(bytes: &mut &[u8], length: usize) -> Packed {
    let field = |bytes: &mut &[u8]| {
        let Packed::Bytes(name) = value(bytes) else { panic!("a field without a name") };
        (name, value(bytes))
    };
    Packed::Table((0..length).map(|_| field(bytes)).collect())
}
