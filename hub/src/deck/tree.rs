//! Finds the longest prefix of a number among many, one step for each digit at most: a tree whose nodes
//! have a bit for each next digit that some prefix has, and their children side by side. Where only one
//! prefix is left its digits are compared at once.

use std::collections::VecDeque;
use std::ops::Range;

use super::prefix::{Digits, Prefix};

/// No row.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The row whose prefix ends here; of a node without children, the one row that is left.
    row: u32,
    /// The first child.
    children: u32,
    /// Which next digits there are.
    next: u16,
}

/// Prefixes in order, each once, and the tree over them. Rows are named by their place in that order.
#[derive(Debug)]
pub struct Tree {
    nodes: Box<[Node]>,
    prefixes: Box<[Prefix]>,
}

/// The prefixes are not in order, or one is there twice, or there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefixes out of order")]
pub struct OutOfOrder;

impl Tree {
    /// Of prefixes in order.
    pub fn new(prefixes: Box<[Prefix]>) -> Result<Self, OutOfOrder> {
        let is_ordered = prefixes.windows(2).all(|pair| pair[0] < pair[1]);
        let count = u32::try_from(prefixes.len()).ok().filter(|count| *count < NONE);
        let count = count.filter(|_| is_ordered).ok_or(OutOfOrder)?;
        let mut nodes = Vec::new();
        // Nodes are made in the order in which they are entered here, so children lie side by side.
        let mut pending = VecDeque::from([(0..count, 0)]);
        let mut entered: u32 = 1;
        while let Some((rows, depth)) = pending.pop_front() {
            let mut node = Node { row: NONE, children: 0, next: 0 };
            if rows.len() == 1 {
                node.row = rows.start;
            } else {
                let below = own_row(&prefixes, &rows, depth, &mut node);
                node.children = entered;
                for (digit, rows) in by_digit(&prefixes, below, depth) {
                    node.next |= 1 << digit;
                    pending.push_back((rows, depth + 1));
                    entered += 1;
                }
            }
            nodes.push(node);
        }
        Ok(Self { nodes: nodes.into(), prefixes })
    }

    /// The row of the longest prefix that the number begins with.
    pub fn longest(&self, number: Digits) -> Option<usize> {
        let mut found = NONE;
        let mut node = self.nodes.first()?;
        for depth in 0.. {
            if node.next == 0 {
                let begins = |row: &u32| {
                    self.prefixes.get(*row as usize).is_some_and(|it| it.begins(number))
                };
                found = Some(node.row).filter(begins).unwrap_or(found);
                break;
            }
            if node.row != NONE {
                found = node.row;
            }
            let Some(digit) = number.at(depth).filter(|digit| node.next >> digit & 1 == 1) else {
                break;
            };
            let before = (node.next & ((1 << digit) - 1)).count_ones();
            node = self.nodes.get((node.children + before) as usize)?;
        }
        (found != NONE).then_some(found as usize)
    }

    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }
}

/// Notes the row whose prefix ends at this depth, and gives the others.
fn own_row(prefixes: &[Prefix], rows: &Range<u32>, depth: u32, node: &mut Node) -> Range<u32> {
    match prefixes.get(rows.start as usize) {
        Some(first) if first.digits().len() == depth => {
            node.row = rows.start;
            rows.start + 1..rows.end
        }
        _ => rows.clone(),
    }
}

/// Rows that are alike before this depth, by their digit there.
fn by_digit(
    prefixes: &[Prefix],
    rows: Range<u32>,
    depth: u32,
) -> impl Iterator<Item = (u8, Range<u32>)> {
    let mut start = rows.start;
    let digit_of = move |row: u32| prefixes.get(row as usize)?.digits().at(depth);
    std::iter::from_fn(move || {
        let digit = (start < rows.end).then(|| digit_of(start)).flatten()?;
        let is_more = |row: &u32| digit_of(*row) == Some(digit);
        let end = (start..rows.end).take_while(is_more).last()? + 1;
        let group = start..end;
        start = end;
        Some((digit, group))
    })
}
