//! The call history as JSON lines or CSV: all that the filters select, latest first, sent as it is read,
//! so it takes no more memory than a page. One that cannot be completed breaks off: its body has no
//! end.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::header;
use serde_json::value::RawValue;

use super::super::csv::Table;
use super::{Filter, Position, Record};
use crate::Shared;
use crate::problem::Problem;

/// Records read at once.
const PAGE: i64 = if cfg!(test) { 2 } else { 1_000 };

const COLUMNS: [&str; 25] = [
    "call_id",
    "account",
    "admitted_at",
    "answered_at",
    "ended_at",
    "direction",
    "from",
    "to",
    "agent_id",
    "source",
    "outcome",
    "cause",
    "billed",
    "billable_s",
    "cost",
    "debt",
    "currency",
    "rate_per_minute",
    "rate_initial_s",
    "rate_increment_s",
    "rate_connect_fee",
    "rate_minimum",
    "rate_deck",
    "rate_deck_version",
    "costs",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Lines,
    Csv,
}

impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Lines, Self::Csv];

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Csv => super::super::csv::MEDIA_TYPE,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Csv => super::super::csv::CONTENT_TYPE,
        }
    }
}

/// What is left to be sent.
struct Rest {
    app: Shared,
    filter: Filter,
    form: Form,
    /// The last that was sent; `None`: nothing was.
    after: Option<Position>,
    is_over: bool,
}

pub(super) fn respond(
    app: Shared,
    filter: Filter,
    form: Form,
    purged_before: Option<String>,
) -> Response {
    let rest = Rest { app, filter, form, after: None, is_over: false };
    let pages = stream::try_unfold(rest, |rest| async {
        rest.page().await.map_err(|problem| {
            tracing::error!(?problem, "an export of the call history breaks off");
            std::io::Error::other("the export cannot be completed")
        })
    });
    let headers =
        [(header::CONTENT_TYPE, form.content_type()), (header::CACHE_CONTROL, "no-store")];
    let purged = purged_before.map(|before| [("x-purged-before", before)]);
    let body = Body::from_stream(pages);
    match purged {
        Some(purged) => (headers, purged, body).into_response(),
        None => (headers, body).into_response(),
    }
}

impl Rest {
    /// The next records, and what is left after them.
    async fn page(mut self) -> Result<Option<(Vec<u8>, Self)>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        let mut connection = self.app.store.read().await?;
        let records = self.filter.records(&mut connection, self.after.as_ref(), PAGE).await?;
        drop(connection);
        let text = match self.form {
            Form::Lines => lines(&records)?,
            Form::Csv => table(&records, self.after.is_none()),
        };
        match records.last() {
            Some(last) => self.after = Some(last.position()),
            None => self.is_over = true,
        }
        Ok(Some((text, self)))
    }
}

fn lines(records: &[Record]) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).map_err(Problem::internal)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn table(records: &[Record], with_header: bool) -> Vec<u8> {
    let mut table = Table::new(if with_header { &COLUMNS } else { &[] });
    for record in records {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let [minute, initial_s, increment_s, fee, minimum, deck, version] = record.priced.cells();
        let cells: [&str; COLUMNS.len()] = [
            &record.call_id,
            &record.account,
            &record.admitted_at,
            &optional(&record.answered_at),
            &record.ended_at,
            &record.direction,
            &record.from,
            &record.to,
            &record.agent_id,
            &record.source,
            &record.outcome,
            &record.cause,
            if record.billed { "true" } else { "false" },
            &record.billable_s.to_string(),
            &record.cost,
            &record.debt,
            &optional(&record.currency),
            &minute,
            &initial_s,
            &increment_s,
            &fee,
            &minimum,
            &deck,
            &version,
            record.costs.as_deref().map_or("", RawValue::get),
        ];
        table.row(cells);
    }
    table.into_bytes()
}
