//! What tests of operations work with: a control plane over a real SQLite file, or a database of the
//! PostgreSQL server that `with-postgres` started, and a real embedded hub, asked through its router.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use hub::directory::Change;
use hub::embedded::{EmbeddedHub, Options};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::postgres::create_database;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{ControlPlane, Settings};

pub(crate) mod calls;
pub(crate) mod compatibility;
pub(crate) mod contract;
pub(crate) mod gateway;
pub(crate) mod mail;
pub(crate) mod people;
pub(crate) mod reports;
pub(crate) mod sharing;

pub(crate) struct Harness {
    pub(crate) plane: ControlPlane,
    pub(crate) router: Router,
    pub(crate) operator: String,
    pub(crate) organization: String,
    pub(crate) organization_id: String,
    /// Everything published since the start.
    pub(crate) heard: Arc<Mutex<Vec<Change>>>,
    pub(crate) directory: TempDir,
    /// Operations that were carried out, as the document says: `GET /v1/me`.
    pub(crate) kept: Mutex<BTreeSet<String>>,
}

/// An answer, its body read.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings that are not the default.
    pub(crate) async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let hub = open_hub(&directory);
        let mut settings = settings(&directory);
        set(&mut settings);
        let heard: Arc<Mutex<Vec<Change>>> = Arc::default();
        let hearing = Arc::clone(&heard);
        hub.follow(move |change| hearing.lock().push(change.clone()));
        let (plane, first) = ControlPlane::open(settings, hub).await.expect("opens");
        let first = first.expect("a first start");
        Self {
            router: plane.router(),
            plane,
            operator: first.operator_key.expect("generated"),
            organization: first.organization_key.expect("generated"),
            organization_id: first.organization_id.to_string(),
            heard,
            directory,
            kept: Mutex::default(),
        }
    }

    /// Sends a request with a key as bearer; a null body is none.
    pub(crate) async fn send(&self, key: &str, method: &str, path: &str, body: Value) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send_with(key, method, path, &[], body.into_bytes()).await
    }

    pub(crate) async fn send_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = body.clone();
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answered =
            Answered { status: parts.status.as_u16(), headers: parts.headers, body, bytes };
        let known = contract::assert_kept(method, path, &asked, &answered);
        if answered.status < 300 {
            self.kept.lock().extend(known.map(|known| format!("{method} {known}")));
        }
        answered
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answered {
        self.send(key, "GET", path, Value::Null).await
    }

    /// A sub-account with isolated billing, its id and its key.
    pub(crate) async fn isolated(&self, concurrency: u32) -> (String, String) {
        let body = json!({"name": "Acme Corp", "billing_mode": "isolated", "region": "india", "concurrency_limit": concurrency});
        let created = self.send(&self.organization, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(created.status, 201, "{}", created.body);
        (text(&created.body["sub_account_id"]), text(&created.body["api_key"]))
    }

    pub(crate) async fn recharge(&self, account: &str, amount: &str) -> Answered {
        let path = format!("/v1/sub-accounts/{account}/wallet/recharge");
        self.send(&self.organization, "POST", &path, json!({"amount": amount, "currency": "INR"}))
            .await
    }

    /// Fails the test when the ledger does not agree with itself.
    pub(crate) async fn assert_ledger_balances(&self) {
        assert_eq!(self.plane.verify_ledger().await.expect("readable"), []);
    }
}

/// The same database for the same directory.
#[expect(clippy::disallowed_methods, reason = "`with-postgres` says so where its server is")]
pub(crate) fn settings(directory: &TempDir) -> Settings {
    let url = match std::env::var("RINGFENCE_TEST_POSTGRES") {
        Ok(server) => {
            let name = directory.path().file_name().expect("it has one").as_encoded_bytes();
            let hexadecimal = name.iter().map(|byte| format!("{byte:02x}"));
            create_database(&server, &format!("of_{}", hexadecimal.collect::<String>()))
        }
        Err(_) => format!("sqlite://{}", directory.path().join("ringfence.db").display()),
    };
    Settings { webhook_private_networks: true, ..Settings::new(url) }
}

pub(crate) fn open_hub(directory: &TempDir) -> Arc<EmbeddedHub> {
    let options = Options::new(directory.path().join("hub"));
    Arc::new(EmbeddedHub::open(&options).expect("a hub"))
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The fields that a 400 names.
pub(crate) fn named(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().expect("errors");
    errors.iter().map(|error| text(&error["field"])).collect()
}
