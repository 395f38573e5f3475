//! `GET …/members`: the members of an organization, or of a sub-account, which are not the same.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Member;
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

/// A member in a list, with the tag that changes of it may name.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    member: Member,
    etag: String,
}

pub(crate) fn describe() -> Operation {
    let etag =
        schema::text().about("its tag, for `If-Match`").example("\"0a1b2c3d4e5f60718293a4b5\"");
    let listed = Member::members().with([("etag", etag)]).named("ListedMember");

    Operation::new(
        "List members",
        "Members of an organization and of its sub-accounts are separate.",
    )
    .query(schema::window())
    .answers(StatusCode::OK, "A page.", schema::page(listed))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(
        "SELECT m.user_id, u.email, u.name, m.role, m.created_us \
         FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.account_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3",
    )
    .bind(request.access.account()?.to_string())
    .bind(window.after_text())
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let listed = |row| {
        let member = Member::of_row(row)?;
        Ok(Listed { etag: member.tag()?.text().to_owned(), member })
    };
    let members = rows.iter().map(listed).collect::<Result<Vec<_>, Problem>>()?;
    Answer::ok(&Page::of(members, &window, |listed| listed.member.user_id.clone()))
}
