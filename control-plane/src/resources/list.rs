//! `GET /v1/agents`, `/v1/phone-numbers` and `/v1/providers`: those that the principal sees, oldest first.

use axum::extract::State;
use http::StatusCode;
use hub::directory::ResourceKind;
use hub::id::{AccountId, AccountKind};

use super::shown::Shown;
use super::sort::{self, Sort};
use super::{COLUMNS, KINDS, Resource};
use crate::Shared;
use crate::account::{Organization, word};
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(crate) fn describe<S: Sort>() -> Operation {
    let about = match S::KIND {
        ResourceKind::Agent => "The organization's, an account's own for itself; oldest first.",
        ResourceKind::Number => {
            "The organization's; for an account its own and those that are shared. Oldest first."
        }
        ResourceKind::Provider => "The organization's, oldest first.",
    };
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    let account = schema::any_account_id()
        .about("only those of this account, without what is shared; for the organization only");
    let operation = Operation::new(sort::words(S::KIND).summaries.list, about)
        .query([("organization_id", organization)])
        .query(has_account(S::KIND).then_some(("account", account)))
        .query(schema::window());
    operation.answers(StatusCode::OK, "A page.", schema::page(Shown::schema(S::KIND)))
}

pub(crate) async fn handle<S: Sort>(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    list(&app, &request, S::KIND).await
}

async fn list(app: &Shared, request: &Request, kind: ResourceKind) -> Result<Answer, Problem> {
    let own = request.access.sub_account();
    let mut query = request.query();
    let named = query.optional("organization_id", values::account_id);
    let account =
        if has_account(kind) { query.optional("account", values::account_id) } else { None };
    if own.is_some() && account.is_some() {
        query.refuse("account", "expected for the organization only");
    }
    let window = page::window(&mut query);
    query.finish()?;
    let organization = request.access.organization_or(named)?;
    let mut connection = app.store.read().await?;
    Organization::load(&mut connection, organization).await?;
    let id = |account: AccountId| [Bound::Text(account.to_string())];
    let text = |text: &str| [Bound::Text(text.to_owned())];
    let mut conditions = Conditions::default();
    conditions.and("organization_id = ?", id(organization));
    conditions.and("kind = ?", text(word(KINDS, &kind)));
    conditions.and("id > ?", text(window.after_text()));
    conditions.and("deleted_us IS NULL", []);
    conditions.and_given("account_id = ? OR account_id IS NULL", own.map(id));
    conditions.and_given("account_id = ?", account.map(id));
    let tail = format!("ORDER BY id LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, COLUMNS, &tail).await?;
    let resources = rows.iter().map(Resource::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(resources, &window, |resource| resource.id.clone());
    Answer::ok(&page.map(|resource| Shown::to(&request.access, &resource)))
}

/// Whether one may be an account's.
const fn has_account(kind: ResourceKind) -> bool {
    !matches!(kind, ResourceKind::Provider)
}
