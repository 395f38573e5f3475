//! `GET /v1/invoices/{invoice_id}`: an invoice, as JSON with a page of its lines, as a table, or as a sheet of
//! paper.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use super::shown::{Shown, WithLines};
use super::{Invoice, lines, sheet, table};
use crate::Shared;
use crate::answer::{self, Answer};
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::usage::csv;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read an invoice",
        "As JSON with a page of its lines; as CSV or PDF whole. It never changes, but for what credit notes took off.",
    )
    .query(schema::window())
    .answers_as(
        StatusCode::OK,
        "The invoice.",
        [
            ("application/json", Shown::schema_with_lines()),
            (csv::MEDIA_TYPE, schema::text()),
            (sheet::MEDIA_TYPE, schema::text()),
        ],
    )
    .refuses([Kind::TooManyLines])
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    let after = window.after().map(|after| after.parse::<i64>().ok());
    if after == Some(None) {
        query.refuse("cursor", "expected a next_cursor of an earlier answer");
    }
    query.finish()?;
    let mut connection = app.store.read().await?;
    let invoice = Invoice::load(&mut connection, &id, &request.access).await?;
    let (as_table, as_sheet) =
        (answer::accepts(&headers, csv::MEDIA_TYPE), answer::accepts(&headers, sheet::MEDIA_TYPE));
    if as_table || as_sheet {
        if as_sheet {
            sheet::check(invoice.lines)?;
        }
        let all = lines::all(&mut connection, &invoice.id, invoice.currency).await?;
        drop(connection);
        let shown = Shown::of(&invoice);
        if as_sheet {
            return sheet::of_invoice(shown, invoice.currency, all).await;
        }
        return Ok(table::of_invoice(&shown, &all).into_response());
    }
    let place = after.flatten().unwrap_or(0);
    let currency = invoice.currency;
    let found = lines::after(&mut connection, &invoice.id, currency, place, window.rows()).await?;
    let lines = Page::of(found, &window, |line| line.place.to_string());
    Ok(Answer::ok(&WithLines { invoice: Shown::of(&invoice), lines })?.into_response())
}
