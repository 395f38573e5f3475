//! `GET /user/me`: whom a key is for, its money and its slots.

use axum::extract::State;
use http::StatusCode;
use hub::directory::Billing;
use serde::Serialize;

use super::number::Number;
use super::refusal::Refusal;
use super::uuid;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::ledger::Wallet;
use crate::problem::Problem;
use crate::request::Request;
use crate::{App, Shared};

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    /// A key has no address.
    email: Option<String>,
    /// The balance of the account's own wallet; null when it has none, or none that the key may see.
    wallet: Option<Number>,
    concurrency: Concurrency,
}

#[derive(Serialize)]
struct Concurrency {
    /// Null for the key of an elastic account: what its organization bought is not its business.
    max: Option<u32>,
    /// Null while the hub does not say.
    current: Option<u32>,
}

pub(crate) fn describe() -> Operation {
    let concurrency = schema::answered([
        ("max", schema::count().or_null().about("null for the key of an elastic account")),
        ("current", schema::count().or_null().about("null while the hub does not say")),
    ]);
    let shown = schema::answered([
        ("id", schema::uuid()),
        ("name", schema::text()),
        ("email", schema::text().or_null()),
        (
            "wallet",
            schema::number()
                .or_null()
                .about("the balance, in whole units; null when there is none that the key may see"),
        ),
        ("concurrency", concurrency),
    ]);
    Operation::new("Read whom a key is for", "Its money and its slots.").answers(
        StatusCode::OK,
        "The account.",
        shown.named("CompatibilityMe"),
    )
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Refusal> {
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    app.caught_up(organization).await;
    let mut connection = app.store.read().await.map_err(Problem::from)?;
    let organization = Organization::load(&mut connection, organization).await?;
    let account = Account::load(&mut connection, id).await?;
    let own = account.id == organization.id || account.billing == Billing::Isolated;
    let wallet = if own && !request.access.is_test() {
        Wallet::find(&mut connection, id).await?
    } else {
        None
    };
    drop(connection);
    let concurrency = Concurrency::now(&app, &organization, &account, request.access.is_test());
    Ok(Answer::ok(&Shown {
        id: uuid::text(id),
        concurrency: concurrency.await,
        name: account.name,
        email: None,
        wallet: wallet.map(|wallet| Number::units(wallet.balance())),
    })?)
}

impl Concurrency {
    /// Of the whole organization, where its own key asks.
    async fn now(app: &App, organization: &Organization, account: &Account, is_test: bool) -> Self {
        if account.id == organization.id {
            let current = app.hub.organization_live(organization.id).await;
            return Self { max: Some(organization.total), current };
        }
        let counted = if is_test { account.id.shadow() } else { account.id };
        let calls = app.hub.account_use(organization.id, counted).await;
        Self { max: account.cap, current: calls.map(|calls| calls.live) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Harness;
    use crate::testing::calls::call;
    use crate::testing::compatibility::{account, uuid};

    #[tokio::test]
    async fn a_key_is_told_whose_it_is_with_wallet_and_slots() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(10).await;
        harness.recharge(&id, "42.42").await;
        harness.admit(&call(id.parse().expect("an id"), "live", None), "0");
        let json = [("content-type", "application/json")];
        let me = harness.send_with(&key, "GET", "/user/me", &json, Vec::new()).await;
        let expected = json!({"id": uuid(&id), "name": "Acme Corp", "email": null, "wallet": 42.42,
            "concurrency": {"max": 10, "current": 1}});
        assert_eq!((me.status, me.body), (200, expected));

        let me = harness.get(&harness.organization, "/user/me").await;
        assert_eq!(me.body["id"], json!(uuid(&harness.organization_id)));
        assert_eq!(me.body["concurrency"], json!({"max": 100, "current": 1}));
        assert_eq!(me.body["wallet"], json!(0.0));
    }

    #[tokio::test]
    async fn an_account_learns_nothing_of_its_organization() {
        let harness = Harness::new().await;
        let made = account(&harness, json!({"min_concurrency": 1})).await;
        let me = harness.get(&made.key, "/user/me").await;
        assert_eq!(me.body["wallet"], Value::Null);
        assert_eq!(me.body["concurrency"], json!({"max": null, "current": 0}));
    }

    #[tokio::test]
    async fn without_a_key_access_is_denied() {
        let harness = Harness::new().await;
        for key in ["", "sa-00000000000000000000000000000000", "x"] {
            let refused = harness.get(key, "/user/me").await;
            let body = json!({"error": 401, "message": "Access denied"});
            assert_eq!((refused.status, refused.body), (401, body));
            assert_eq!(refused.headers["content-type"], "application/json");
        }
    }
}
