//! `GET …/invitations`: the open invitations of an account, without their tokens.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;

use super::{Invitation, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("List invitations", "Those that are open, without their tokens.")
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::members().named("Invitation")))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(
        "SELECT id, account_id, email, role, created_us, expires_us FROM invitations \
         WHERE account_id = $1 AND expires_us > $2 AND id > $3 ORDER BY id LIMIT $4",
    )
    .bind(request.access.account()?.to_string())
    .bind(now_us())
    .bind(window.after_text())
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let open = rows.iter().map(Invitation::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(open, &window, |invitation| invitation.id.clone());
    Answer::ok(&page.map(|invitation| invitation.shown()))
}
