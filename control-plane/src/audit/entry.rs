//! An audit entry as the API shows it, and the filters that lists and exports share.

use hub::id::{AccountId, AccountKind};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::chain::{COLUMNS, Content};
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Raw, values};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions, literal};
use crate::timestamp;
use crate::usage;

/// The longest text of a filter.
const FILTER_CHARACTERS_MAX: usize = 200;

/// Everything that the seal is made of, but for the seal before.
#[derive(Serialize)]
pub(super) struct Shown {
    /// Within the organization, from 1, without a gap.
    pub(super) sequence: i64,
    at: String,
    actor: String,
    action: String,
    subject: String,
    account: Option<String>,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
    /// `None`: an earlier version wrote the entry; empty: its contents were erased.
    salt: Option<String>,
    /// `None`: not yet; entries are sealed within seconds.
    seal: Option<String>,
}

impl Shown {
    pub(super) fn schema() -> Schema {
        schema::answered([
            (
                "sequence",
                schema::count().about("within the organization, from 1, without a gap").example(7),
            ),
            ("at", schema::time()),
            (
                "actor",
                schema::text()
                    .about("the account and the key or user that acted for it")
                    .example("operator by key_01jq2m6v3x8k5t9w7r4n1b0dce"),
            ),
            ("action", schema::text().example("sub_account.created")),
            ("subject", schema::text().about("the id of what was changed")),
            ("account", schema::any_account_id().or_null().about("the account that it concerns")),
            ("before", schema::anything().about("the subject before; null where it was made")),
            ("after", schema::anything().about("the subject after; null where it is gone")),
            (
                "salt",
                schema::text().or_null().about("goes into the digests of `before` and `after`, which go into the seal; empty: they were erased with their account; null: written by an earlier version"),
            ),
            (
                "seal",
                schema::pattern("^[0-9a-f]{64}$")
                    .or_null()
                    .about("SHA-256 over the entry and the seal before; null for some seconds"),
            ),
        ])
        .named("AuditEntry")
    }

    pub(super) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let entry = Content::of_row(row)?;
        let json = |text: Option<String>| {
            text.map(RawValue::from_string).transpose().map_err(Problem::internal)
        };
        Ok(Self {
            sequence: entry.sequence,
            at: timestamp::exact(entry.at_us),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            account: entry.account,
            before: json(entry.before)?,
            after: json(entry.after)?,
            salt: entry.salt,
            seal: row.try_get("seal")?,
        })
    }
}

/// What [`Shown::of_row`] reads; conditions and order follow.
pub(super) fn select() -> String {
    format!(
        "SELECT {COLUMNS}, s.seal AS seal FROM audit a LEFT JOIN audit_seals s ON s.entry_id = a.id"
    )
}

/// Which entries are asked for.
pub(super) struct Filter {
    organization_id: Option<AccountId>,
    account: Option<AccountId>,
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    period: usage::Window,
}

impl Filter {
    /// What [`Filter::read`] reads.
    pub(super) fn parameters(of_organization: bool) -> Vec<(&'static str, Schema)> {
        let text = || schema::pattern(r"^[^\u0000-\u001f\u007f-\u009f]{1,200}$");
        let mut parameters = Vec::from(usage::parameters());
        if of_organization {
            let organization = schema::account_id(AccountKind::Organization)
                .about("which one, where the operator asks");
            parameters.push(("organization_id", organization));
        }
        parameters.extend([
            ("account", schema::any_account_id().about("the account that entries concern")),
            ("actor", text().about("the whole of it, or the account, or the key")),
            ("action", text().about("the whole of it, or all of a sort").example("wallet")),
            ("subject", text().about("the id of what was changed")),
        ]);
        parameters
    }

    pub(super) fn read(query: &mut Fields) -> Self {
        Self {
            organization_id: query.optional("organization_id", values::account_id),
            account: query.optional("account", values::account_id),
            actor: query.optional("actor", filter),
            action: query.optional("action", filter),
            subject: query.optional("subject", filter),
            period: usage::window(query, 0),
        }
    }

    /// The conditions of what `request` may see. The organization's own entries at most, of a
    /// sub-account's route those that concern it, and for the account itself fewer.
    pub(super) fn conditions(self, request: &Request) -> Result<Conditions, Problem> {
        let organization = request.access.organization_or(self.organization_id)?;
        let mut conditions = Conditions::default();
        conditions.and("a.organization_id = ?", [Bound::Text(organization.to_string())]);
        for account in [request.access.sub_account(), self.account].into_iter().flatten() {
            conditions.and("a.account_id = ?", [Bound::Text(account.to_string())]);
        }
        if request.access.is_within_account() {
            // An account sees what was done in its name, and who came to do it; not its parent's affairs.
            let own = request.access.account()?;
            conditions.and(
                "a.actor LIKE ? ESCAPE '!' OR a.action LIKE 'delegation.%'",
                [Bound::Text(format!("{} by %", literal(&own.to_string())))],
            );
        }
        if let Some(actor) = self.actor {
            let [first, last, within] =
                ["{} %", "% {}", "% {} %"].map(|pattern| pattern.replace("{}", &literal(&actor)));
            conditions.and(
                "a.actor = ? OR a.actor LIKE ? ESCAPE '!' OR a.actor LIKE ? ESCAPE '!' OR a.actor LIKE ? ESCAPE '!'",
                [actor, first, last, within].map(Bound::Text),
            );
        }
        if let Some(action) = self.action {
            let kind = format!("{}.%", literal(&action));
            conditions
                .and("a.action = ? OR a.action LIKE ? ESCAPE '!'", [action, kind].map(Bound::Text));
        }
        if let Some(subject) = self.subject {
            conditions.and("a.subject = ?", [Bound::Text(subject)]);
        }
        let usage::Window { from_us, to_us } = self.period;
        conditions.and("a.at_us >= ? AND a.at_us < ?", [from_us, to_us].map(Bound::Int));
        Ok(conditions)
    }
}

fn filter(raw: &Raw) -> Result<String, String> {
    let text = values::text(raw)?;
    let characters = text.chars().count();
    if (1..=FILTER_CHARACTERS_MAX).contains(&characters) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(format!(
            "expected 1 to {FILTER_CHARACTERS_MAX} characters, none of them a control character"
        ))
    }
}
