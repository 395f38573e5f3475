//! `POST …/wallet/recharge`: adds money to a wallet, once per `Idempotency-Key`. Answers 200 with the
//! wallet and its new entry. Where the money comes from is the organization's `recharge_policy`.

use axum::extract::State;
use http::StatusCode;
use hub::directory::Change as Published;
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::json;

use super::attempts::Attempt;
use super::entries::{self, Entry};
use super::withdrawal::Withdrawal;
use super::{Shown, attempts, own, watch};
use crate::Shared;
use crate::access::Access;
use crate::account::{Account, Organization, RechargePolicy};
use crate::answer::Answer;
use crate::change::{Begun, Change};
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::idempotency::Idempotency;
use crate::ledger::{self, Cause, Kind as Place, Transaction, Wallet};
use crate::problem::{FieldError, Kind, Problem};
use crate::request::Request;

#[derive(Serialize)]
struct Recharged {
    #[serde(flatten)]
    wallet: Shown,
    entry: Entry,
    /// The one that it settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<attempts::Shown>,
}

/// What the audit says of a recharge.
#[derive(Serialize)]
struct Audited {
    balance: String,
    currency: String,
}

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("amount", schema::amount(Amount::MAX).required().about("above 0: a number or a string of plain digits, at most six decimals, no exponent").example(5000)),
        ("currency", schema::currency().required().about("the wallet's own")),
        ("attempt", schema::id("rca").about("the recharge attempt that this settles; the amount may be another than it asked for")),
    ]);
    let shown = Shown::members().with([
        ("entry", Entry::schema()),
        ("attempt", attempts::Shown::schema().may_be_missing().about("the one that it settled")),
    ]);
    Operation::new("Recharge a wallet", "Send an `Idempotency-Key`, so that a repeated request adds the money once. Where the money comes from is the organization's `recharge_policy`.")
        .body(body, json!({"amount": 5000, "currency": "INR"}))
        .answers(StatusCode::OK, "The wallet with its new entry.", shown.named("RechargedWallet"))
        .refuses([Kind::InsufficientBalance, Kind::ConsolidatedBilling, Kind::UnknownRechargeAttempt, Kind::RechargeAttemptClosed])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let Asked { amount, currency, attempt: named } = read(&request)?;
    let id = request.access.account()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let organization = Organization::load(change.connection(), account.organization).await?;
    let policy = policy(&request.access, &organization, id)?;
    let wallet = own(change.connection(), &account).await?;
    check(&wallet, amount, currency)?;
    let settled = match &named {
        Some(named) => Some(Attempt::settle(&mut change, (id, named), amount).await?),
        None => None,
    };
    let mut withdrawal = None;
    if policy == RechargePolicy::Transfer {
        withdrawal = Some(transfer(&app, &mut change, &wallet, amount).await?);
    } else {
        let key = request.idempotency.as_ref().map(Idempotency::key);
        let reference = key.or(named.as_deref()).unwrap_or_default().to_owned();
        let posting = Transaction::moving(
            Cause::Recharge,
            reference,
            currency,
            amount,
            (id, Place::External),
            (id, Place::Wallet),
        );
        let moved = ledger::post(change.connection(), &[posting], now_us).await?;
        watch::all_moved(change.connection(), &moved, now_us).await?;
    }
    let recharged = Wallet::load(change.connection(), id).await?;
    change.publish(Published::Wallet(recharged.config()));
    let (before, after) = (Audited::of(&wallet), Audited::of(&recharged));
    change
        .audit(
            Some(organization.id),
            "wallet.recharged",
            &id.to_string(),
            Some(&before),
            Some(&after),
        )
        .await?;
    let entry = entries::latest(change.connection(), id).await?;
    let answer = Answer::ok(&Recharged {
        wallet: Shown::now(&app, &recharged).await,
        entry,
        attempt: settled,
    })?;
    let answer = change.commit(answer).await;
    // What is committed stays, also when the hub has not heard of it yet.
    let committed = answer.as_ref().err().is_none_or(|problem| problem.is(Kind::HubUnavailable));
    if let Some(withdrawal) = withdrawal
        && committed
    {
        withdrawal.keep();
    }
    answer
}

/// What is asked for.
struct Asked {
    amount: Amount,
    currency: Currency,
    attempt: Option<String>,
}

fn read(request: &Request) -> Result<Asked, Problem> {
    let mut fields = request.body()?;
    let amount = fields.required("amount", values::amount_above_zero);
    let currency = fields.required("currency", values::currency);
    let attempt = fields.optional("attempt", attempts::id);
    fields.finish()?;
    Ok(Asked {
        amount: amount.unwrap_or_default(),
        currency: currency.unwrap_or(Currency::INR),
        attempt,
    })
}

/// The policy that holds for this principal, if it may add money at all.
fn policy(
    access: &Access,
    organization: &Organization,
    id: AccountId,
) -> Result<RechargePolicy, Problem> {
    if access.is_operator() || id == organization.id {
        return Ok(RechargePolicy::External);
    }
    match organization.recharge_policy {
        RechargePolicy::Operator => Err(Problem::new(
            Kind::Forbidden,
            "only the operator may add money here: the organization's recharge_policy is operator",
        )),
        policy => Ok(policy),
    }
}

fn check(wallet: &Wallet, amount: Amount, currency: Currency) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, value: String, problem: String| {
        errors.push(FieldError { field: field.to_owned(), value: Some(value), problem });
    };
    if currency != wallet.currency {
        refuse(
            "currency",
            currency.to_string(),
            format!("expected {}, the wallet's currency", wallet.currency),
        );
    }
    if wallet.escrow.saturating_add(amount) > Amount::MAX {
        let most = Amount::MAX.saturating_sub(wallet.escrow).in_currency(wallet.currency);
        refuse(
            "amount",
            amount.in_currency(currency).to_string(),
            format!("expected at most {most}, what the wallet can still count"),
        );
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::fields(&errors)) }
}

/// Moves money from the organization's wallet. The hub gives it back first, so no call can be
/// admitted on money that is being moved.
async fn transfer(
    app: &Shared,
    change: &mut Change<'_>,
    to: &Wallet,
    amount: Amount,
) -> Result<Withdrawal, Problem> {
    let (now_us, organization) = (change.now_us, to.organization);
    let from = Wallet::load(change.connection(), organization).await?;
    let posting = Transaction::moving(
        Cause::Transfer,
        to.owner.to_string(),
        to.currency,
        amount,
        (organization, Place::Wallet),
        (to.owner, Place::Wallet),
    );
    let moved = ledger::post(change.connection(), &[posting], now_us).await?;
    watch::all_moved(change.connection(), &moved, now_us).await?;
    let reduced = Wallet::load(change.connection(), organization).await?;
    let withdrawal = Withdrawal::take(app, &from, &reduced).await?;
    change.publish(Published::Wallet(reduced.config()));
    let (before, after) = (Audited::of(&from), Audited::of(&reduced));
    change
        .audit(
            Some(organization),
            "wallet.transferred",
            &organization.to_string(),
            Some(&before),
            Some(&after),
        )
        .await?;
    Ok(withdrawal)
}

impl Audited {
    fn of(wallet: &Wallet) -> Self {
        Self {
            balance: wallet.balance().in_currency(wallet.currency).to_string(),
            currency: wallet.currency.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hub::directory::Change;
    use serde_json::{Value, json};

    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn a_recharge_is_in_the_balance_the_entries_and_the_hub() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/wallet");
        let body = json!({"amount": 5000, "currency": "INR"});
        let answered =
            harness.send(&harness.organization, "POST", &format!("{path}/recharge"), body).await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        assert_eq!(answered.body["balance"], json!("5000.00"));
        assert_eq!(answered.body["entry"]["cause"], json!("recharge"));
        harness.recharge(&id, "0.000001").await;
        let read = harness.get(&key, &path).await;
        assert_eq!(
            read.body,
            json!({"balance": "5000.000001", "held": "0.00", "available": "5000.000001", "currency": "INR"})
        );
        let entries = harness.get(&key, &format!("{path}/entries?limit=1")).await;
        assert_eq!(entries.body["data"][0]["balance_after"], json!("5000.000001"));
        let cursor = crate::testing::text(&entries.body["next_cursor"]);
        let entries = harness.get(&key, &format!("{path}/entries?cursor={cursor}")).await;
        assert_eq!(entries.body["data"][0]["amount"], json!("5000.00"));
        assert_eq!(entries.body["next_cursor"], Value::Null);
        let escrows: Vec<(i64, u64)> =
            harness.heard.lock().iter().filter_map(escrow_of(&id)).collect();
        assert_eq!(
            escrows.iter().map(|(escrow, _)| *escrow).collect::<Vec<_>>(),
            [0, 5_000_000_000, 5_000_000_001]
        );
        assert!(escrows.is_sorted_by(|a, b| a.1 < b.1));
        harness.assert_ledger_balances().await;
    }

    fn escrow_of(id: &str) -> impl Fn(&Change) -> Option<(i64, u64)> {
        move |change| match change {
            Change::Wallet(wallet) if wallet.owner.to_string() == id => {
                Some((wallet.escrow.micros(), wallet.sequence))
            }
            _ => None,
        }
    }

    #[tokio::test]
    async fn of_parallel_requests_with_one_idempotency_key_one_posts_and_all_get_its_answer() {
        let harness = Arc::new(Harness::new().await);
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/wallet/recharge");
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (harness, path) = (Arc::clone(&harness), path.clone());
            sends.spawn(async move {
                let (key, once) = (&harness.organization, [("idempotency-key", "k1")]);
                let body = br#"{"amount":"10","currency":"INR"}"#.to_vec();
                harness.send_with(key, "POST", &path, &once, body).await
            });
        }
        let answers = sends.join_all().await;
        assert!(answers.iter().all(|answered| answered.status == 200));
        let bodies: Vec<_> = answers.into_iter().map(|answered| answered.bytes).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]));
        let other = br#"{"amount":"11","currency":"INR"}"#.to_vec();
        let refused = harness
            .send_with(&harness.organization, "POST", &path, &[("idempotency-key", "k1")], other)
            .await;
        assert_eq!(
            (refused.status, &refused.body["reason"]),
            (422, &json!("idempotency_key_reused"))
        );
        let wallet =
            harness.get(&harness.organization, &format!("/v1/sub-accounts/{id}/wallet")).await;
        assert_eq!(wallet.body["balance"], json!("10.00"));
        harness.assert_ledger_balances().await;
    }

    #[tokio::test]
    async fn amounts_and_currencies_that_are_not_right_are_named() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}/wallet/recharge");
        for amount in [
            "0",
            "-5",
            "1e3",
            "1.0000001",
            "\"\"",
            "null",
            "true",
            "\"5,000\"",
            "9007199254.740992",
        ] {
            let body = format!(r#"{{"amount":{amount},"currency":"INR"}}"#).into_bytes();
            let refused = harness.send_with(&harness.organization, "POST", &path, &[], body).await;
            assert_eq!(
                (refused.status, named(&refused.body)),
                (400, vec!["amount".to_owned()]),
                "{amount}"
            );
        }
        for body in [
            json!({"amount": 1, "currency": "USD"}),
            json!({"amount": 1, "currency": "inr"}),
            json!({"amount": 1}),
        ] {
            let refused = harness.send(&harness.organization, "POST", &path, body).await;
            assert_eq!((refused.status, named(&refused.body)), (400, vec!["currency".to_owned()]));
        }
        assert_eq!(harness.recharge(&id, "9007199254.740991").await.status, 200);
        assert_eq!(named(&harness.recharge(&id, "0.000001").await.body), ["amount"]);
    }

    #[tokio::test]
    async fn the_policy_says_where_the_money_comes_from() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let organization = format!("/v1/organizations/{}", harness.organization_id);
        let money = json!({"amount": 100, "currency": "INR"});
        let own = harness
            .send(&harness.operator, "POST", &format!("{organization}/wallet/recharge"), money)
            .await;
        assert_eq!(own.body["balance"], json!("100.00"));

        harness
            .send(
                &harness.organization,
                "PATCH",
                "/v1/organization",
                json!({"recharge_policy": "transfer"}),
            )
            .await;
        assert_eq!(harness.recharge(&id, "60").await.status, 200);
        let refused = harness.recharge(&id, "60").await;
        assert_eq!((refused.status, &refused.body["available"]), (402, &json!("40.00")));
        let parent = harness.get(&harness.organization, "/v1/organization/wallet").await;
        assert_eq!(parent.body["balance"], json!("40.00"));
        let loosened = harness
            .send(
                &harness.organization,
                "PATCH",
                "/v1/organization",
                json!({"recharge_policy": "external"}),
            )
            .await;
        assert_eq!(loosened.status, 403);

        harness
            .send(&harness.operator, "PATCH", &organization, json!({"recharge_policy": "operator"}))
            .await;
        assert_eq!(harness.recharge(&id, "1").await.status, 403);
        let path = format!("/v1/sub-accounts/{id}/wallet/recharge");
        let by_operator = harness
            .send(&harness.operator, "POST", &path, json!({"amount": 1, "currency": "INR"}))
            .await;
        assert_eq!(by_operator.body["balance"], json!("61.00"));
        harness.assert_ledger_balances().await;
    }
}
