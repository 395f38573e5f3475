//! `GET /v1/audit/export` and `GET /v1/sub-accounts/{id}/audit/export`: entries as JSON lines,
//! oldest first, up to the one that was the last when the export began. Sent as they are read, a
//! page at a time, so an export takes no more memory than a page. An export that cannot be completed
//! breaks off: its body has no end.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{StatusCode, header};
use sqlx::Row as _;

use super::entry::{Filter, Shown, select};
use crate::Shared;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";
/// Entries read at once.
const PAGE: usize = 500;

/// What is left to be sent: entries above `after`, up to `last`.
struct Rest {
    app: Shared,
    request: Request,
    after: i64,
    last: i64,
}

pub(crate) fn describe_organization() -> Operation {
    describe("Export the organization's audit", Filter::parameters(true))
}

pub(crate) fn describe_sub_account() -> Operation {
    describe("Export a sub-account's audit", Filter::parameters(false))
}

fn describe(summary: &'static str, filters: Vec<(&'static str, Schema)>) -> Operation {
    Operation::new(summary, "JSON lines, each an `AuditEntry`, oldest first. An export that cannot be completed breaks off without the end of its body.")
        .query(filters)
        .answers_as(StatusCode::OK, "All entries.", [(MEDIA_TYPE, schema::text())])
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, Problem> {
    let conditions = conditions(&request)?;
    let mut connection = app.store.read().await?;
    let last = conditions
        .rows(&mut connection, "SELECT CAST(MAX(a.sequence) AS BIGINT) FROM audit a", "")
        .await?;
    drop(connection);
    let last = last.first().map(|row| row.try_get::<Option<i64>, _>(0)).transpose()?.flatten();
    let rest = Rest { app, request, after: 0, last: last.unwrap_or_default() };
    let pages = stream::try_unfold(rest, |rest| async {
        rest.page().await.map_err(|problem| {
            tracing::error!(?problem, "an export of the audit breaks off");
            std::io::Error::other("the export cannot be completed")
        })
    });
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(pages)).into_response())
}

fn conditions(request: &Request) -> Result<Conditions, Problem> {
    let mut query = request.query();
    let filter = Filter::read(&mut query);
    query.finish()?;
    filter.conditions(request)
}

impl Rest {
    /// The next lines, and what is left after them.
    async fn page(mut self) -> Result<Option<(Vec<u8>, Self)>, Problem> {
        if self.after >= self.last {
            return Ok(None);
        }
        let mut conditions = conditions(&self.request)?;
        conditions
            .and("a.sequence > ? AND a.sequence <= ?", [self.after, self.last].map(Bound::Int));
        let mut connection = self.app.store.read().await?;
        let tail = format!("ORDER BY a.sequence LIMIT {PAGE}");
        let rows = conditions.rows(&mut connection, &select(), &tail).await?;
        drop(connection);
        let mut lines = Vec::new();
        for row in &rows {
            let shown = Shown::of_row(row)?;
            serde_json::to_writer(&mut lines, &shown).map_err(Problem::internal)?;
            lines.push(b'\n');
            self.after = shown.sequence;
        }
        Ok((!rows.is_empty()).then_some((lines, self)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};

    use crate::audit::{chain::NO_SEAL, seal};
    use crate::testing::{Harness, text};

    fn lines(bytes: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[tokio::test]
    async fn an_export_has_every_entry_once_oldest_first_by_path_and_by_accept() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(0).await;
        let path = format!("/v1/sub-accounts/{id}/api-keys");
        for number in 0..super::PAGE + 3 {
            let body = json!({"name": format!("k{number}"), "type": "live"});
            let made = harness.send(&harness.organization, "POST", &path, body).await;
            let path = format!("{path}/{}", text(&made.body["id"]));
            harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
        }
        let exported = harness.get(&harness.organization, "/v1/audit/export").await;
        assert_eq!(exported.headers["content-type"], super::MEDIA_TYPE);
        let entries = lines(&exported.bytes);
        let sequences: Vec<_> = entries.iter().map(|entry| entry["sequence"].as_i64()).collect();
        let count = i64::try_from(1 + 2 * (super::PAGE + 3)).expect("small");
        assert_eq!(sequences, (1..=count).map(Some).collect::<Vec<_>>());
        let accept = [("accept", "text/html, application/x-ndjson;q=0.9")];
        let path = format!("/v1/sub-accounts/{id}/audit?action=api_key.revoked");
        let some =
            harness.send_with(&harness.organization, "GET", &path, &accept, Vec::new()).await;
        assert_eq!(lines(&some.bytes).len(), super::PAGE + 3);
        let none = harness.get(&harness.organization, "/v1/audit/export?to=2020-01-01").await;
        assert_eq!((none.status, none.bytes.len()), (200, 0));
        let refused = harness.get(&harness.organization, "/v1/audit/export?limit=5").await;
        assert_eq!(refused.status, 400);
    }

    /// As an auditor without the database does it, by the documented form alone.
    #[tokio::test]
    async fn an_export_is_enough_to_check_every_seal() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(2).await;
        harness.recharge(&id, "5").await;
        while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
        let exported = harness.get(&harness.organization, "/v1/audit/export").await;
        let text = String::from_utf8(exported.bytes).expect("UTF-8");
        let mut former = NO_SEAL.to_owned();
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            let word = |name: &str| entry[name].as_str().expect("a text").to_owned();
            let at_us = word("at").parse::<jiff::Timestamp>().expect("a time").as_microsecond();
            // The text between the names, as it stands in the line.
            let between = |from: &str, to: &str| {
                let (_, rest) = line.split_once(from).expect("from");
                rest.split_once(to).expect("to").0.to_owned()
            };
            let hash = |texts: &[Option<String>]| {
                let text = |text: &Option<String>| {
                    text.as_ref().map_or("-".to_owned(), |text| format!("{}:{text},", text.len()))
                };
                format!("{:x}", Sha256::digest(texts.iter().map(text).collect::<String>()))
            };
            let digest =
                |json: String| (json != "null").then(|| hash(&[Some(word("salt")), Some(json)]));
            let texts = [
                Some("ringfence audit 2".to_owned()),
                Some(former),
                Some(harness.organization_id.clone()),
                Some(entry["sequence"].to_string()),
                Some(at_us.to_string()),
                Some(word("actor")),
                Some(word("action")),
                Some(word("subject")),
                Some(word("account")),
                digest(between(r#""before":"#, r#","after":"#)),
                digest(between(r#","after":"#, r#","salt":"#)),
            ];
            former = hash(&texts);
            assert_eq!(former, word("seal"), "{line}");
        }
        assert_eq!(text.lines().count(), 2);
    }
}
