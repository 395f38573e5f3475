//! What the ledger has of an account's calls, read as an administrator reads it.

use std::collections::HashMap;

use serde_json::Value;
use support::account::micros;
use support::{Account, Client};

/// One finished call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub cause: String,
    pub billable_s: u32,
    pub cost_micros: i64,
}

/// Every call of the account by its name, and the names that came more than once.
pub fn read(
    control_plane: &mut Client,
    account: &Account,
) -> (HashMap<String, Posted>, Vec<String>) {
    let (mut posted, mut twice) = (HashMap::new(), Vec::new());
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/sub-accounts/{}/calls?limit=1000{cursor}", account.id);
        let page = control_plane.get(&path).expect(200);
        for call in page["data"].as_array().into_iter().flatten() {
            let name = call["call_id"].as_str().unwrap_or_default().to_owned();
            if posted.insert(name.clone(), entry(call)).is_some() {
                twice.push(name);
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (posted, twice),
        }
    }
}

fn entry(call: &Value) -> Posted {
    Posted {
        cause: call["cause"].as_str().unwrap_or_default().to_owned(),
        billable_s: call["billable_s"].as_u64().and_then(|s| u32::try_from(s).ok()).unwrap_or(0),
        cost_micros: call["cost"].as_str().map_or(0, micros),
    }
}
