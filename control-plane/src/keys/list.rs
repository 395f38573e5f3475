//! `GET /v1/sub-accounts/{id}/api-keys`: the keys of a sub-account, without their secrets.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::{COLUMNS, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

/// A key in a list, with the tag that changes of it may name.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    key: Shown,
    etag: String,
}

pub(crate) fn describe() -> Operation {
    let etag =
        schema::text().about("its tag, for `If-Match`").example("\"0a1b2c3d4e5f60718293a4b5\"");
    let listed = Shown::members().with([("etag", etag)]).named("ListedApiKey");

    Operation::new(
        "List API keys",
        "Those that open something, oldest first, without their secrets.",
    )
    .query(schema::window())
    .answers(StatusCode::OK, "A page.", schema::page(listed))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM keys \
         WHERE account_id = $1 AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $4) \
         AND id > $2 ORDER BY id LIMIT $3",
    )))
    .bind(request.access.account()?.to_string())
    .bind(window.after_text())
    .bind(window.rows())
    .bind(now_us())
    .fetch_all(&mut *connection)
    .await?;
    let listed = |row| {
        let key = Shown::of_row(row)?;
        Ok(Listed { etag: key.tag()?.text().to_owned(), key })
    };
    let keys = rows.iter().map(listed).collect::<Result<Vec<_>, Problem>>()?;
    Answer::ok(&Page::of(keys, &window, |listed| listed.key.id.clone()))
}
