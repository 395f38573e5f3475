//! Accounts as clients of the second surface make and name them.

use serde_json::{Value, json};

use super::{Harness, text};
use crate::compatibility;

/// An account made there, with its names on both surfaces.
pub(crate) struct Made {
    /// The UUID.
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) native_id: String,
    pub(crate) native_path: String,
}

/// Makes one with what a request says of its slots.
pub(crate) async fn account(harness: &Harness, concurrency: Value) -> Made {
    let mut body = concurrency;
    body["name"] = json!("alpha-007");
    let made = harness.send(&harness.organization, "POST", "/sub-accounts/create", body).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let (id, key) = (text(&made.body["id"]), text(&made.body["api_key"]));
    let native_id = compatibility::uuid::sub_account(&id);
    let native_path = format!("/v1/sub-accounts/{native_id}");
    Made { path: format!("/sub-accounts/{id}"), id, key, native_id, native_path }
}

/// The UUID of a native id.
pub(crate) fn uuid(native: &str) -> String {
    compatibility::uuid::text(native.parse().expect("an id"))
}

pub(crate) fn uuid_path(native: &str) -> String {
    format!("/sub-accounts/{}", uuid(native))
}
