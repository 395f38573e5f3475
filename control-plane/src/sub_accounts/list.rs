//! `GET /v1/sub-accounts` and `GET /v1/workspaces`: those of an organization, oldest first.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use hub::id::{AccountId, AccountKind};

use super::Shown;
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::ledger::Wallet;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    let search =
        schema::name().about("those in whose names this stands, upper and lower case alike");
    Operation::new("List sub-accounts", "Those of an organization, oldest first.")
        .query([("organization_id", organization), ("search", search)])
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    list(&app, &request, AccountKind::SubAccount).await
}

pub(crate) async fn workspaces(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    list(&app, &request, AccountKind::Workspace).await
}

async fn list(app: &Shared, request: &Request, kind: AccountKind) -> Result<Answer, Problem> {
    let mut query = request.query();
    let named = query.optional("organization_id", values::account_id);
    let search = query.optional("search", values::name).unwrap_or_default();
    let window = page::window(&mut query);
    query.finish()?;
    let id = request.access.organization_or(named)?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let accounts =
        Account::page(&mut connection, (id, kind), &search, (window.after_text(), window.rows()))
            .await?;
    let mut wallets = HashMap::new();
    if let (Some(first), Some(last)) = (accounts.first(), accounts.last()) {
        let between = Wallet::between(&mut connection, id, first.id, last.id).await?;
        wallets.extend(between.into_iter().map(|wallet| (wallet.owner, wallet)));
    }
    drop(connection);
    let ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
    let uses: HashMap<_, _> = ids.iter().zip(app.hub.uses(id, &ids).await).collect();
    let page = Page::of(accounts, &window, |account| account.id.to_string());
    Answer::ok(&page.map(|account| {
        let calls = uses.get(&account.id).copied().unwrap_or_default();
        Shown::of(&account, organization.currency, wallets.get(&account.id), calls)
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn a_list_is_read_page_by_page_to_its_end() {
        let harness = Harness::new().await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(harness.isolated(1).await.0);
        }
        made.sort();
        let (mut seen, mut path) = (Vec::new(), "/v1/sub-accounts?limit=2".to_owned());
        loop {
            let page = harness.get(&harness.organization, &path).await;
            assert_eq!(page.status, 200);
            seen.extend(
                page.body["data"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|shown| text(&shown["sub_account_id"])),
            );
            let Some(cursor) = page.body["next_cursor"].as_str() else {
                break;
            };
            path = format!("/v1/sub-accounts?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, made);
    }

    #[tokio::test]
    async fn a_search_finds_what_stands_anywhere_in_a_name_and_nothing_is_a_wildcard() {
        let harness = Harness::new().await;
        let mut made = Vec::new();
        for name in ["Acme Sales", "acme support", "50% off", "a_b", "Große Straße", r"c:\d!"] {
            let body = json!({"name": name, "concurrency_limit": 1});
            let created =
                harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
            made.push(text(&created.body["sub_account_id"]));
        }
        let found = async |search: &str| {
            let path = format!("/v1/sub-accounts?search={search}&limit=2");
            let page = harness.get(&harness.organization, &path).await;
            let names = page.body["data"].as_array().expect("a list").iter();
            names.map(|shown| text(&shown["name"])).collect::<Vec<_>>()
        };
        assert_eq!(found("ACME").await, ["Acme Sales", "acme support"]);
        assert_eq!(found("sup").await, ["acme support"]);
        assert_eq!(found("%25").await, ["50% off"]);
        assert_eq!(found("_").await, ["a_b"]);
        assert_eq!(found("%5C").await, [r"c:\d!"]);
        assert_eq!(found("!").await, [r"c:\d!"]);
        assert_eq!(found("STRASSE").await, ["Große Straße"]);
        let renamed = json!({"name": "ÇELİK"});
        let path = format!("/v1/sub-accounts/{}", made[4]);
        assert_eq!(harness.send(&harness.organization, "PATCH", &path, renamed).await.status, 200);
        assert_eq!(found("%C3%A7el").await, ["ÇELİK"]);
        assert!(found("strasse").await.is_empty());
        assert!(found("nobody").await.is_empty());
        let refused = harness.get(&harness.organization, "/v1/sub-accounts?search=").await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["search".to_owned()]));
    }

    #[tokio::test]
    async fn workspaces_and_sub_accounts_are_lists_of_their_own() {
        let harness = Harness::new().await;
        let (sub_account, _) = harness.isolated(1).await;
        let body = json!({"name": "Staging", "concurrency_limit": 2});
        let mut made = Vec::new();
        for _ in 0..3 {
            let path = "/v1/workspaces";
            let body = body.clone();
            let created = harness.send(&harness.organization, "POST", path, body).await;
            assert_eq!(created.status, 201, "{}", created.body);
            made.push(text(&created.body["workspace_id"]));
        }
        made.sort();
        let first = harness.get(&harness.organization, "/v1/workspaces?limit=2").await;
        let cursor = text(&first.body["next_cursor"]);
        let path = format!("/v1/workspaces?limit=2&cursor={cursor}");
        let rest = harness.get(&harness.organization, &path).await;
        let ids: Vec<String> = [&first, &rest]
            .iter()
            .flat_map(|page| page.body["data"].as_array().expect("a list"))
            .map(|shown| text(&shown["workspace_id"]))
            .collect();
        assert_eq!(ids, made);
        let listed = harness.get(&harness.organization, "/v1/sub-accounts").await;
        assert_eq!(listed.body["data"][0]["sub_account_id"], json!(sub_account));
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn limits_and_cursors_out_of_range_are_named() {
        let harness = Harness::new().await;
        for query in ["limit=0", "limit=1001", "limit=x", "limit=1&limit=1"] {
            let refused =
                harness.get(&harness.organization, &format!("/v1/sub-accounts?{query}")).await;
            assert_eq!(
                (refused.status, named(&refused.body)),
                (400, vec!["limit".to_owned()]),
                "{query}"
            );
        }
        let refused =
            harness.get(&harness.organization, "/v1/sub-accounts?cursor=%FF&colour=1").await;
        assert_eq!(named(&refused.body), ["cursor", "colour"]);
        let empty = harness.get(&harness.organization, "/v1/sub-accounts").await;
        assert_eq!(empty.body, json!({"data": [], "next_cursor": Value::Null}));
    }
}
