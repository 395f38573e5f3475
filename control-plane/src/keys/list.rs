//! `GET /v1/sub-accounts/{id}/api-keys`: the keys of a sub-account, without their secrets.

use axum::extract::State;

use super::Shown;
use crate::Shared;
use crate::answer::Answer;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(
        "SELECT id, name, type, last4, created_us FROM keys \
         WHERE account_id = $1 AND revoked_us IS NULL AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(request.access.account()?.to_string())
    .bind(window.after_text())
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let keys = rows.iter().map(Shown::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(keys, &window, |key| key.id.clone()))
}
