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
use crate::principal::{By, Identity};
use crate::problem::{Kind, Problem};
use crate::publication::Publication;
use crate::request::Request;
use crate::store::Writing;
use crate::webhooks::{Event, EventKind};

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
    events: Vec<Event>,
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
        let idempotency = request.idempotency.clone();
        Ok(Begun::New(Box::new(Change { idempotency, ..self.change(writing, &request.access) })))
    }

    /// Begins what is noted of a request that changes nothing itself.
    pub(crate) async fn begin_as(&self, access: &Access) -> Result<Change<'_>, Problem> {
        let writing = self.store.write().await?;
        Ok(self.change(writing, access))
    }

    fn change(&self, writing: Writing, access: &Access) -> Change<'_> {
        Change {
            app: self,
            writing,
            actor: actor(access),
            account: access.account().ok(),
            idempotency: None,
            published: Vec::new(),
            events: Vec::new(),
            now_us: hub::clock::now_us(),
        }
    }
}

impl App {
    /// Begins a change that no request asks for.
    pub(crate) async fn begin_own(&self) -> Result<Change<'_>, Problem> {
        Ok(Change {
            app: self,
            writing: self.store.write().await?,
            actor: "ringfence".to_owned(),
            account: None,
            idempotency: None,
            published: Vec::new(),
            events: Vec::new(),
            now_us: hub::clock::now_us(),
        })
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

    /// What webhooks are told once the change is committed.
    pub(crate) fn tell(
        &mut self,
        kind: EventKind,
        account: AccountId,
        organization: AccountId,
        data: &impl Serialize,
    ) -> Result<(), Problem> {
        self.events.push(Event::new(kind, account, organization, data)?);
        Ok(())
    }

    /// Says which account the change is about, where no request does.
    pub(crate) fn concern(&mut self, account: Option<AccountId>) {
        self.account = account;
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
        crate::webhooks::event::store(self.writing.connection(), &self.events, self.now_us).await?;
        let publication = Publication::of_changes(&mut self.writing, self.published).await?;
        let turn = self.writing.commit().await?;
        if !self.events.is_empty() {
            self.app.deliveries.notify_one();
        }
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
            let by = format!("{} by {}", account.as_deref().unwrap_or("user"), signed_in.user.id);
            match (access.principal.delegation(), signed_in.by) {
                (Some(delegation), _) => format!("{by} under {}", delegation.id),
                (None, By::Session) => by,
                (None, By::Token(_)) => format!("{by} with {}", access.principal.id),
            }
        }
    }
}
