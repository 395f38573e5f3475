//! `PATCH /v1/agents/{resource_id}`, and of phone numbers and providers: merges what is given. What calls
//! name it by stays.

use axum::extract::{Path, State};
use http::StatusCode;
use hub::directory::{Change as Published, ResourceKind};
use serde_json::json;

use super::asked::{self, Asked};
use super::shown::Shown;
use super::sort::{self, Sort};
use super::{Resource, refuse_foreign, refuse_not_own};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe<S: Sort>() -> Operation {
    let words = sort::words(S::KIND);
    let (about, example) = match S::KIND {
        ResourceKind::Agent => {
            ("Merges what is given. Its `agent_id` stays.", json!({"name": "Support, by night"}))
        }
        ResourceKind::Number => (
            "Merges what is given; null removes. The number stays. A lower `concurrency_limit` ends no live call: nothing new starts until use has fallen.",
            json!({"concurrency_limit": 20}),
        ),
        ResourceKind::Provider => (
            "Merges what is given; null removes. Its `name` stays. A lower `concurrency_limit` ends no live call: nothing new starts until use has fallen.",
            json!({"concurrency_limit": null}),
        ),
    };
    Operation::new(words.summaries.patch, about)
        .body(schema::asked(asked::members(S::KIND)), example)
        .answers(StatusCode::OK, "As it is now.", Shown::schema(S::KIND))
        .refuses([words.unknown])
        .tagged()
}

pub(crate) async fn handle<S: Sort>(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    patch(&app, &request, S::KIND, &id).await
}

async fn patch(
    app: &Shared,
    request: &Request,
    kind: ResourceKind,
    id: &str,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let asked = asked::read(&mut fields, kind);
    fields.finish()?;
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let before = Resource::load_own(change.connection(), kind, id, request).await?;
    let moves = !asked.account.is_absent();
    let mut resource = asked.merged(before.clone());
    if moves {
        refuse_not_own(&request.access, resource.account)?;
        refuse_foreign(change.connection(), resource.organization, resource.account).await?;
    }
    resource.update(change.connection(), now_us).await?;
    change.publish(Published::Resource(resource.config()?));
    change.concern(Some(resource.concerns()));
    let (shown, was) = (Shown::of(&resource), Shown::of(&before));
    let organization = Some(resource.organization);
    let updated = sort::words(kind).updated;
    change.audit(organization, updated, id, Some(&was), Some(&shown)).await?;
    change.commit(Answer::ok(&shown)?.tagged(&Tag::of(&shown)?)?).await
}

impl Asked {
    fn merged(self, resource: Resource) -> Resource {
        Resource {
            label: self.label.unwrap_or(resource.label),
            account: self.account.merged(resource.account),
            cap: self.cap.merged(resource.cap),
            ..resource
        }
    }
}
