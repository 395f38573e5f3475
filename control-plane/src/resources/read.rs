//! `GET /v1/agents/{resource_id}`, and of phone numbers and providers.

use axum::extract::{Path, State};
use http::StatusCode;
use hub::directory::ResourceKind;

use super::Resource;
use super::shown::Shown;
use super::sort::{self, Sort};
use crate::Shared;
use crate::answer::Answer;
use crate::description::Operation;
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe<S: Sort>() -> Operation {
    let words = sort::words(S::KIND);
    let about = match S::KIND {
        ResourceKind::Agent => "Other accounts do not see it.",
        ResourceKind::Number | ResourceKind::Provider => {
            "An account is not told the limit of what is shared."
        }
    };
    Operation::new(words.summaries.read, about)
        .answers(StatusCode::OK, "As it is now.", Shown::schema(S::KIND))
        .refuses([words.unknown])
        .tagged()
}

pub(crate) async fn handle<S: Sort>(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let resource = Resource::load(&mut connection, S::KIND, &id, &request.access).await?;
    let shown = Shown::to(&request.access, &resource);
    let tag = Tag::of(&shown)?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    Answer::ok(&shown)?.tagged(&tag)
}
