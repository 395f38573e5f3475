//! `GET /v1/credit-notes/{credit_note_id}`: a credit note, as JSON, as a table, or as a sheet of paper.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use super::super::{sheet, table};
use super::{CreditNote, Shown};
use crate::Shared;
use crate::answer::{self, Answer};
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;
use crate::usage::csv;

pub(crate) fn describe() -> Operation {
    Operation::new("Read a credit note", "As JSON, CSV or PDF. It never changes.").answers_as(
        StatusCode::OK,
        "The credit note.",
        [
            ("application/json", Shown::schema()),
            (csv::MEDIA_TYPE, schema::text()),
            (sheet::MEDIA_TYPE, schema::text()),
        ],
    )
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let note = CreditNote::load(&mut connection, &id, &request.access).await?;
    drop(connection);
    let shown = Shown::of(&note);
    if answer::accepts(&headers, csv::MEDIA_TYPE) {
        return Ok(table::of_credit_note(&shown).into_response());
    }
    if answer::accepts(&headers, sheet::MEDIA_TYPE) {
        return sheet::of_credit_note(shown, note.currency).await;
    }
    Ok(Answer::ok(&shown)?.into_response())
}
