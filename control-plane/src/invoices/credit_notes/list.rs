//! `GET /v1/credit-notes`: issued credit notes, latest first; of one invoice, or all that one sees.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountKind;

use super::super::list::selected;
use super::{CreditNote, SELECT, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::Bound;

/// The longest id of an invoice that is looked for.
const ID_BYTES_MAX: usize = 64;

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    Operation::new("List credit notes", "Latest first. An account sees those made out to it.")
        .query([
            ("organization_id", organization),
            ("account", schema::any_account_id().about("of this account only")),
            ("invoice_id", schema::id("inv").about("of this invoice only")),
        ])
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let invoice = query.optional("invoice_id", |raw| {
        let id = values::text(raw).ok().filter(|id| id.len() <= ID_BYTES_MAX);
        id.filter(|id| id.starts_with("inv_"))
            .ok_or_else(|| "expected the id of an invoice".to_owned())
    });
    let window = page::window(&mut query);
    let mut conditions = selected(query, &request, &window)?;
    conditions.and_given("i.invoice_id = ?", invoice.map(|invoice| [Bound::Text(invoice)]));
    let mut connection = app.store.read().await?;
    let tail = format!("ORDER BY i.sequence DESC LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, SELECT, &tail).await?;
    let notes = rows.iter().map(CreditNote::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(notes, &window, |note| note.sequence.to_string());
    Answer::ok(&page.map(|note| Shown::of(&note)))
}
