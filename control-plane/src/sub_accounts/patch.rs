//! `PATCH /v1/sub-accounts/{id}` and `…/workspaces/{id}`: merges what is given into an account. Live calls are never
//! dropped; they keep the billing they were admitted with.

use axum::extract::State;
use http::StatusCode;
use hub::directory::{AtZero, Billing, Change as Published, OnHubLoss};
use hub::money::Amount;
use serde_json::json;

use super::{Deed, Settings, Shown, at_zero_asked, billing_mode, create, note};
use crate::Shared;
use crate::account::{AT_ZERO, Account, BILLING, ON_HUB_LOSS, Organization, presentation, rate};
use crate::allocation::{self, Asked};
use crate::answer::Answer;
use crate::budget;
use crate::change::Begun;
use crate::decks;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::{Given, values};
use crate::ledger::{self, Wallet};
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::retention;

/// What is to be merged into an account.
#[derive(Default)]
pub(crate) struct Patch {
    pub(crate) name: Option<String>,
    pub(crate) allocation: Asked,
    pub(crate) outbound_cap: Given<u32>,
    pub(crate) cps_limit: Given<u32>,
    pub(crate) billing: Option<Billing>,
    pub(crate) region: Given<String>,
    pub(crate) pricing: rate::Asked,
    pub(crate) on_hub_loss: Option<OnHubLoss>,
    pub(crate) at_zero: Option<AtZero>,
    pub(crate) monthly_budget: Given<Amount>,
    pub(crate) call_retention_days: Given<u32>,
    pub(crate) presentation: presentation::Asked,
}

pub(crate) fn describe() -> Operation {
    let billing = schema::word(BILLING).about("live calls keep the wallet they were admitted with");
    operation([("billing_mode", billing)])
}

pub(crate) fn describe_workspace() -> Operation {
    operation([])
}

fn operation(billing: impl IntoIterator<Item = (&'static str, Schema)>) -> Operation {
    let members = [
        ("name", schema::name()),
        ("region", schema::region().or_null()),
        ("cps_limit", schema::whole(values::CPS).or_null()),
        ("rate", rate::asked().or_null()),
        ("rate_deck", rate::deck().or_null()),
        ("on_hub_loss", schema::word(ON_HUB_LOSS)),
        at_zero_asked(),
        budget::asked(),
        retention::asked("as the organization's"),
    ];
    let members = members.into_iter().chain(allocation::asked()).chain(presentation::asked());
    let members = members.chain([allocation::outbound_asked()]);
    let members = members.chain(billing);
    Operation::new(
        "Change a sub-account",
        "Merges what is given; null removes. Lowering a limit ends no live call: nothing new starts until use has fallen.",
    )
    .body(schema::asked(members), json!({"min_concurrency": 5, "max_concurrency": 20}))
    .answers(StatusCode::OK, "The sub-account as it is now.", Shown::schema())
    .refuses([Kind::OverAllocation])
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let patch = read(&app, &request)?;
    carry_out(&app, &request, patch, |shown| Answer::ok(shown)?.tagged(&shown.tag()?)).await
}

/// Merges into the account that the request is about; `answer` shows what it is then.
pub(crate) async fn carry_out(
    app: &Shared,
    request: &Request,
    patch: Patch,
    answer: impl FnOnce(&Shown) -> Result<Answer, Problem>,
) -> Result<Answer, Problem> {
    let id = request.access.account()?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut account = Account::load(change.connection(), id).await?;
    let organization = Organization::load(change.connection(), account.organization).await?;
    let before = Settings::of(&account, organization.currency);
    request.preconditions.check(&Tag::of(&before)?)?;
    let (allocates, moves) = (!patch.allocation.is_absent(), !patch.region.is_absent());
    let (reprices, monthly_budget) = (!patch.pricing.is_absent(), patch.monthly_budget);
    patch.merge_into(&mut account);
    budget::set(change.connection(), &mut account, monthly_budget, now_us).await?;
    if reprices {
        decks::refuse_unfit(change.connection(), organization.id, account.pricing, "rate_deck")
            .await?;
    }
    if moves {
        create::check_region(app, &organization, &account)?;
    }
    if allocates {
        allocation::verify(change.connection(), &account, organization.total).await?;
    }
    account.update(change.connection(), now_us).await?;
    let mut wallet = Wallet::find(change.connection(), id).await?;
    if account.billing == Billing::Isolated && wallet.is_none() {
        ledger::open_wallet(
            change.connection(),
            id,
            organization.id,
            organization.currency,
            now_us,
        )
        .await?;
        let opened = Wallet::load(change.connection(), id).await?;
        // The wallet first: an isolated account without one would be refused every call.
        change.publish(Published::Wallet(opened.config()));
        wallet = Some(opened);
    }
    change.publish(Published::Account(account.config()));
    let shown = Shown::now(app, &account, organization.currency, wallet.as_ref()).await;
    note(&mut change, Deed::Updated, &account, Some(&before), Some(&shown.settings)).await?;
    change.commit(answer(&shown)?).await
}

fn read(app: &Shared, request: &Request) -> Result<Patch, Problem> {
    let mut fields = request.body()?;
    let patch = Patch {
        name: fields.optional("name", values::name),
        allocation: allocation::read(&mut fields, false),
        outbound_cap: allocation::outbound(&mut fields),
        cps_limit: fields.given("cps_limit", values::whole(values::CPS)),
        billing: billing_mode(&mut fields, request.access.account()?.kind()),
        region: fields.given("region", values::region(&app.regions)),
        pricing: rate::Asked::read(&mut fields, "rate", "rate_deck"),
        on_hub_loss: fields.optional("on_hub_loss", values::word(ON_HUB_LOSS)),
        at_zero: fields.optional("at_zero", values::word(AT_ZERO)),
        monthly_budget: budget::read(&mut fields),
        call_retention_days: retention::read(&mut fields),
        presentation: presentation::read(&mut fields),
    };
    fields.finish()?;
    Ok(patch)
}

impl Patch {
    fn merge_into(self, account: &mut Account) {
        account.name = self.name.unwrap_or_else(|| account.name.clone());
        self.allocation.merge_into(account);
        account.outbound_cap = self.outbound_cap.merged(account.outbound_cap);
        account.cps_limit = self.cps_limit.merged(account.cps_limit);
        account.billing = self.billing.unwrap_or(account.billing);
        account.region = self.region.merged(account.region.take());
        account.pricing = self.pricing.merged(account.pricing);
        account.on_hub_loss = self.on_hub_loss.unwrap_or(account.on_hub_loss);
        account.at_zero = self.at_zero.unwrap_or(account.at_zero);
        account.call_retention_days = self.call_retention_days.merged(account.call_retention_days);
        self.presentation.merge_into(&mut account.presentation);
    }
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use serde_json::{Value, json};

    use crate::testing::{Harness, named};

    #[tokio::test]
    async fn a_patch_merges_what_is_given_and_null_removes() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(10).await;
        let path = format!("/v1/sub-accounts/{id}");
        let merged = json!({"name": "New", "max_concurrency": 20, "cps_limit": 5, "region": null,
            "rate": {"per_minute": "1.20", "initial_s": 60, "increment_s": 1}});
        let patched = harness.send(&harness.organization, "PATCH", &path, merged).await;
        assert_eq!(patched.status, 200, "{}", patched.body);
        assert_eq!(patched.body["min_concurrency"], json!(10));
        assert_eq!(patched.body["max_concurrency"], json!(20));
        assert_eq!(patched.body["region"], Value::Null);
        assert_eq!(patched.body["rate"]["per_minute"], json!("1.20"));
        assert_eq!(patched.body["rate"]["increment_s"], json!(1));
        let merged = json!({"rate": null, "cps_limit": null, "max_concurrency": null});
        let patched = harness.send(&harness.organization, "PATCH", &path, merged).await;
        for field in ["rate", "cps_limit", "max_concurrency"] {
            assert_eq!(patched.body[field], Value::Null, "{field}");
        }
        assert_eq!(patched.body["name"], json!("New"));
        let versions: Vec<u64> = harness.heard.lock().iter().filter_map(version_of(&id)).collect();
        assert!(versions.len() == 3 && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }

    fn version_of(id: &str) -> impl Fn(&Change) -> Option<u64> {
        move |change| match change {
            Change::Account(account) if account.id.to_string() == id => Some(account.version),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_floor_above_the_cap_that_stands_or_the_total_is_refused() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(10).await;
        let path = format!("/v1/sub-accounts/{id}");
        let refused = harness
            .send(&harness.organization, "PATCH", &path, json!({"min_concurrency": 11}))
            .await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec!["min_concurrency".to_owned()])
        );
        let refused = harness
            .send(&harness.organization, "PATCH", &path, json!({"concurrency_limit": 101}))
            .await;
        assert_eq!((refused.status, &refused.body["over_by"]), (409, &json!(1)));
        let lowered = harness
            .send(&harness.organization, "PATCH", &path, json!({"concurrency_limit": 0}))
            .await;
        assert_eq!(lowered.status, 200);
    }

    #[tokio::test]
    async fn an_account_that_becomes_isolated_gets_a_wallet_and_keeps_it() {
        let harness = Harness::new().await;
        let body = json!({"name": "x", "billing_mode": "consolidated", "concurrency_limit": 1});
        let created = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(created.body["wallet"], Value::Null);
        let id = crate::testing::text(&created.body["sub_account_id"]);
        assert_eq!(harness.recharge(&id, "5").await.status, 409);
        let path = format!("/v1/sub-accounts/{id}");
        for (mode, balance) in [
            ("isolated", json!("0.00")),
            ("consolidated", Value::Null),
            ("isolated", json!("5.00")),
        ] {
            let patched = harness
                .send(&harness.organization, "PATCH", &path, json!({"billing_mode": mode}))
                .await;
            assert_eq!(patched.body["wallet"]["balance"], balance);
            if mode == "isolated" && balance == json!("0.00") {
                assert_eq!(harness.recharge(&id, "5").await.status, 200);
            }
        }
    }
}
