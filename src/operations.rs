//! The operations listener: `/metrics`, `/livez`, `/readyz`. Never on a public address.

pub mod metrics;
pub mod readiness;
pub mod series;

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::task::spawn_blocking;

use metrics::{Accounts, Metrics};
use readiness::Readiness;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the listener tells about.
#[derive(Clone)]
pub struct Operations {
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
}

/// All routes.
pub fn router(operations: Operations) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(operations)
}

/// The process runs; it says nothing about being useful.
async fn livez() -> &'static str {
    "alive\n"
}

async fn readyz(State(operations): State<Operations>) -> impl IntoResponse {
    let reasons = operations.readiness.reasons();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let mut text = String::new();
    for reason in reasons {
        writeln!(text, "not ready: {reason}").expect("writing to a string");
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

/// `?accounts=all` adds the series of every account instead of the busiest.
async fn render(
    State(operations): State<Operations>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let all = query.is_some_and(|query| query.split('&').any(|pair| pair == "accounts=all"));
    let accounts = if all { Accounts::All } else { Accounts::Busiest };
    // Many accounts take a while to write; probes are answered meanwhile.
    let rendered = spawn_blocking(move || operations.metrics.render(accounts)).await;
    match rendered {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
