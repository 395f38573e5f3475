//! `PATCH …/wallet`: where its balance is low, when it asks for money, how far below zero calls may bring it, and what of it
//! none may use.

use axum::extract::State;
use http::StatusCode;
use hub::directory::Change as Published;
use hub::id::AccountId;
use hub::money::Amount;
use serde_json::json;

use super::Shown;
use super::attempts::{self, AutoRecharge};
use super::watch::{self, LINES_MAX};
use crate::Shared;
use crate::access::Access;
use crate::account::{Account, Organization, RechargePolicy};
use crate::answer::Answer;
use crate::change::Begun;
use crate::counters::version_after;
use crate::description::{Operation, schema};
use crate::fields::{Given, values};
use crate::ledger::Wallet;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::webhooks::{EventKind, event};

pub(crate) fn describe() -> Operation {
    let amount = || schema::amount(Amount::MAX).or_null();
    let recharge = schema::asked([
        (
            "below",
            schema::signed_amount(Amount::MAX)
                .required()
                .about("below zero as far as there is credit"),
        ),
        ("amount", schema::amount(Amount::MAX).required().about("above 0")),
    ]);
    let members = [
        ("low_balances", schema::list(schema::signed_amount(Amount::MAX)).items(0..=LINES_MAX).or_null().about("webhooks are told when the balance sinks to one of these, which are all different; below zero as far as there is credit; null: not at all").example(json!(["100", "20"]))),
        ("auto_recharge", recharge.or_null().about("webhooks are asked for `amount` by recharge.wanted when the balance is at or below `below`, once until it is answered; null: nobody is. Of sub-accounts the organization's to set, where its recharge_policy is external")),
        ("credit_limit", amount().about("how far below zero calls may bring the balance; null: not at all. Of its own wallet the operator's to set, of a sub-account's the organization's where its recharge_policy is external. A lower one counts for what gateways have not been given yet")),
        ("reserve", amount().about("what of the balance no call may use; null: nothing. Not an account's own to set")),
    ];
    Operation::new(
        "Change a wallet",
        "Says where its balance is low, when it asks for money, and how much of it, or beyond it, calls may use.",
    )
    .body(schema::asked(members), json!({"low_balances": ["100", "20"]}))
    .answers(StatusCode::OK, "The wallet.", Shown::schema())
    .refuses([Kind::ConsolidatedBilling, Kind::NobodyListens])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let low_balances = fields.given("low_balances", watch::lines);
    let recharge = fields.given_object("auto_recharge", |fields| {
        let below = fields.required("below", values::signed_amount);
        let amount = fields.required("amount", values::amount_above_zero);
        below.zip(amount).map(|(below, amount)| AutoRecharge { below, amount })
    });
    let credit_limit = fields.given("credit_limit", values::amount);
    let reserve = fields.given("reserve", values::amount);
    fields.finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let of = Organization::load(change.connection(), organization).await?;
    refuse_not_own(&request.access, &of, id, (&credit_limit, &reserve))?;
    refuse_to_ask(&request.access, &of, id, &recharge)?;
    let before = super::own(change.connection(), &account).await?;
    let merged = |given: Given<Amount>, present| given.merged(Some(present)).unwrap_or_default();
    let mut after = Wallet {
        credit_limit: merged(credit_limit, before.credit_limit),
        reserve: merged(reserve, before.reserve),
        ..before.clone()
    };
    if !low_balances.is_absent() {
        after.watch.low_balances = low_balances.value().unwrap_or_default();
        after.refuse_out_of_reach("low_balances", &after.watch.low_balances)?;
    }
    if let Given::Value(recharge) = &recharge {
        after.refuse_out_of_reach("auto_recharge.below", &[recharge.below])?;
        let kind = EventKind::RechargeWanted;
        if event::wanting(change.connection(), kind, id, organization).await?.is_empty() {
            return Err(attempts::nobody_listens());
        }
    }
    after.watch.recharge = recharge.merged(before.watch.recharge);
    // Who has just begun to ask has not been declined anything.
    after.watch.is_armed = before.watch.is_armed || before.watch.recharge.is_none();
    let is_lent_otherwise = after.lent_beyond() != before.lent_beyond();
    if is_lent_otherwise {
        after.sequence = version_after(before.sequence, now_us);
    }
    sqlx::query(
        "UPDATE wallets SET low_balances = $1, credit_limit = $2, reserve = $3, sequence = $4, recharge_below = $5, \
         recharge_amount = $6, recharge_armed = $7 WHERE account_id = $8",
    )
    .bind(after.watch.low_balances_text())
    .bind(after.credit_limit.micros())
    .bind(after.reserve.micros())
    .bind(after.sequence)
    .bind(after.watch.recharge.map(|recharge| recharge.below.micros()))
    .bind(after.watch.recharge.map(|recharge| recharge.amount.micros()))
    .bind(i64::from(after.watch.is_armed))
    .bind(id.to_string())
    .execute(change.connection())
    .await?;
    if is_lent_otherwise {
        change.publish(Published::Wallet(after.config()));
    }
    attempts::look(change.connection(), &after, now_us).await?;
    let (was, shown) = (Shown::now(&app, &before).await, Shown::now(&app, &after).await);
    change
        .audit(Some(organization), "wallet.updated", &id.to_string(), Some(&was), Some(&shown))
        .await?;
    change.commit(Answer::ok(&shown)?).await
}

/// Credit is money: only who may add money gives it. What is reserved is who gives the money's to say.
fn refuse_not_own(
    access: &Access,
    organization: &Organization,
    id: AccountId,
    (credit_limit, reserve): (&Given<Amount>, &Given<Amount>),
) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(Kind::Forbidden, detail));
    if access.is_operator() || credit_limit.is_absent() && reserve.is_absent() {
        return Ok(());
    }
    if access.is_within_account() && id != organization.id {
        return refused("credit_limit and reserve are the organization's to set");
    }
    let gives = id != organization.id && organization.recharge_policy == RechargePolicy::External;
    if credit_limit.is_absent() || gives {
        return Ok(());
    }
    refused("credit_limit: only the operator may give credit here, as only it may add money")
}

/// Who is asked for money pays the organization, so it says when; its own wallet's is its own to say.
fn refuse_to_ask(
    access: &Access,
    organization: &Organization,
    id: AccountId,
    recharge: &Given<AutoRecharge>,
) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(Kind::Forbidden, detail));
    if access.is_operator() || recharge.is_absent() || id == organization.id {
        return Ok(());
    }
    if access.is_within_account() {
        return refused("auto_recharge is the organization's to set");
    }
    let adds = organization.recharge_policy == RechargePolicy::External;
    if adds || *recharge == Given::Null {
        return Ok(());
    }
    refused(
        "auto_recharge: only the operator may set it here: the organization's recharge_policy is not external",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn balances_that_are_low_are_set_and_removed() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/wallet");
        for (body, shown) in [
            (json!({"low_balances": ["2", "12.5"]}), json!(["12.50", "2.00"])),
            (json!({}), json!(["12.50", "2.00"])),
            (json!({"low_balances": ["-5"], "credit_limit": "5"}), json!(["-5.00"])),
            (json!({"low_balances": []}), Value::Null),
            (json!({"low_balances": [0]}), json!(["0.00"])),
            (json!({"low_balances": null}), Value::Null),
        ] {
            let answered = harness.send(&harness.organization, "PATCH", &path, body).await;
            assert_eq!((answered.status, &answered.body["low_balances"]), (200, &shown));
            let read = harness.get(&harness.organization, &path).await;
            assert_eq!(read.body["low_balances"], shown);
        }
        let eleven: Vec<u32> = (1..=11).collect();
        for lines in [json!([1, "1.00"]), json!(["-5.01"]), json!(["x"]), json!(5), json!(eleven)] {
            let body = json!({"low_balances": lines});
            let refused = harness.send(&harness.organization, "PATCH", &path, body).await;
            assert_eq!((refused.status, named(&refused.body)), (400, vec!["low_balances".into()]));
        }
    }

    #[tokio::test]
    async fn credit_and_reserve_change_what_calls_may_use_and_nothing_of_the_ledger() {
        let harness = Harness::new().await;
        let key = harness.organization.clone();
        let (id, _) = harness.isolated(1).await;
        harness.recharge(&id, "10").await;
        let path = format!("/v1/sub-accounts/{id}/wallet");
        let told = || {
            harness.heard.lock().iter().rev().find_map(|change| match change {
                hub::directory::Change::Wallet(wallet) if wallet.owner.to_string() == id => {
                    Some((wallet.escrow.micros(), wallet.sequence))
                }
                _ => None,
            })
        };
        let (_, mut sequence) = told().expect("told");
        for (body, escrow, available) in [
            (json!({"credit_limit": "5"}), 15, "15.00"),
            (json!({"reserve": "2"}), 13, "13.00"),
            (json!({"low_balances": ["1"]}), 13, "13.00"),
            (json!({"credit_limit": null, "reserve": 12}), -2, "0.00"),
            (json!({"reserve": null}), 10, "10.00"),
        ] {
            let lends = body.get("low_balances").is_none();
            let patched = harness.send(&key, "PATCH", &path, body).await;
            assert_eq!((patched.status, &patched.body["available"]), (200, &json!(available)));
            assert_eq!(patched.body["balance"], "10.00", "the ledger knows nothing of it");
            let (told_escrow, told_sequence) = told().expect("told");
            assert_eq!(told_escrow, escrow * 1_000_000);
            assert_eq!(told_sequence > sequence, lends, "an old word is never taken for a new one");
            sequence = told_sequence;
        }
        harness.assert_ledger_balances().await;
    }

    #[tokio::test]
    async fn credit_is_given_by_who_may_add_money() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let own = "/v1/organization/wallet";
        let of_account = format!("/v1/sub-accounts/{id}/wallet");
        let by_operator = format!("/v1/organizations/{}/wallet", harness.organization_id);
        harness.user("boss@acme.example", &id, crate::permission::Role::Admin).await;
        let boss = harness.sign_in("boss@acme.example").await;
        let credit = json!({"credit_limit": "5"});
        let refused = harness.send_by(&boss, "PATCH", &of_account, credit.clone()).await;
        assert_eq!(refused.status, 403, "not the account's own");
        let reserve = json!({"reserve": "5"});
        assert_eq!(harness.send_by(&boss, "PATCH", &of_account, reserve.clone()).await.status, 403);
        let key = harness.organization.clone();
        assert_eq!(harness.send(&key, "PATCH", own, credit.clone()).await.status, 403);
        assert_eq!(harness.send(&key, "PATCH", own, reserve).await.status, 200);
        let given = harness.send(&harness.operator, "PATCH", &by_operator, credit.clone()).await;
        assert_eq!((given.status, &given.body["credit_limit"]), (200, &json!("5.00")));
        let policy = json!({"recharge_policy": "transfer"});
        assert_eq!(harness.send(&key, "PATCH", &of_account, credit.clone()).await.status, 200);
        harness.send(&key, "PATCH", "/v1/organization", policy).await;
        assert_eq!(harness.send(&key, "PATCH", &of_account, credit).await.status, 403);
    }
}
