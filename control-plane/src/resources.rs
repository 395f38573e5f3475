//! Resources: what calls name besides their account. An agent is one account's; a phone number is one
//! account's, or shared by the organization's; a provider is always shared. Each is known to calls by
//! its name, which is never another's in its organization and stays what it is. Rows, who sees which,
//! and what the hub is told; admission decides what becomes of a call that names one.

use hub::cap::CapId;
use hub::clock::SECOND_US;
use hub::directory::{Change as Published, ResourceConfig, ResourceKind};
use hub::id::{AccountId, Ulid};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::access::Access;
use crate::account::{Account, word};
use crate::counters::version_after;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::publish;
use crate::request::Request;

mod asked;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod read;
mod shown;
mod sort;

use shown::Shown;
pub(crate) use sort::{Agents, Numbers, Providers, id_parameter};

/// Resources of one kind in one organization, and of one account that makes them itself: its siblings are
/// to have room too.
const PER_KIND_MAX: i64 = 100_000;
const PER_ACCOUNT_MAX: i64 = 10_000;
/// How long a deleted one is kept.
const DELETED_KEPT_US: i64 = 7 * 86_400 * SECOND_US;
/// Deleted ones that one sweep forgets.
const SWEEP_MAX: i64 = 10_000;

const KINDS: &[(&str, ResourceKind)] = &[
    ("agent", ResourceKind::Agent),
    ("number", ResourceKind::Number),
    ("provider", ResourceKind::Provider),
];

/// A resource as it is stored.
#[derive(Clone, Debug)]
struct Resource {
    id: String,
    organization: AccountId,
    kind: ResourceKind,
    /// As calls name it.
    name: String,
    /// The same as it was given: a number may have separators.
    written: String,
    label: String,
    /// `None`: shared by the organization's accounts.
    account: Option<AccountId>,
    cap: Option<u32>,
    version: i64,
    created_us: i64,
    updated_us: i64,
}

const COLUMNS: &str = "SELECT id, organization_id, kind, name, written, label, account_id, cap, version, created_us, \
     updated_us, deleted_us FROM resources";

impl Resource {
    /// One of a kind that the principal sees.
    async fn load(
        connection: &mut AnyConnection,
        kind: ResourceKind,
        id: &str,
        access: &Access,
    ) -> Result<Self, Problem> {
        let sql = format!("{COLUMNS} WHERE id = $1 AND kind = $2 AND deleted_us IS NULL");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(word(KINDS, &kind))
            .fetch_optional(connection)
            .await?;
        let found = row.as_ref().map(Self::of_row).transpose()?;
        let words = sort::words(kind);
        let unknown = || Problem::new(words.unknown, format!("there is no such {}", words.one));
        found.filter(|resource| resource.is_seen_by(access)).ok_or_else(unknown)
    }

    /// One that the request may change, as it was when its sender read it.
    async fn load_own(
        connection: &mut AnyConnection,
        kind: ResourceKind,
        id: &str,
        request: &Request,
    ) -> Result<Self, Problem> {
        let resource = Self::load(connection, kind, id, &request.access).await?;
        refuse_not_own(&request.access, resource.account)?;
        request.preconditions.check(&Tag::of(&Shown::of(&resource))?)?;
        Ok(resource)
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let account: Option<String> = row.try_get("account_id")?;
        let cap: Option<i64> = row.try_get("cap")?;
        Ok(Self {
            id: row.try_get("id")?,
            organization: parsed(&row.try_get::<String, _>("organization_id")?)?,
            kind: kind_of(row)?,
            name: row.try_get("name")?,
            written: row.try_get("written")?,
            label: row.try_get("label")?,
            account: account.as_deref().map(parsed).transpose()?,
            cap: cap.map(u32::try_from).transpose().map_err(Problem::internal)?,
            version: row.try_get("version")?,
            created_us: row.try_get("created_us")?,
            updated_us: row.try_get("updated_us")?,
        })
    }

    async fn insert(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO resources (id, organization_id, kind, name, written, label, account_id, cap, version, \
             created_us, updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(self.id.as_str())
        .bind(self.organization.to_string())
        .bind(word(KINDS, &self.kind))
        .bind(self.name.as_str())
        .bind(self.written.as_str())
        .bind(self.label.as_str())
        .bind(self.account.map(|account| account.to_string()))
        .bind(self.cap.map(i64::from))
        .bind(self.version)
        .bind(self.created_us)
        .bind(self.updated_us)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Writes what can change, as the next version.
    async fn update(
        &mut self,
        connection: &mut AnyConnection,
        now_us: i64,
    ) -> Result<(), sqlx::Error> {
        self.version = version_after(self.version, now_us);
        self.updated_us = now_us;
        sqlx::query(
            "UPDATE resources SET label = $1, account_id = $2, cap = $3, version = $4, updated_us = $5 \
             WHERE id = $6",
        )
        .bind(self.label.as_str())
        .bind(self.account.map(|account| account.to_string()))
        .bind(self.cap.map(i64::from))
        .bind(self.version)
        .bind(self.updated_us)
        .bind(self.id.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// As the hub is told.
    fn config(&self) -> Result<ResourceConfig, Problem> {
        Ok(ResourceConfig {
            organization: self.organization,
            kind: self.kind,
            name: self.name.as_str().into(),
            version: self.version.unsigned_abs(),
            account: self.account,
            id: cap_id(&self.id)?,
            cap: self.cap,
        })
    }

    /// An account sees its own and what is shared, the organization all of its own.
    fn is_seen_by(&self, access: &Access) -> bool {
        match self.account {
            None => access.sees(self.organization),
            Some(account) => access.sees_account(self.organization, account),
        }
    }

    /// The account that the audit of a change names: the organization where it is shared.
    fn concerns(&self) -> AccountId {
        self.account.unwrap_or(self.organization)
    }
}

/// Refuses what an account may not have: what is shared, and what is another's.
fn refuse_not_own(access: &Access, owner: Option<AccountId>) -> Result<(), Problem> {
    match (access.sub_account(), owner) {
        (Some(_), None) => {
            Err(Problem::new(Kind::Forbidden, "what is shared is the organization's to change"))
        }
        (Some(own), Some(owner)) if own != owner => Err(Problem::unknown_account()),
        _ => Ok(()),
    }
}

/// Refuses an owner that is no account of the organization, in the transaction that makes it the owner.
async fn refuse_foreign(
    connection: &mut AnyConnection,
    organization: AccountId,
    owner: Option<AccountId>,
) -> Result<(), Problem> {
    let Some(owner) = owner else { return Ok(()) };
    let account = Account::load(connection, owner).await?;
    if account.organization == organization { Ok(()) } else { Err(Problem::unknown_account()) }
}

/// Deletes the resources of an account that is being deleted; what the hub is told.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    account: AccountId,
    now_us: i64,
) -> Result<Vec<Published>, Problem> {
    bury(connection, "account_id", &account.to_string(), now_us).await
}

/// Deletes those whose `column` has a value; what the hub is told.
async fn bury(
    connection: &mut AnyConnection,
    column: &'static str,
    value: &str,
    now_us: i64,
) -> Result<Vec<Published>, Problem> {
    let sql = format!(
        "UPDATE resources SET deleted_us = $1, version = CASE WHEN version < $1 THEN $1 ELSE version + 1 END \
         WHERE {column} = $2 AND deleted_us IS NULL RETURNING id, organization_id, kind, name"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(now_us).bind(value).fetch_all(connection).await?;
    rows.iter().map(gone).collect()
}

/// A page of what the hub is told, and the id of the last.
pub(crate) async fn after(
    connection: &mut AnyConnection,
    shard: Option<u8>,
    after: &str,
    limit: i64,
) -> Result<(Option<String>, Vec<Published>), Problem> {
    let rows = publish::told_after(connection, COLUMNS, shard, after, limit).await?;
    let change = |row: &AnyRow| match row.try_get::<Option<i64>, _>("deleted_us")? {
        None => Ok(Published::Resource(Resource::of_row(row)?.config()?)),
        Some(_) => gone(row),
    };
    let last = rows.last().map(|row| row.try_get("id")).transpose()?;
    Ok((last, rows.iter().map(change).collect::<Result<_, Problem>>()?))
}

/// Forgets what was deleted long ago, at most a bounded number of them.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM resources WHERE id IN \
         (SELECT id FROM resources WHERE deleted_us < $1 ORDER BY deleted_us LIMIT $2)",
    )
    .bind(now_us.saturating_sub(DELETED_KEPT_US))
    .bind(SWEEP_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

fn gone(row: &AnyRow) -> Result<Published, Problem> {
    let (id, name): (String, String) = (row.try_get("id")?, row.try_get("name")?);
    Ok(Published::ResourceGone {
        organization: parsed(&row.try_get::<String, _>("organization_id")?)?,
        kind: kind_of(row)?,
        name: name.into(),
        id: cap_id(&id)?,
    })
}

fn kind_of(row: &AnyRow) -> Result<ResourceKind, Problem> {
    let text: String = row.try_get("kind")?;
    let found = KINDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind);
    found.ok_or_else(|| Problem::internal(format!("column kind holds {text:?}")))
}

fn parsed(id: &str) -> Result<AccountId, Problem> {
    id.parse().map_err(Problem::internal)
}

/// The cap of the resource with this id.
fn cap_id(id: &str) -> Result<CapId, Problem> {
    let digits = id.rsplit('_').next().unwrap_or_default();
    Ok(CapId::of(Ulid::from_string(digits).map_err(Problem::internal)?))
}

#[cfg(test)]
mod tests;
