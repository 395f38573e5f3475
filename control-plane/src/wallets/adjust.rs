//! `POST …/wallet/adjust` and `POST …/wallet/refund`: money that is given or taken for a reason that somebody
//! states, once per `Idempotency-Key`. An adjustment is between the wallet and its revenue: a credit for a
//! call that was bad, a debit for one that was not counted. A refund is paid back outside Ringfence. Neither
//! takes more than there is: what calls hold or have spent stays.

use axum::extract::State;
use http::StatusCode;
use hub::directory::Change as Published;
use hub::money::{Amount, Currency};
use serde::Serialize;
use serde_json::json;

use super::entries::{self, Entry};
use super::withdrawal::Withdrawal;
use super::{Shown, own, watch, withdrawing};
use crate::Shared;
use crate::account::{Account, Organization, RechargePolicy};
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::values;
use crate::ledger::{self, Cause, Kind as Place, Transaction, Wallet};
use crate::problem::{FieldError, Kind, Problem};
use crate::request::Request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Credit,
    Debit,
    Refund,
}

impl Deed {
    /// What an adjustment may be.
    const WORDS: &'static [(&'static str, Self)] =
        &[("credit", Self::Credit), ("debit", Self::Debit)];

    const fn cause(self) -> Cause {
        match self {
            Self::Credit => Cause::Credit,
            Self::Debit => Cause::Debit,
            Self::Refund => Cause::Refund,
        }
    }

    /// As the audit names it.
    const fn action(self) -> &'static str {
        match self {
            Self::Credit => "wallet.credited",
            Self::Debit => "wallet.debited",
            Self::Refund => "wallet.refunded",
        }
    }

    /// Where the money comes from or goes to.
    const fn other(self) -> Place {
        match self {
            Self::Credit | Self::Debit => Place::Revenue,
            Self::Refund => Place::External,
        }
    }
}

/// What is asked for.
struct Asked {
    deed: Deed,
    amount: Amount,
    currency: Currency,
    reason: String,
}

#[derive(Serialize)]
struct Adjusted {
    #[serde(flatten)]
    wallet: Shown,
    entry: Entry,
}

/// What the audit says.
#[derive(Serialize)]
struct Audited<'a> {
    balance: String,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

pub(crate) fn describe() -> Operation {
    let kind = schema::word(Deed::WORDS)
        .required()
        .about("`credit` gives money, `debit` takes it; both against the wallet's revenue");
    Operation::new(
        "Adjust a wallet",
        "Gives or takes money for a stated reason. Send an `Idempotency-Key`, so that a repeated request does it once. A debit takes no more than is available (402). A credit takes what a recharge takes: with the `recharge_policy` `external`, or the operator.",
    )
    .body(
        schema::asked(members().into_iter().chain([("kind", kind)])),
        json!({"kind": "credit", "amount": "2.40", "currency": "INR", "reason": "Dropped call c-4711"}),
    )
    .answers(StatusCode::OK, "The wallet with its new entry.", shown())
    .refuses([Kind::InsufficientBalance, Kind::ConsolidatedBilling])
}

pub(crate) fn describe_refund() -> Operation {
    Operation::new(
        "Refund money of a wallet",
        "Notes that money was paid back outside Ringfence, for a stated reason. Send an `Idempotency-Key`, so that a repeated request does it once. It takes no more than is available (402).",
    )
    .body(
        schema::asked(members()),
        json!({"amount": "100", "currency": "INR", "reason": "Contract ended"}),
    )
    .answers(StatusCode::OK, "The wallet with its new entry.", shown())
    .refuses([Kind::InsufficientBalance, Kind::ConsolidatedBilling])
}

fn members() -> [(&'static str, Schema); 3] {
    [
        ("amount", schema::amount(Amount::MAX).required().about("above 0").example("2.40")),
        ("currency", schema::currency().required().about("the wallet's own")),
        ("reason", schema::name().required().about("why, for the audit")),
    ]
}

fn shown() -> Schema {
    Shown::members().with([("entry", Entry::schema())]).named("AdjustedWallet")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let deed = fields.required("kind", values::word(Deed::WORDS)).unwrap_or(Deed::Debit);
    let asked = read(fields, deed)?;
    carry_out(&app, &request, &asked).await
}

pub(crate) async fn refund(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let asked = read(request.body()?, Deed::Refund)?;
    carry_out(&app, &request, &asked).await
}

fn read(mut fields: crate::fields::Fields, deed: Deed) -> Result<Asked, Problem> {
    let amount = fields.required("amount", values::amount_above_zero);
    let currency = fields.required("currency", values::currency);
    let reason = fields.required("reason", values::name);
    fields.finish()?;
    Ok(Asked {
        deed,
        amount: amount.unwrap_or_default(),
        currency: currency.unwrap_or(Currency::INR),
        reason: reason.unwrap_or_default(),
    })
}

async fn carry_out(app: &Shared, request: &Request, asked: &Asked) -> Result<Answer, Problem> {
    let id = request.access.account()?;
    // What calls have cost by now is posted before it is looked at what there is.
    app.caught_up(request.access.organization()?).await;
    let takes = asked.deed != Deed::Credit;
    if takes {
        withdrawing::note(&app.store, id).await?;
    }
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let organization = Organization::load(change.connection(), account.organization).await?;
    if !takes
        && !request.access.is_operator()
        && organization.recharge_policy != RechargePolicy::External
    {
        return Err(Problem::new(
            Kind::Forbidden,
            "only the operator may add money here: the organization's recharge_policy is not external",
        ));
    }
    let wallet = own(change.connection(), &account).await?;
    check(&wallet, asked)?;
    let places = ((id, asked.deed.other()), (id, Place::Wallet));
    let (from, to) = if takes { (places.1, places.0) } else { places };
    let reference =
        request.idempotency.as_ref().map_or("", |idempotency| idempotency.key()).to_owned();
    let posting =
        Transaction::moving(asked.deed.cause(), reference, asked.currency, asked.amount, from, to);
    let moved = ledger::post(change.connection(), &[posting], now_us).await?;
    watch::all_moved(change.connection(), &moved, now_us).await?;
    let adjusted = Wallet::load(change.connection(), id).await?;
    let mut withdrawal = None;
    if takes {
        withdrawal = Some(Withdrawal::take(app, &wallet, &adjusted).await?);
        withdrawing::forget(change.connection(), id).await?;
    }
    change.publish(Published::Wallet(adjusted.config()));
    let before = Audited::of(&wallet, None);
    let after = Audited::of(&adjusted, Some(&asked.reason));
    let of = Some(organization.id);
    change.audit(of, asked.deed.action(), &id.to_string(), Some(&before), Some(&after)).await?;
    let entry = entries::latest(change.connection(), id).await?;
    let answer = Answer::ok(&Adjusted { wallet: Shown::now(app, &adjusted).await, entry })?;
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

fn check(wallet: &Wallet, asked: &Asked) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, value: String, problem: String| {
        errors.push(FieldError { field: field.to_owned(), value: Some(value), problem });
    };
    if asked.currency != wallet.currency {
        let expected = format!("expected {}, the wallet's currency", wallet.currency);
        refuse("currency", asked.currency.to_string(), expected);
    }
    if asked.deed == Deed::Credit && wallet.escrow.saturating_add(asked.amount) > Amount::MAX {
        let most = Amount::MAX.saturating_sub(wallet.escrow).in_currency(wallet.currency);
        let given = asked.amount.in_currency(asked.currency).to_string();
        refuse(
            "amount",
            given,
            format!("expected at most {most}, what the wallet can still count"),
        );
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::fields(&errors)) }
}

impl<'a> Audited<'a> {
    fn of(wallet: &Wallet, reason: Option<&'a str>) -> Self {
        Self {
            balance: wallet.balance().in_currency(wallet.currency).to_string(),
            currency: wallet.currency.to_string(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use hub::directory::{Billing, Change};
    use serde_json::{Value, json};

    use crate::testing::calls::{amount, call};
    use crate::testing::{Answered, Harness, named};

    async fn ask(harness: &Harness, key: &str, path: &str, body: Value) -> Answered {
        harness.send(key, "POST", path, body).await
    }

    fn body(kind: Option<&str>, amount: &str) -> Value {
        let mut body = json!({"amount": amount, "currency": "INR", "reason": "Ticket 4711"});
        if let Some(kind) = kind {
            body["kind"] = json!(kind);
        }
        body
    }

    #[tokio::test]
    async fn money_is_given_and_taken_for_a_reason_and_the_ledger_and_the_hub_say_so() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(1).await;
        harness.recharge(&id, "10").await;
        let path = format!("/v1/sub-accounts/{id}/wallet");
        let (adjust, refund) = (format!("{path}/adjust"), format!("{path}/refund"));
        let own = &harness.organization;
        for (path, body, balance, cause, amount) in [
            (&adjust, body(Some("credit"), "2.5"), "12.50", "credit", "2.50"),
            (&adjust, body(Some("debit"), "1"), "11.50", "debit", "-1.00"),
            (&refund, body(None, "11"), "0.50", "refund", "-11.00"),
        ] {
            let done = ask(&harness, own, path, body).await;
            assert_eq!(
                (done.status, &done.body["balance"]),
                (200, &json!(balance)),
                "{}",
                done.body
            );
            let entry = &done.body["entry"];
            assert_eq!((&entry["cause"], &entry["amount"]), (&json!(cause), &json!(amount)));
        }
        let escrow = harness.heard.lock().iter().rev().find_map(|change| match change {
            Change::Wallet(wallet) if wallet.owner.to_string() == id => Some(wallet.escrow),
            _ => None,
        });
        assert_eq!(escrow, Some(amount("0.5")));
        harness.assert_ledger_balances().await;
        let audit =
            harness.get(own, &format!("/v1/audit?subject={id}&action=wallet.refunded")).await;
        let entry = &audit.body["data"][0];
        assert_eq!(
            entry["after"],
            json!({"balance": "0.50", "currency": "INR", "reason": "Ticket 4711"})
        );
        assert!(entry["actor"].as_str().is_some_and(|actor| actor.contains(" by key_")), "{entry}");
        // A tenant's own key moves no money.
        assert_eq!(ask(&harness, &key, &adjust, body(Some("credit"), "1")).await.status, 403);
        let refused = ask(&harness, own, &adjust, json!({"kind": "gift", "amount": 0})).await;
        assert_eq!(named(&refused.body), ["kind", "amount", "currency", "reason"]);
        let dollars = json!({"amount": 1, "currency": "USD", "reason": "x"});
        assert_eq!(named(&ask(&harness, own, &refund, dollars).await.body), ["currency"]);
    }

    #[tokio::test]
    async fn nothing_takes_more_than_is_available_and_a_repetition_takes_nothing() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        harness.recharge(&id, "10").await;
        harness.admit(&call(id.parse().expect("an id"), "held", Some(Billing::Isolated)), "3");
        let path = format!("/v1/sub-accounts/{id}/wallet");
        for (rest, kind) in [("adjust", Some("debit")), ("refund", None)] {
            let path = format!("{path}/{rest}");
            let refused = ask(&harness, &harness.organization, &path, body(kind, "7.01")).await;
            assert_eq!((refused.status, &refused.body["available"]), (402, &json!("7.00")));
        }
        let path = format!("{path}/refund");
        let headers = [("idempotency-key", "r-1"), ("content-type", "application/json")];
        for _ in 0..2 {
            let sent = body(None, "7").to_string().into_bytes();
            let done =
                harness.send_with(&harness.organization, "POST", &path, &headers, sent).await;
            assert_eq!(
                (done.status, &done.body["balance"]),
                (200, &json!("3.00")),
                "{}",
                done.body
            );
            assert_eq!(done.body["entry"]["reference"], json!("r-1"));
        }
        harness.assert_ledger_balances().await;
    }

    #[tokio::test]
    async fn an_organization_that_may_not_add_money_cannot_credit_it_and_the_operator_can() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let policy = json!({"recharge_policy": "operator"});
        harness.send(&harness.organization, "PATCH", "/v1/organization", policy).await;
        let path = format!("/v1/sub-accounts/{id}/wallet/adjust");
        let credit = || body(Some("credit"), "1");
        assert_eq!(ask(&harness, &harness.organization, &path, credit()).await.status, 403);
        assert_eq!(ask(&harness, &harness.operator, &path, credit()).await.status, 200);
        let path = format!("/v1/organizations/{}/wallet/adjust", harness.organization_id);
        assert_eq!(ask(&harness, &harness.organization, &path, credit()).await.status, 403);
        assert_eq!(ask(&harness, &harness.operator, &path, credit()).await.status, 200);
        harness.assert_ledger_balances().await;
    }

    #[tokio::test]
    async fn a_withdrawal_that_a_crash_cut_off_is_overtaken_by_the_next_start() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        harness.recharge(&id, "10").await;
        let owner = id.parse().expect("an id");
        let store = &harness.plane.app.store;
        super::withdrawing::note(store, owner).await.expect("noted");
        let mut writing = store.write().await.expect("a turn");
        let before = super::Wallet::load(writing.connection(), owner).await.expect("its wallet");
        let now_us = before.sequence + 1_000_000;
        super::withdrawing::overtake(writing.connection(), now_us).await.expect("overtaken");
        let after = super::Wallet::load(writing.connection(), owner).await.expect("its wallet");
        assert_eq!((after.sequence, after.escrow), (now_us, before.escrow));
        super::withdrawing::overtake(writing.connection(), now_us + 9).await.expect("nothing left");
        let again = super::Wallet::load(writing.connection(), owner).await.expect("its wallet");
        assert_eq!(again.sequence, now_us);
    }
}
