//! `GET /v1/invoices`: issued invoices, latest first; an account's own, or all of the organization's.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountKind;

use super::shown::Shown;
use super::{Invoice, SELECT};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::{Fields, values};
use crate::page::{self, Page, Window};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    Operation::new("List invoices", "Latest first. An account sees those made out to it.")
        .query([
            ("organization_id", organization),
            (
                "account",
                schema::any_account_id()
                    .about("of this account only; the organization's id: its own"),
            ),
        ])
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    let conditions = selected(query, &request, &window)?;
    let mut connection = app.store.read().await?;
    let tail = format!("ORDER BY i.sequence DESC LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, SELECT, &tail).await?;
    let invoices = rows.iter().map(Invoice::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(invoices, &window, |invoice| invoice.sequence.to_string());
    Answer::ok(&page.map(|invoice| Shown::of(&invoice)))
}

/// What a list of documents selects; `i` is the table, whatever it is called.
pub(super) fn selected(
    mut query: Fields,
    request: &Request,
    window: &Window,
) -> Result<Conditions, Problem> {
    let organization = query.optional("organization_id", values::account_id);
    let account = query.optional("account", values::account_id);
    let own = request.access.sub_account();
    if own.is_some() && account.is_some() {
        query.refuse("account", "expected for the organization only");
    }
    let after = window.after().map(|after| after.parse::<i64>().ok());
    if after == Some(None) {
        query.refuse("cursor", "expected a next_cursor of an earlier answer");
    }
    query.finish()?;
    let organization = request.access.organization_or(organization)?;
    let mut conditions = Conditions::default();
    conditions.and("i.organization_id = ?", [Bound::Text(organization.to_string())]);
    let account = own.or(account).map(|account| [Bound::Text(account.to_string())]);
    conditions.and_given("i.account_id = ?", account);
    conditions.and_given("i.sequence < ?", after.flatten().map(|after| [Bound::Int(after)]));
    Ok(conditions)
}
