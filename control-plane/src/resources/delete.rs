//! `DELETE /v1/agents/{resource_id}`, and of phone numbers and providers. Live calls that name it go on.

use axum::extract::{Path, State};
use hub::directory::ResourceKind;
use serde_json::json;

use super::shown::Shown;
use super::sort::{self, Sort};
use super::{Resource, bury};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe<S: Sort>() -> Operation {
    let words = sort::words(S::KIND);
    Operation::new(
        words.summaries.delete,
        "Live calls that name it go on; another may have its name at once.",
    )
    .body(schema::nothing(), json!({}))
    .answers_nothing("It is gone.")
    .refuses([words.unknown])
    .tagged()
}

pub(crate) async fn handle<S: Sort>(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    delete(&app, &request, S::KIND, &id).await
}

async fn delete(
    app: &Shared,
    request: &Request,
    kind: ResourceKind,
    id: &str,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let resource = Resource::load_own(change.connection(), kind, id, request).await?;
    let was = Shown::of(&resource);
    for gone in bury(change.connection(), "id", id, now_us).await? {
        change.publish(gone);
    }
    change.concern(Some(resource.concerns()));
    let (organization, deleted) = (Some(resource.organization), sort::words(kind).deleted);
    change.audit(organization, deleted, id, Some(&was), None::<&Shown>).await?;
    change.commit(Answer::no_content()).await
}
