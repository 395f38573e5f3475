//! `GET /v1/sub-accounts/{id}/delegations` and `GET /v1/delegations`: who was in an account, or in any of
//! the organization, and why: open ones, and those of the last 90 days.

use axum::extract::State;
use http::StatusCode;
use hub::id::AccountKind;

use super::{SELECT, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    Operation::new("List delegations", "Open ones, and those of the last 90 days.")
        .query([("organization_id", organization)])
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let named = query.optional("organization_id", values::account_id);
    let window = page::window(&mut query);
    query.finish()?;
    let mut conditions = Conditions::default();
    if let Some(account) = request.access.sub_account() {
        conditions.and("d.account_id = ?", [Bound::Text(account.to_string())]);
    } else {
        let organization = request.access.organization_or(named)?;
        conditions.and(
            "d.account_id IN (SELECT id FROM accounts WHERE organization_id = ?)",
            [Bound::Text(organization.to_string())],
        );
    }
    conditions.and("d.id > ?", [Bound::Text(window.after_text().to_owned())]);
    let mut connection = app.store.read().await?;
    let tail = format!("ORDER BY d.id LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, SELECT, &tail).await?;
    let shown = rows.iter().map(Shown::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(shown, &window, |delegation| delegation.delegation_id.clone()))
}
