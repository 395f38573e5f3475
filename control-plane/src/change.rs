//! One change of the control plane: a transaction with its audit rows, its stored answer, and what
//! the hub is told after the commit and before the answer. Nothing else writes for a request.

use hub::directory::Change as Published;
use hub::id::AccountId;
use serde::Serialize;
use sqlx::AnyConnection;
use std::sync::atomic::Ordering;

use crate::App;
use crate::access::Access;
use crate::answer::Answer;
use crate::idempotency::Idempotency;
use crate::principal::Identity;
use crate::problem::{Kind, Problem};
use crate::publication::Publication;
use crate::request::Request;
use crate::store::Writing;

/// How a change begins.
pub(crate) enum Begun<'a> {
    New(Box<Change<'a>>),
    /// The same request was carried out before; this was its answer.
    Repeated(Answer),
}

pub(crate) struct Change<'a> {
    app: &'a App,
    writing: Writing,
    actor: String,
    /// What the request is about.
    account: Option<AccountId>,
    idempotency: Option<Idempotency>,
    published: Vec<Published>,
    /// When the change happens, in microseconds since 1970.
    pub(crate) now_us: i64,
}

impl App {
    /// Begins the change that `request` asks for, once it is its turn.
    pub(crate) async fn begin(&self, request: &Request) -> Result<Begun<'_>, Problem> {
        let mut writing = self.store.write().await?;
        if let Some(idempotency) = &request.idempotency
            && let Some(answer) = idempotency.earlier(writing.connection()).await?
        {
            return Ok(Begun::Repeated(answer));
        }
        Ok(Begun::New(Box::new(Change {
            app: self,
            writing,
            actor: actor(&request.access),
            account: request.access.account().ok(),
            idempotency: request.idempotency.clone(),
            published: Vec::new(),
            now_us: hub::clock::now_us(),
        })))
    }
}

impl Change<'_> {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        self.writing.connection()
    }

    /// What the hub is told once the change is committed.
    pub(crate) fn publish(&mut self, change: Published) {
        self.published.push(change);
    }

    /// Names who makes the change, where the request shows it only now.
    pub(crate) fn act_as(&mut self, user_id: &str) {
        self.actor = format!("user by {user_id}");
    }

    /// Writes the audit row of this change; `before` and `after` are the subject as answers show it.
    pub(crate) async fn audit<B: Serialize, A: Serialize>(
        &mut self,
        organization: Option<AccountId>,
        action: &'static str,
        subject: &str,
        before: Option<&B>,
        after: Option<&A>,
    ) -> Result<(), Problem> {
        let row = crate::audit::Row {
            organization,
            account: subject.parse().ok().or(self.account),
            at_us: self.now_us,
            actor: &self.actor,
            action,
            subject,
            before: before.map(serde_json::to_string).transpose().map_err(Problem::internal)?,
            after: after.map(serde_json::to_string).transpose().map_err(Problem::internal)?,
        };
        crate::audit::write(self.writing.connection(), &row).await?;
        Ok(())
    }

    /// Commits, publishes, and gives the answer out.
    pub(crate) async fn commit(mut self, answer: Answer) -> Result<Answer, Problem> {
        if let Some(idempotency) = &self.idempotency {
            idempotency.keep(self.writing.connection(), &answer, self.now_us).await?;
        }
        let publication = Publication::of_changes(&mut self.writing, self.published).await?;
        let turn = self.writing.commit().await?;
        if self.app.hub.publish(turn, &publication).await.is_err() {
            self.app.unpublished.store(true, Ordering::Release);
            return Err(Problem::new(
                Kind::HubUnavailable,
                "the change is recorded and comes into force when the gateways can be told; do not send it again without its Idempotency-Key",
            ));
        }
        Ok(answer)
    }
}

/// The principal as the audit names it.
fn actor(access: &Access) -> String {
    let account = access.acting_for.map(|account| account.to_string());
    match &access.principal.identity {
        Identity::Nobody => "nobody".to_owned(),
        Identity::Key(_) => {
            format!("{} by {}", account.as_deref().unwrap_or("operator"), access.principal.id)
        }
        Identity::User(signed_in) => {
            format!("{} by {}", account.as_deref().unwrap_or("user"), signed_in.user.id)
        }
    }
}
