//! Resources as answers and the audit show them.

use hub::directory::ResourceKind;
use hub::id::AccountKind;
use serde::Serialize;

use super::{Resource, sort};
use crate::access::Access;
use crate::description::schema::{self, Schema};
use crate::timestamp;

#[derive(Clone, Serialize)]
pub(super) struct Shown {
    id: String,
    organization_id: String,
    #[serde(flatten)]
    named: Named,
    /// Of what calls are counted against, but for an account what is shared.
    #[serde(flatten)]
    limit: Option<Limit>,
    created_at: String,
    updated_at: String,
}

#[derive(Clone, Serialize)]
#[serde(untagged)]
enum Named {
    Agent { agent_id: String, name: String, account: Option<String> },
    Number { number: String, label: String, account: Option<String> },
    Provider { name: String, label: String },
}

#[derive(Clone, Serialize)]
struct Limit {
    /// Null: any number of calls.
    concurrency_limit: Option<u32>,
}

impl Shown {
    /// All of it.
    pub(super) fn of(resource: &Resource) -> Self {
        let (written, label) = (resource.written.clone(), resource.label.clone());
        let account = resource.account.map(|account| account.to_string());
        let named = match resource.kind {
            ResourceKind::Agent => Named::Agent { agent_id: written, name: label, account },
            ResourceKind::Number => Named::Number { number: written, label, account },
            ResourceKind::Provider => Named::Provider { name: written, label },
        };
        let has_limit = resource.kind != ResourceKind::Agent;
        Self {
            id: resource.id.clone(),
            organization_id: resource.organization.to_string(),
            named,
            limit: has_limit.then_some(Limit { concurrency_limit: resource.cap }),
            created_at: timestamp::text(resource.created_us),
            updated_at: timestamp::text(resource.updated_us),
        }
    }

    /// As much of it as the principal sees.
    pub(super) fn to(access: &Access, resource: &Resource) -> Self {
        let is_others = access.sub_account().is_some() && resource.account.is_none();
        let shown = Self::of(resource);
        Self { limit: shown.limit.filter(|_| !is_others), ..shown }
    }

    pub(super) fn schema(kind: ResourceKind) -> Schema {
        let words = sort::words(kind);
        let limit = schema::count().or_null().may_be_missing().about(
            "live calls that may name it at once, of all accounts together; null: any number; an account is not told that of what is shared",
        );
        let named = match kind {
            ResourceKind::Agent => vec![
                ("agent_id", schema::text().about("as calls name it").example("support-bot")),
                ("name", schema::text().example("Support")),
                ("account", schema::any_account_id().about("whose it is")),
            ],
            ResourceKind::Number => vec![
                (
                    "number",
                    schema::text()
                        .about("as it was written; calls may write it otherwise")
                        .example("+919812345678"),
                ),
                ("label", schema::text().example("Support line")),
                (
                    "account",
                    schema::any_account_id()
                        .or_null()
                        .about("whose it is; null: shared by all accounts of the organization"),
                ),
                ("concurrency_limit", limit),
            ],
            ResourceKind::Provider => vec![
                ("name", schema::text().about("as calls name it").example("carrier-a")),
                ("label", schema::text().example("Carrier A, Mumbai")),
                ("concurrency_limit", limit),
            ],
        };
        schema::answered([
            ("id", schema::id(words.prefix)),
            ("organization_id", schema::account_id(AccountKind::Organization)),
            ("created_at", schema::time()),
            ("updated_at", schema::time()),
        ])
        .with(named)
        .named(words.component)
    }
}
