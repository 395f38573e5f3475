//! Allocations as requests give them and as they are checked before they are written.

use hub::allocation::{OverAllocation, check};
use sqlx::AnyConnection;

use crate::account::{Account, floors};
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Given, values};
use crate::problem::{Kind, Problem};

const OUTBOUND: &str = "max_outbound_concurrency";

/// What a request says about an account's slots.
#[derive(Default)]
pub(crate) struct Asked {
    floor: Option<u32>,
    /// `Null`: elastic, up to the organization's total.
    cap: Given<u32>,
}

/// Reads `concurrency_limit`, or `min_concurrency` and `max_concurrency`. On create one of the two
/// ways is needed.
pub(crate) fn read(fields: &mut Fields, needed: bool) -> Asked {
    let pair = fields.has("min_concurrency") || fields.has("max_concurrency");
    let single = fields.has("concurrency_limit");
    let limit = fields.optional("concurrency_limit", values::whole(values::CONCURRENCY));
    let floor = fields.optional("min_concurrency", values::whole(values::CONCURRENCY));
    let cap = fields.given("max_concurrency", values::whole(values::CONCURRENCY));
    if single && pair {
        fields.refuse(
            "concurrency_limit",
            "give either concurrency_limit, or min_concurrency and max_concurrency",
        );
    }
    if needed && !single && !pair {
        fields.refuse(
            "concurrency_limit",
            "required: concurrency_limit, or min_concurrency and/or max_concurrency",
        );
    }
    limit.map_or_else(|| Asked::between(floor, cap), Asked::fixed)
}

/// The members of requests that [`read`] reads.
pub(crate) fn asked() -> [(&'static str, Schema); 3] {
    let slots = || schema::whole(values::CONCURRENCY);
    [
        (
            "concurrency_limit",
            slots()
                .about("floor and cap at once, instead of `min_concurrency` and `max_concurrency`")
                .example(10),
        ),
        (
            "min_concurrency",
            slots().about("the floor: slots that are always there for it").example(5),
        ),
        (
            "max_concurrency",
            slots()
                .or_null()
                .about("the cap; null is elastic: up to the organization's total")
                .example(20),
        ),
    ]
}

/// Reads `max_outbound_concurrency`.
pub(crate) fn outbound(fields: &mut Fields) -> Given<u32> {
    fields.given(OUTBOUND, values::whole(values::CONCURRENCY))
}

/// The member of requests that [`outbound`] reads.
pub(crate) fn outbound_asked() -> (&'static str, Schema) {
    let about = "the most slots that outbound calls may use; the rest of its slots is for inbound calls; null: all";
    (OUTBOUND, schema::whole(values::CONCURRENCY).or_null().about(about).example(8))
}

impl Asked {
    /// Floor and cap are the same.
    pub(crate) const fn fixed(limit: u32) -> Self {
        Self { floor: Some(limit), cap: Given::Value(limit) }
    }

    pub(crate) const fn between(floor: Option<u32>, cap: Given<u32>) -> Self {
        Self { floor, cap }
    }

    pub(crate) const fn is_absent(&self) -> bool {
        self.floor.is_none() && self.cap.is_absent()
    }

    /// Merges into an account's present floor and cap.
    pub(crate) fn merge_into(self, account: &mut Account) {
        account.floor = self.floor.unwrap_or(account.floor);
        account.cap = self.cap.merged(account.cap);
    }
}

/// Checks an account's floor and cap against its organization's total, within the transaction that
/// writes them. A refusal tells the numbers.
pub(crate) async fn verify(
    connection: &mut AnyConnection,
    account: &Account,
    total: u32,
) -> Result<(), Problem> {
    let others = floors::of_others(connection, account.organization, account.id).await?;
    check(account.floor, account.cap, others, total).map_err(|refused| match refused {
        OverAllocation::FloorAboveCap { floor, cap } => {
            Problem::field("min_concurrency", refused.to_string())
                .with("floor", floor)
                .with("cap", cap)
        }
        OverAllocation::FloorsAboveTotal { floors, total } => {
            let total_wide = u64::from(total);
            Problem::new(Kind::OverAllocation, refused.to_string())
                .with("floors", floors)
                .with("total", total)
                .with("over_by", floors.saturating_sub(total_wide))
                .with("requested", account.floor)
                .with("allocated_to_others", others)
                .with("available", total_wide.saturating_sub(others))
        }
    })
}
