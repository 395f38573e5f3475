//! What a route may refuse, by status: what follows from its method, path, subject and permit, and
//! what its operation adds. On the second surface in the shapes of its clients.

use std::collections::BTreeMap;

use axum::routing::MethodFilter;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::schema::{self, Schema};
use crate::access::Subject;
use crate::compatibility;
use crate::permission::Permit;
use crate::problem::Kind;
use crate::router::Route;

/// Statuses with the kinds of problem behind each.
type Kinds = BTreeMap<u16, Vec<Kind>>;

/// The responses of a route that refuse, by status, as references to components.
pub(super) fn responses(
    route: &Route,
    added: &[Kind],
    components: &mut Map<String, Value>,
) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, kinds) in kinds(route, added) {
        let (name, response) = if compatibility::owns(route.path) {
            (format!("compatibility_{status}"), in_other_shape(status))
        } else {
            let names: Vec<_> = kinds.iter().map(|kind| kind.reason()).collect();
            (names.join("-"), problem(status, &kinds))
        };
        let reference = format!("#/components/responses/{name}");
        components.insert(name, response);
        responses.insert(status.to_string(), json!({"$ref": reference}));
    }
    responses
}

fn kinds(route: &Route, added: &[Kind]) -> Kinds {
    let reads = route.method == MethodFilter::GET;
    let of_somebody = !matches!(route.subject, Subject::Installation | Subject::User);
    let mut kinds = vec![
        (true, Kind::InvalidRequest),
        (route.permit != Permit::Anyone, Kind::Unauthenticated),
        (route.permit != Permit::Anyone || !reads, Kind::Forbidden),
        (of_somebody, Kind::UnknownAccount),
        (route.path.contains('{'), Kind::NotFound),
        (true, Kind::TooLarge),
        (true, Kind::RateLimited),
        (true, Kind::Internal),
        (!reads, Kind::HubUnavailable),
        (true, Kind::Busy),
    ];
    let is_idempotent = route.method == MethodFilter::POST && route.permit != Permit::Anyone;
    kinds.push((is_idempotent, Kind::IdempotencyKeyReused));
    for (parameter, kind) in [
        ("{key_id}", Kind::UnknownKey),
        ("{user_id}", Kind::UnknownMember),
        ("{invitation_id}", Kind::UnknownInvitation),
        ("{delegation_id}", Kind::UnknownDelegation),
        ("{token_id}", Kind::UnknownToken),
        ("{webhook_id}", Kind::UnknownWebhook),
        ("{delivery_id}", Kind::UnknownDelivery),
        ("{invoice_id}", Kind::UnknownInvoice),
        ("{credit_note_id}", Kind::UnknownCreditNote),
        ("{attempt_id}", Kind::UnknownRechargeAttempt),
    ] {
        kinds.push((route.path.contains(parameter), kind));
    }
    let follow = kinds.into_iter().filter(|(is_possible, _)| *is_possible).map(|(_, kind)| kind);
    let mut by_status = Kinds::new();
    for kind in follow.chain(added.iter().copied()) {
        let mut status = kind.status();
        if kind == Kind::OverAllocation && compatibility::owns(route.path) {
            status = StatusCode::BAD_REQUEST;
        }
        let of_status = by_status.entry(status.as_u16()).or_default();
        if !of_status.contains(&kind) {
            of_status.push(kind);
        }
    }
    by_status
}

/// Headers that come with every answer to a request that was counted.
pub(super) fn allowance() -> Map<String, Value> {
    let names = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    let reference = |name| json!({"$ref": format!("#/components/headers/{name}")});
    names.into_iter().map(|name| (name.to_owned(), reference(name))).collect()
}

/// Headers that come with a status, whoever refuses.
fn headers(status: u16) -> Map<String, Value> {
    let seconds = json!({"type": "integer", "minimum": 1});
    let more = match status {
        401 => Some((
            "WWW-Authenticate",
            json!({"schema": {"type": "string"}, "description": "how to say who asks; not where an e-mail address and a password were wrong"}),
        )),
        412 => Some((
            "ETag",
            json!({"schema": {"type": "string"}, "required": true, "description": "the tag of now"}),
        )),
        429 => Some((
            "Retry-After",
            json!({"schema": seconds, "required": true, "description": "seconds"}),
        )),
        503 => Some(("Retry-After", json!({"schema": seconds, "description": "seconds"}))),
        _ => None,
    };
    let mut headers = allowance();
    headers.extend(more.map(|(name, header)| (name.to_owned(), header)));
    headers
}

fn problem(status: u16, kinds: &[Kind]) -> Value {
    let titles: Vec<_> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.reason(), kind.title())).collect();
    let reasons: Vec<_> = kinds.iter().map(|kind| kind.reason()).collect();
    let narrowed = json!({"properties": {
        "status": {"const": status},
        "reason": {"enum": reasons},
    }});
    json!({
        "description": titles.join("\n"),
        "headers": headers(status),
        "content": {"application/problem+json": {
            "schema": {"allOf": [problem_schema().into_json(), narrowed]},
        }},
    })
}

/// RFC 9457, with the members that clients of the older shape read.
fn problem_schema() -> Schema {
    let error = schema::answered([
        (
            "field",
            schema::text()
                .about("its name, `rate.per_minute` within an object")
                .example("min_concurrency"),
        ),
        (
            "value",
            schema::text()
                .may_be_missing()
                .about("as it was given, cut short; never a secret")
                .example("11"),
        ),
        (
            "problem",
            schema::text()
                .about("what was expected")
                .example("expected a whole number from 0 to 10"),
        ),
    ]);
    let status = || schema::whole(400..=599).example(409);
    schema::answered([
        (
            "type",
            schema::pattern("^urn:ringfence:problem:[a-z_]+$")
                .example("urn:ringfence:problem:over_allocation"),
        ),
        ("title", schema::text().example("More slots promised than bought")),
        ("status", status()),
        (
            "reason",
            schema::pattern("^[a-z_]+$").about("what to branch on").example("over_allocation"),
        ),
        ("detail", schema::text().about("what happened here and, where that helps, what to do")),
        ("statusCode", status().about("the same as `status`")),
        ("message", schema::text().about("the same as `detail`")),
        ("error", schema::text().about("the name of the status").example("Conflict")),
        (
            "errors",
            schema::list(error).may_be_missing().about("every field that is not as it should be"),
        ),
    ])
    .about("A refusal (RFC 9457). Some kinds have more members: the numbers behind them.")
    .open()
    .named("Problem")
}

/// What clients of the second surface know.
fn in_other_shape(status: u16) -> Value {
    let number = || schema::whole(status.into()..=status.into());
    let ordinary = schema::answered([("error", number()), ("message", schema::text())]);
    let message = || schema::answered([("message", schema::text())]);
    let shapes = match status {
        400 => vec![
            ordinary,
            message(),
            schema::answered([("message", schema::text()), ("details", details())]),
            schema::answered([("error", schema::text()), ("status", schema::text())]),
        ],
        403 => vec![ordinary, message()],
        _ => vec![ordinary],
    };
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    json!({
        "description": phrase.unwrap_or_default(),
        "headers": headers(status),
        "content": {"application/json": {"schema": schema::any_of(shapes).into_json()}},
    })
}

fn details() -> Schema {
    let members = ["requested", "available", "account_limit", "subaccount_usage"];
    schema::answered(members.map(|member| (member, schema::count())))
}
