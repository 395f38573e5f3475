//! `GET` and `PATCH /v1/sub-accounts/{id}/billing-details`: to whom an account's invoices are made out.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountId;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::party::Party;
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;

#[derive(Serialize)]
struct Shown {
    /// Null: its name.
    recipient: Option<Party>,
}

impl Shown {
    fn schema() -> Schema {
        let recipient = Party::schema().or_null().about("null: the account's name");
        schema::answered([("recipient", recipient)]).named("BillingDetails")
    }
}

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read billing details",
        "To whom the account's invoices are made out, where it is billed by itself.",
    )
    .answers(StatusCode::OK, "As it is now.", Shown::schema())
    .tagged()
}

pub(crate) fn describe_patch() -> Operation {
    let body = schema::asked([(
        "recipient",
        Party::asked().or_null().about("the whole of it; null: its name"),
    )]);
    let example = json!({"recipient": {"legal_name": "Client GmbH", "address": ["Hauptstr. 1", "10115 Berlin"],
        "tax_id": "DE123456789", "email": "rechnung@example.com"}});
    Operation::new("Change billing details", "Counts for what is issued from now on.")
        .body(body, example)
        .answers(StatusCode::OK, "As it is now.", Shown::schema())
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let shown = Shown { recipient: find(&mut connection, request.access.account()?).await? };
    let tag = Tag::of(&shown)?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    Answer::ok(&shown)?.tagged(&tag)
}

pub(crate) async fn patch(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let recipient = Party::given(&mut fields, "recipient");
    fields.finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let before = Shown { recipient: find(change.connection(), id).await? };
    request.preconditions.check(&Tag::of(&before)?)?;
    let after = Shown { recipient: recipient.merged(before.recipient.clone()) };
    store(change.connection(), id, after.recipient.as_ref(), now_us).await?;
    let (action, subject) = ("billing_details.updated", id.to_string());
    change.audit(Some(organization), action, &subject, Some(&before), Some(&after)).await?;
    let answer = Answer::ok(&after)?.tagged(&Tag::of(&after)?)?;
    change.commit(answer).await
}

/// To whom the account's invoices are made out, where that is said.
pub(crate) async fn find(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<Option<Party>, Problem> {
    let row = sqlx::query("SELECT details FROM billing_details WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    serde_json::from_str(&row.try_get::<String, _>(0)?).map(Some).map_err(Problem::internal)
}

async fn store(
    connection: &mut AnyConnection,
    account: AccountId,
    recipient: Option<&Party>,
    now_us: i64,
) -> Result<(), Problem> {
    let Some(recipient) = recipient else {
        sqlx::query("DELETE FROM billing_details WHERE account_id = $1")
            .bind(account.to_string())
            .execute(connection)
            .await?;
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO billing_details (account_id, details, updated_us) VALUES ($1, $2, $3) \
         ON CONFLICT (account_id) DO UPDATE SET details = excluded.details, updated_us = excluded.updated_us",
    )
    .bind(account.to_string())
    .bind(serde_json::to_string(recipient).map_err(Problem::internal)?)
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(())
}
