//! The rows of a version in pieces that can be stored and sent: the first byte says which form it is, then
//! the piece's direction, its distinct tariffs, and its rows in order, each with as many digits as differ
//! from the row before.

use std::collections::HashMap;

use super::prefix::{Digits, Prefix};
use super::{Row, Tariff};
use crate::call::Direction;
use crate::codec::{Malformed, Reader, Writer};
use crate::directory::DIGITS_MAX;
use crate::directory::codec::{read_rate, write_rate};
use crate::money::{Rounding, RoundingMode};

const FORM: u8 = 1;
/// Rows of one part, at most.
pub const ROWS_PER_PART: usize = 4_096;

/// Values are part of the form; never reuse one.
const BLOCKED: u8 = 0;
const RATE: u8 = 1;

/// Rows by direction and then by prefix, each once, in parts.
pub fn write(rows: &[Row]) -> Vec<Vec<u8>> {
    divided(rows).map(write_part).collect()
}

/// The first row of each part that [`write`] makes.
pub fn firsts(rows: &[Row]) -> impl Iterator<Item = &Row> {
    divided(rows).filter_map(<[Row]>::first)
}

/// The rows of each part.
fn divided(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let of_direction = rows.chunk_by(|a, b| a.direction == b.direction);
    of_direction.flat_map(|rows| rows.chunks(ROWS_PER_PART))
}

fn write_part(rows: &[Row]) -> Vec<u8> {
    let mut numbers = HashMap::new();
    let mut tariffs = Vec::new();
    for row in rows {
        numbers.entry(row.tariff).or_insert_with(|| {
            tariffs.push(row.tariff);
            tariffs.len() as u64 - 1
        });
    }
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    writer.byte(FORM);
    writer.byte(rows.first().map_or(Direction::default(), |row| row.direction) as u8);
    writer.unsigned(tariffs.len() as u64);
    for tariff in &tariffs {
        write_tariff(&mut writer, tariff);
    }
    writer.unsigned(rows.len() as u64);
    let mut before = Digits::NONE;
    for row in rows {
        let digits = row.prefix.digits();
        let shared = before.shared_with(digits);
        // Both are at most fifteen.
        writer.byte((((shared << 4) | (digits.len() - shared)) & 0xff) as u8);
        let differ = (shared..digits.len()).filter_map(|place| digits.at(place));
        differ.for_each(|digit| writer.byte(digit));
        writer.unsigned(numbers.get(&row.tariff).copied().unwrap_or_default());
        before = digits;
    }
    bytes
}

/// Appends the rows of one part.
pub fn read(bytes: &[u8], rows: &mut Vec<Row>) -> Result<(), Malformed> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORM {
        return Err(Malformed("a part of a deck of another form"));
    }
    let direction = Direction::ALL.get(usize::from(reader.byte()?));
    let direction = *direction.ok_or(Malformed("a direction"))?;
    let tariffs = (0..count(&mut reader)?).map(|_| read_tariff(&mut reader));
    let tariffs = tariffs.collect::<Result<Vec<_>, _>>()?;
    let mut before = Digits::NONE;
    for _ in 0..count(&mut reader)? {
        let lengths = reader.byte()?;
        let (shared, more) = (u32::from(lengths >> 4), u32::from(lengths & 0xf));
        if shared > before.len() || (shared + more) as usize > DIGITS_MAX {
            return Err(Malformed("the length of a prefix"));
        }
        let mut digits = before.first(shared);
        for _ in 0..more {
            let digit = Some(reader.byte()?).filter(|digit| *digit <= 9);
            digits = digits.then(digit.ok_or(Malformed("a digit"))?);
        }
        let number = usize::try_from(reader.unsigned()?).ok();
        let tariff = number.and_then(|number| tariffs.get(number)).copied();
        let tariff = tariff.ok_or(Malformed("a tariff"))?;
        rows.push(Row { direction, prefix: Prefix::of(digits), tariff });
        before = digits;
    }
    if reader.is_empty() { Ok(()) } else { Err(Malformed("more than a part of a deck")) }
}

fn count(reader: &mut Reader<'_>) -> Result<usize, Malformed> {
    let count = usize::try_from(reader.unsigned()?).ok();
    count.filter(|count| *count <= ROWS_PER_PART).ok_or(Malformed("a part of a deck too long"))
}

fn write_tariff(writer: &mut Writer<'_>, tariff: &Tariff) {
    match tariff {
        Tariff::Blocked => writer.byte(BLOCKED),
        Tariff::Rate(rate) => {
            writer.byte(RATE);
            write_rate(writer, *rate);
            writer.byte(rate.rounding().decimals());
            writer.byte(rate.rounding().mode() as u8);
        }
    }
}

fn read_tariff(reader: &mut Reader<'_>) -> Result<Tariff, Malformed> {
    match reader.byte()? {
        BLOCKED => Ok(Tariff::Blocked),
        RATE => Ok(Tariff::Rate(read_rate(reader)?.rounded(read_rounding(reader)?))),
        _ => Err(Malformed("a tariff")),
    }
}

pub(crate) fn read_rounding(reader: &mut Reader<'_>) -> Result<Rounding, Malformed> {
    let decimals = reader.byte()?;
    let mode = RoundingMode::ALL.get(usize::from(reader.byte()?));
    let rounding = mode.and_then(|mode| Rounding::new(decimals, *mode));
    rounding.ok_or(Malformed("a rounding"))
}
