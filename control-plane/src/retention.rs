//! How long call records say who called whom. Then they are purged: numbers, agent and source go, with
//! whatever a cost breakdown said beyond its amounts. What is counted and charged stays, row by row, so
//! usage of any window and time zone is what it was, peaks too, and the ledger agrees with the calls. The
//! `call_id` stays as well: it is how a charge is explained, and how a record that comes again meets its row,
//! however late, and is not charged twice.

use std::ops::RangeInclusive;

use hub::clock::SECOND_US;

use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Given, values};

pub(crate) mod purge;

pub(crate) const DAYS: RangeInclusive<u32> = 1..=3_653;
const DAY_US: i64 = 86_400 * SECOND_US;
/// A call that was admitted later is never purged yet, whatever its account says; nor is it when the
/// clocks of a gateway and of the control plane differ by half a day.
pub(crate) const WHOLE_US: i64 = DAY_US / 2;
const _: () = assert!(WHOLE_US < DAY_US);

const FIELD: &str = "call_retention_days";

/// Reads `call_retention_days`.
pub(crate) fn read(fields: &mut Fields) -> Given<u32> {
    fields.given(FIELD, values::whole(DAYS))
}

/// The member of requests that [`read`] reads; `null` says what null is.
pub(crate) fn asked(null: &str) -> (&'static str, Schema) {
    let about = format!(
        "for how many days call records say who called whom, to the next midnight, UTC; null: {null}"
    );
    (FIELD, schema::whole(DAYS).or_null().about(about).example(90))
}

/// The member of answers.
pub(crate) fn shown(null: &str) -> (&'static str, Schema) {
    (FIELD, schema::count().or_null().about(format!("null: {null}")).example(90))
}
