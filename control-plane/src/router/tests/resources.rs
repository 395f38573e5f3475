//! Who reaches which agent, phone number and provider: the table of routes says who may ask at all.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};

use super::{Answered, Credential, World, refusal};
use crate::testing::text;

/// What is expected. Read its head first.
const TABLE: &str = include_str!("../resources.txt");

impl World {
    async fn ask_with(
        &self,
        who: &Credential,
        method: &Method,
        path: &str,
        (headers, body): (&[(&str, &str)], &Value),
    ) -> Answered {
        let mut headers = headers.to_vec();
        let mut key = "";
        match who {
            Credential::Key(secret) => key = secret,
            Credential::Session(cookie) => headers.push(("cookie", cookie.header())),
            Credential::Delegate(cookie, delegation) => {
                headers.push(("cookie", cookie.header()));
                headers.push(("ringfence-delegation", delegation));
            }
        }
        if key.is_empty() {
            headers.push(("x-requested-with", "fetch"));
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.harness.send_with(key, method.as_str(), path, &headers, body).await
    }

    /// Resources of everyone, with their paths.
    async fn resources(&self) -> Vec<(&'static str, String)> {
        let [(_, [organization, own, workspace]), (_, [_, sibling, _]), (_, [foreign, ..]), _] =
            &self.objects;
        let mut made = Vec::new();
        for (name, path, owner, account) in [
            ("agent of the sub-account", "/v1/agents", organization, Some(own)),
            ("agent of the workspace", "/v1/agents", organization, Some(workspace)),
            ("agent of a sibling", "/v1/agents", organization, Some(sibling)),
            ("agent of the organization", "/v1/agents", organization, Some(organization)),
            ("foreign agent", "/v1/agents", foreign, Some(foreign)),
            ("number of the sub-account", "/v1/phone-numbers", organization, Some(own)),
            ("number of the workspace", "/v1/phone-numbers", organization, Some(workspace)),
            ("number of a sibling", "/v1/phone-numbers", organization, Some(sibling)),
            ("shared number", "/v1/phone-numbers", organization, None),
            ("foreign shared number", "/v1/phone-numbers", foreign, None),
            ("provider", "/v1/providers", organization, None),
            ("foreign provider", "/v1/providers", foreign, None),
        ] {
            let mut body = json!({"organization_id": owner});
            match path {
                "/v1/phone-numbers" => body["number"] = json!(format!("1{}", made.len())),
                "/v1/providers" => body["name"] = json!("carrier"),
                _ => {}
            }
            if let Some(account) = account {
                body["account"] = json!(account);
            }
            let created = self.harness.send(&self.harness.operator, "POST", path, body).await;
            assert_eq!(created.status, 201, "{name}: {}", created.body);
            made.push((name, format!("{path}/{}", text(&created.body["id"]))));
        }
        made
    }
}

/// What became of a request that changes nothing: a patch without fields, a deletion of another state.
fn verdict(answered: &Answered) -> &'static str {
    match (refusal(answered), answered.status) {
        (Some("unauthenticated"), _) => "who",
        (Some("forbidden"), _) => "no",
        (None, 404) => "hidden",
        (None, 200 | 412) => "yes",
        (reason, status) => panic!("{status} {reason:?}: {}", answered.body),
    }
}

#[tokio::test]
async fn every_resource_is_reached_by_whom_the_table_says_and_by_nobody_else() {
    let world = World::new().await;
    let resources = world.resources().await;
    let mut found = String::new();
    for line in TABLE.lines().filter(|line| line.starts_with('#')) {
        found.push_str(line);
        found.push('\n');
    }
    write!(found, "{:<34}", "").expect("text");
    for (who, _) in &world.principals {
        write!(found, "{who:<10}").expect("text");
    }
    let another_state = [("if-match", "\"000000000000000000000000\"")];
    for (name, path) in &resources {
        for (method, headers, body) in [
            (Method::GET, &[][..], Value::Null),
            (Method::PATCH, &[], json!({})),
            (Method::DELETE, &another_state, Value::Null),
        ] {
            write!(found, "\n{:<7}{name:<27}", method.as_str()).expect("text");
            for (_, credential) in &world.principals {
                let answered = world.ask_with(credential, &method, path, (headers, &body)).await;
                write!(found, "{:<10}", verdict(&answered)).expect("text");
            }
        }
    }
    let trimmed = |table: &str| table.lines().map(str::trim_end).map(str::to_owned).collect();
    let (found, expected): (Vec<String>, Vec<String>) = (trimmed(&found), trimmed(TABLE));
    assert!(found == expected, "what is, in place of resources.txt:\n{}", found.join("\n"));
}

#[tokio::test]
async fn a_list_has_what_its_reader_reaches_and_nothing_else() {
    let world = World::new().await;
    let resources = world.resources().await;
    for (who, credential) in &world.principals {
        if matches!(*who, "operator" | "expired" | "nobody") {
            continue;
        }
        for list in ["/v1/agents", "/v1/phone-numbers", "/v1/providers"] {
            let mut reached = Vec::new();
            for (_, path) in resources.iter().filter(|(_, path)| path.starts_with(list)) {
                let read = world.ask(credential, "GET", path, Value::Null).await;
                reached.extend((read.status == 200).then_some(read.body));
            }
            reached.sort_by_key(|shown| text(&shown["id"]));
            let listed = world.ask(credential, "GET", list, Value::Null).await;
            assert_eq!(listed.body["data"], json!(reached), "{who} {list}");
        }
    }
}

#[tokio::test]
async fn nobody_makes_one_for_an_account_that_is_not_theirs() {
    let world = World::new().await;
    let [
        (_, [organization, own, workspace]),
        (_, [_, sibling, _]),
        (_, [_, foreign, _]),
        (_, missing),
    ] = &world.objects;
    let accounts = [organization, own, workspace, sibling, foreign, &missing[1]];
    for (who, credential) in &world.principals[1..] {
        for account in accounts {
            for path in ["/v1/agents", "/v1/phone-numbers"] {
                let mut body = json!({"account": account});
                if path == "/v1/phone-numbers" {
                    body["number"] = json!("1800");
                }
                let made = world.ask(credential, "POST", path, body).await;
                let may = match *who {
                    "org-key" | "owner" | "admin" | "member" | super::MEMBER_KEPT | "admin-t" => {
                        account != foreign && account != &missing[1]
                    }
                    "key" | "sa-admin" | "sa-member" | "deleg-w" => account == own,
                    "ws-key" | "ws-admin" | "ws-member" => account == workspace,
                    _ => false,
                };
                assert_eq!(made.status == 201, may, "{who} {path} {account}: {}", made.body);
                if may {
                    let own = format!("{path}/{}", text(&made.body["id"]));
                    let gone = world.ask(credential, "DELETE", &own, Value::Null).await;
                    assert_eq!(gone.status, 204, "{who} {own}: {}", gone.body);
                }
            }
        }
    }
}
