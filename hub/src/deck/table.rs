//! Finds the longest prefix of a number among many, in memory that is seldom in a cache: a look-up goes
//! to one place of a table by the number's first digits, to the few rows that lie there side by side, and
//! is done, but for a step to each shorter prefix that it has to try.
//!
//! Rows are in the order of their digits. The last one that is not beyond the number begins with the
//! longest prefix of it, for that is not beyond the number either, and all that lies between the two begins
//! with it. So each row names the longest other prefix that it begins with.
//!
//! Where many rows begin alike a table of the next digits leads on: at most one step for every two digits, to
//! at most [`GROUP_MAX`] rows. A row takes 16 bytes, and of the first table 8 or less; each table that leads on
//! takes 808 bytes, for more than [`GROUP_MAX`] rows.

use super::prefix::{Digits, Prefix};
use crate::directory::DIGITS_MAX;

/// No row.
const NONE: u32 = u32::MAX;
/// The first table has as many digits as it has rows for, so many at most.
const FIRST_DIGITS_MAX: u32 = 5;
/// More rows that begin alike are split by so many digits more.
const GROUP_MAX: usize = 32;
const SPLIT_DIGITS: u32 = 2;
const SPLIT_GROUPS: usize = 10_usize.pow(SPLIT_DIGITS);

/// Four to a line of a cache.
#[derive(Clone, Copy, Debug)]
struct Row {
    prefix: Prefix,
    value: u32,
    /// The row of the longest other prefix that this one begins with, which comes before it.
    shorter: u32,
}

/// Rows that begin alike. They end where those of the next group start.
#[derive(Clone, Copy, Debug)]
struct Group {
    start: u32,
    /// 1 more than the place of the table that leads on; 0: none does.
    split: u32,
}

/// Prefixes with a number each.
#[derive(Debug)]
pub struct Table {
    rows: Box<[Row]>,
    first_digits: u32,
    /// One group for each number of so many digits, and one more, as in the others.
    first: Box<[Group]>,
    splits: Vec<[Group; SPLIT_GROUPS + 1]>,
}

/// The prefixes are not in order, or one is there twice, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefixes out of order")]
pub struct OutOfOrder;

impl Table {
    /// Of prefixes in order.
    pub fn new(prefixes: impl Iterator<Item = (Prefix, u32)>) -> Result<Self, OutOfOrder> {
        let rows = rows(prefixes)?;
        let has_rows_for = |digits: &u32| 10_usize.pow(*digits) <= rows.len();
        let first_digits = (1..=FIRST_DIGITS_MAX).take_while(has_rows_for).last().unwrap_or(0);
        let mut table = Self { rows, first_digits, first: Box::default(), splits: Vec::new() };
        let mut first = table.groups(0..table.rows.len(), (0, first_digits));
        table.split(&mut first, first_digits);
        table.first = first.into();
        Ok(table)
    }

    /// The number beside the longest prefix that `number` begins with.
    pub fn longest(&self, number: Digits) -> Option<u32> {
        let mut depth = self.first_digits;
        let (mut group, mut end) = at(&self.first, number.value(0, depth))?;
        while group.split != 0 {
            let split = self.splits.get(group.split as usize - 1)?;
            (group, end) = at(split, number.value(depth, SPLIT_DIGITS))?;
            depth += SPLIT_DIGITS;
        }
        // Looks at all of them: nothing has to be waited for in between.
        let among = self.rows.get(group.start as usize..end as usize)?;
        let before = among.iter().filter(|row| row.prefix.digits() <= number).count();
        let mut row = self.rows.get((group.start as usize + before).checked_sub(1)?)?;
        while !row.prefix.begins(number) {
            row = self.rows.get(row.shorter as usize)?;
        }
        Some(row.value)
    }

    /// Rows that are alike before `from`, by their next `count` digits; shorter ones are with those that have
    /// zeros there.
    fn groups(&self, rows: std::ops::Range<usize>, (from, count): (u32, u32)) -> Vec<Group> {
        let mut start = rows.start;
        let mut group = |key| {
            let is_before = |row: &&Row| row.prefix.digits().value(from, count) < key;
            start += self.rows[start..rows.end].iter().take_while(is_before).count();
            Group { start: u32::try_from(start).unwrap_or(NONE), split: 0 }
        };
        (0..=10_usize.pow(count)).map(&mut group).collect()
    }

    /// Leads on from groups of many rows, which are alike before this depth.
    fn split(&mut self, groups: &mut [Group], depth: u32) {
        for index in 1..groups.len() {
            let rows = groups[index - 1].start as usize..groups[index].start as usize;
            if rows.len() <= GROUP_MAX || depth as usize >= DIGITS_MAX {
                continue;
            }
            let mut below = self.groups(rows, (depth, SPLIT_DIGITS));
            self.split(&mut below, depth + SPLIT_DIGITS);
            if let Ok(table) = below.try_into() {
                self.splits.push(table);
                groups[index - 1].split = u32::try_from(self.splits.len()).unwrap_or(0);
            }
        }
    }
}

/// A group of a table, and where it ends.
fn at(groups: &[Group], key: usize) -> Option<(Group, u32)> {
    match groups.get(key..key + 2)? {
        [group, next] => Some((*group, next.start)),
        _ => None,
    }
}

/// Prefixes in order, each with the place of the next shorter one.
fn rows(prefixes: impl Iterator<Item = (Prefix, u32)>) -> Result<Box<[Row]>, OutOfOrder> {
    let mut rows: Vec<Row> = Vec::with_capacity(prefixes.size_hint().0);
    for (prefix, value) in prefixes {
        let last = u32::try_from(rows.len()).map_err(|_| OutOfOrder)?.checked_sub(1);
        let mut shorter = last.unwrap_or(NONE);
        if rows.last().is_some_and(|last| last.prefix >= prefix) || shorter == NONE - 1 {
            return Err(OutOfOrder);
        }
        while let Some(row) = rows.get(shorter as usize) {
            if row.prefix.begins(prefix.digits()) {
                break;
            }
            shorter = row.shorter;
        }
        rows.push(Row { prefix, value, shorter });
    }
    Ok(rows.into())
}
