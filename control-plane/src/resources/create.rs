//! `POST /v1/agents`, `/v1/phone-numbers` and `/v1/providers`.

use axum::extract::State;
use http::StatusCode;
use hub::directory::{Change as Published, ResourceKind};
use hub::id::{AccountId, AccountKind};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::asked::{self, Asked, Name};
use super::shown::Shown;
use super::sort::{self, Sort};
use super::{KINDS, PER_ACCOUNT_MAX, PER_KIND_MAX, Resource, refuse_foreign, refuse_not_own};
use crate::Shared;
use crate::access::Access;
use crate::account::{Organization, word};
use crate::answer::Answer;
use crate::change::Begun;
use crate::counters::version_after;
use crate::description::{Operation, schema};
use crate::fields::{Given, values};
use crate::id::new_id;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe<S: Sort>() -> Operation {
    let words = sort::words(S::KIND);
    let (about, example) = match S::KIND {
        ResourceKind::Agent => (
            "A voice agent of one account: of the one that asks, or of the one that its organization names. Calls of other accounts that name it are refused.",
            json!({"agent_id": "support-bot", "name": "Support"}),
        ),
        ResourceKind::Number => (
            "The number that outbound calls come from and inbound ones go to. Without `account` it is that of the account that asks; an organization's is shared by all its accounts. Calls of other accounts that name another account's are refused; all that name it count against its `concurrency_limit`.",
            json!({"number": "+919812345678", "label": "Support line", "concurrency_limit": 10}),
        ),
        ResourceKind::Provider => (
            "A carrier that all accounts of the organization share. Calls that name it count against its `concurrency_limit`.",
            json!({"name": "carrier-a", "concurrency_limit": 200}),
        ),
    };
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    let members = asked::members(S::KIND).into_iter();
    let members = members.chain([("organization_id", organization), asked::name_member(S::KIND)]);
    Operation::new(
        words.summaries.create,
        format!("{about} At most {PER_KIND_MAX} per organization, {PER_ACCOUNT_MAX} made by an account itself."),
    )
    .body(schema::asked(members), example)
    .answers(StatusCode::CREATED, "As it is now.", Shown::schema(S::KIND))
    .refuses([Kind::NameTaken])
    .shows_tag()
    .makes("id", words.path)
}

pub(crate) async fn handle<S: Sort>(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    create(&app, &request, S::KIND).await
}

async fn create(app: &Shared, request: &Request, kind: ResourceKind) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let organization = fields.optional("organization_id", values::account_id);
    let name = asked::name(&mut fields, kind);
    let asked = asked::read(&mut fields, kind);
    fields.finish()?;
    let organization = request.access.organization_or(organization)?;
    let account = owner(&request.access, organization, kind, &asked);
    refuse_not_own(&request.access, account)?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    Organization::load(change.connection(), organization).await?;
    refuse_foreign(change.connection(), organization, account).await?;
    let words = sort::words(kind);
    let id = new_id(words.prefix, now_us);
    let name = name.unwrap_or_else(|| Name { name: id.clone(), written: id.clone() });
    let earlier = make_room(change.connection(), organization, kind, &name).await?;
    if let Some(own) = request.access.sub_account() {
        refuse_more(change.connection(), ("account_id", own), kind, PER_ACCOUNT_MAX).await?;
    }
    refuse_more(change.connection(), ("organization_id", organization), kind, PER_KIND_MAX).await?;
    let resource = Resource {
        id,
        organization,
        kind,
        name: name.name,
        written: name.written,
        label: asked.label.unwrap_or_default(),
        account,
        cap: asked.cap.value(),
        version: earlier.map_or(now_us, |version| version_after(version, now_us)),
        created_us: now_us,
        updated_us: now_us,
    };
    resource.insert(change.connection()).await?;
    change.publish(Published::Resource(resource.config()?));
    change.concern(Some(resource.concerns()));
    let shown = Shown::of(&resource);
    change
        .audit(Some(organization), words.created, &resource.id, None::<&Shown>, Some(&shown))
        .await?;
    let shown = Shown::to(&request.access, &resource);
    change.commit(Answer::created(&shown)?.tagged(&Tag::of(&shown)?)?).await
}

/// Whose a new resource is to be; `None`: it is shared.
fn owner(
    access: &Access,
    organization: AccountId,
    kind: ResourceKind,
    asked: &Asked,
) -> Option<AccountId> {
    match (kind, &asked.account) {
        (ResourceKind::Provider, _) | (ResourceKind::Number, Given::Null) => None,
        (_, Given::Value(account)) => Some(*account),
        (ResourceKind::Number, Given::Absent) => access.sub_account(),
        (ResourceKind::Agent, Given::Absent | Given::Null) => {
            Some(access.sub_account().unwrap_or(organization))
        }
    }
}

/// Frees the name from one that was deleted and makes sure that there may be one more. The version of
/// the one that had the name.
async fn make_room(
    connection: &mut AnyConnection,
    organization: AccountId,
    kind: ResourceKind,
    name: &Name,
) -> Result<Option<i64>, Problem> {
    let (organization, one) = (organization.to_string(), sort::words(kind).one);
    let row = sqlx::query(
        "SELECT id, version, deleted_us FROM resources \
         WHERE organization_id = $1 AND kind = $2 AND name = $3",
    )
    .bind(organization.as_str())
    .bind(word(KINDS, &kind))
    .bind(name.name.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let mut earlier = None;
    if let Some(row) = row {
        if row.try_get::<Option<i64>, _>("deleted_us")?.is_none() {
            let detail = format!("{} is the name of another {one} here", name.written);
            return Err(Problem::new(Kind::NameTaken, detail));
        }
        earlier = Some(row.try_get("version")?);
        sqlx::query("DELETE FROM resources WHERE id = $1")
            .bind(row.try_get::<String, _>("id")?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(earlier)
}

/// Refuses one more than `most` of a kind where `column` has the account's id.
async fn refuse_more(
    connection: &mut AnyConnection,
    (column, account): (&'static str, AccountId),
    kind: ResourceKind,
    most: i64,
) -> Result<(), Problem> {
    let sql = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM resources \
         WHERE {column} = $1 AND kind = $2 AND deleted_us IS NULL"
    );
    let count = sqlx::query(AssertSqlSafe(sql))
        .bind(account.to_string())
        .bind(word(KINDS, &kind))
        .fetch_one(connection)
        .await?;
    if count.try_get::<i64, _>(0)? < most {
        return Ok(());
    }
    let one = sort::words(kind).one;
    let detail = format!("there are {most} {one}s, as many as there may be; delete one first");
    Err(Problem::new(Kind::Forbidden, detail).with("limit", most))
}
