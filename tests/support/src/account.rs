//! Tenants as a test has them: created through the control plane, used through the gateway.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Client, Response};
use crate::process::{OPERATOR_KEY, ORGANIZATION_KEY, Running};
use crate::wait::wait_until;

/// How long the hub may take to answer on a busy machine.
const HUB_ANSWERS: Duration = Duration::from_secs(20);

/// A sub-account with the secret of its key.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub key: String,
}

impl Account {
    /// Creates one under the organization of `key`, from the members of the request.
    #[track_caller]
    pub fn create(control_plane: &mut Client, members: &Value) -> Self {
        let created = control_plane.post("/v1/sub-accounts", members).expect(201);
        let text = |name: &str| created[name].as_str().expect("a string").to_owned();
        Self { id: text("sub_account_id"), key: text("api_key") }
    }

    /// An unbilled one that may have `limit` calls.
    #[track_caller]
    pub fn limited(running: &Running, name: &str, limit: u32) -> Self {
        let members = json!({
            "name": name, "billing_mode": "consolidated", "region": "india",
            "concurrency_limit": limit,
        });
        Self::create(&mut running.control_plane(ORGANIZATION_KEY), &members)
    }

    /// An isolated one with a rate, such as `("1.20", 60, 60)`, and `limit` calls.
    #[track_caller]
    pub fn billed(running: &Running, name: &str, limit: u32, rate: (&str, u32, u32)) -> Self {
        let (per_minute, initial_s, increment_s) = rate;
        let members = json!({
            "name": name, "billing_mode": "isolated", "region": "india",
            "concurrency_limit": limit,
            "rate": {"per_minute": per_minute, "initial_s": initial_s, "increment_s": increment_s},
        });
        Self::create(&mut running.control_plane(ORGANIZATION_KEY), &members)
    }

    /// Adds money, in major units of INR.
    #[track_caller]
    pub fn recharge(&self, running: &Running, amount: &str) -> Response {
        let path = format!("/v1/sub-accounts/{}/wallet/recharge", self.id);
        let body = json!({"amount": amount, "currency": "INR"});
        running.control_plane(ORGANIZATION_KEY).post(&path, &body)
    }

    /// Balance, held and available of its wallet, in micro-units.
    #[track_caller]
    pub fn wallet(&self, running: &Running) -> Wallet {
        let path = format!("/v1/sub-accounts/{}/wallet", self.id);
        Wallet::known(|| running.control_plane(ORGANIZATION_KEY).get(&path).expect(200))
    }

    /// Live calls as the gateway counts them.
    #[track_caller]
    pub fn in_use(&self, running: &Running) -> u64 {
        let concurrency = running.gateway(&self.key).get("/v1/concurrency").expect(200);
        concurrency["in_use"].as_u64().expect("a number")
    }
}

/// The organization of the first start.
pub struct Organization;

impl Organization {
    /// Adds money to its own wallet, by the operator.
    #[track_caller]
    pub fn recharge(running: &Running, amount: &str) -> Response {
        let organization =
            running.control_plane(ORGANIZATION_KEY).get("/v1/organization").expect(200);
        let id = organization["organization_id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/organizations/{id}/wallet/recharge");
        let body = json!({"amount": amount, "currency": "INR"});
        running.control_plane(OPERATOR_KEY).post(&path, &body)
    }

    #[track_caller]
    pub fn wallet(running: &Running) -> Wallet {
        let path = "/v1/organization/wallet";
        Wallet::known(|| running.control_plane(ORGANIZATION_KEY).get(path).expect(200))
    }
}

/// A wallet in micro-units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wallet {
    pub balance: i64,
    pub held: i64,
    pub available: i64,
}

impl Wallet {
    /// What is answered once the hub says in time what calls hold.
    #[track_caller]
    fn known(mut ask: impl FnMut() -> Value) -> Self {
        let mut answer = Value::Null;
        wait_until("the hub says what is held", HUB_ANSWERS, || {
            answer = ask();
            !answer["held"].is_null()
        });
        Self::of(&answer)
    }

    #[track_caller]
    fn of(answer: &Value) -> Self {
        let read = |name: &str| {
            let text = answer[name].as_str();
            micros(text.unwrap_or_else(|| unreachable!("{name} is a string in {answer}")))
        };
        Self { balance: read("balance"), held: read("held"), available: read("available") }
    }
}

/// Micro-units of a decimal text such as `-4987.50`.
#[track_caller]
pub fn micros(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i64 = format!("{whole}{fraction:0<6}").parse().expect("a decimal");
    sign * number
}

/// The body of an admit.
pub fn admit(call_id: &str) -> Value {
    json!({"call_id": call_id})
}

/// The body of a release.
pub fn release(call_id: &str) -> Value {
    json!({"call_id": call_id})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_as_micro_units() {
        assert_eq!(micros("4987.50"), 4_987_500_000);
        assert_eq!(micros("-0.000001"), -1);
        assert_eq!(micros("7"), 7_000_000);
    }
}
