//! The slots that a request asks for: by one fixed limit, as older clients do, or by floor and cap.

use crate::allocation::Asked;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, values};

const FIELDS: [&str; 3] = ["allow_concurrent_calls", "min_concurrency", "max_concurrency"];

/// The members of requests that [`read`] reads.
pub(super) fn members() -> [(&'static str, Schema); 3] {
    let slots = || schema::whole(values::CONCURRENCY).or_null();
    [
        (
            "allow_concurrent_calls",
            slots()
                .about("of older clients: floor and cap at once; does not count beside the others"),
        ),
        ("min_concurrency", slots().about("the floor").example(5)),
        (
            "max_concurrency",
            slots().about("the cap; null: up to the organization's total; 0: paused").example(20),
        ),
    ]
}

/// Whether any of its fields is there, read or not.
pub(super) fn is_given(fields: &Fields) -> bool {
    FIELDS.iter().any(|field| fields.has(field))
}

/// Reads `allow_concurrent_calls`, `min_concurrency` and `max_concurrency`. Where the limit comes with
/// floor or cap, as a client sends it that sends back what it has read, these count.
pub(super) fn read(fields: &mut Fields) -> Asked {
    let whole = || values::whole(values::CONCURRENCY);
    let limit = fields.given("allow_concurrent_calls", whole()).value();
    let floor = fields.given("min_concurrency", whole()).value();
    let cap = fields.given("max_concurrency", whole());
    match limit {
        Some(limit) if floor.is_none() && cap.is_absent() => Asked::fixed(limit),
        _ => Asked::between(floor, cap),
    }
}
