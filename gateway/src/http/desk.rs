//! Carries out one operation: parameters in, answer written. The same for a request and for a line of
//! a batch. Must never touch a socket.

use std::sync::Arc;

use hub::clock;
use hub::denial::Denial;
use hub::id::AccountId;
use hub::key::KeyScope;

use super::answer::{self, Refused, Writer};
use super::operation;
use super::parameters::Parameters;
use super::router::Operation;
use super::worker::Worker;
use crate::engine::Account;

/// Where the operations of one key are carried out.
pub(super) struct Desk<'w> {
    worker: &'w Worker,
    scope: KeyScope,
    in_batch: bool,
    /// The account of the last line, so that a batch looks it up once.
    last: Option<(Option<AccountId>, Arc<Account>)>,
    departed: Option<Arc<Account>>,
}

impl<'w> Desk<'w> {
    pub(super) fn new(worker: &'w Worker, scope: KeyScope, in_batch: bool) -> Self {
        Self { worker, scope, in_batch, last: None, departed: None }
    }

    /// Writes the answer, or says why there is none; then nothing may have been written.
    pub(super) async fn perform(
        &mut self,
        operation: Operation,
        parameters: &Parameters<'_>,
        writer: &mut Writer,
    ) -> Result<(), Refused> {
        let engine = &*self.worker.engine;
        let in_batch = self.in_batch;
        let now_us = self.worker.turn.now_us();
        match operation {
            Operation::Admit => {
                let lease_s = &self.worker.settings.lease_s;
                let (named, call) = operation::admit(parameters, lease_s, in_batch)?;
                let account = self.account(named)?;
                let grant = engine.admit(account, &call, now_us).await?;
                answer::grant(writer, call.call_id, &grant, &engine.token(&grant));
            }
            Operation::Answer => {
                let (named, call_id) = operation::one_call(parameters, in_batch)?;
                let view = engine.answer(self.account(named)?, call_id, now_us).await?;
                answer::call_view(writer, &view);
            }
            Operation::Renew => {
                let (named, call) = operation::renew(parameters, in_batch)?;
                let grant = engine.renew(self.account_of_call(named)?, &call, now_us).await?;
                answer::grant(writer, call.call_id, &grant, &engine.token(&grant));
            }
            Operation::Release => {
                let (named, call) = operation::release(parameters, in_batch)?;
                let view = engine.release(self.account_of_call(named)?, &call, now_us).await?;
                answer::call_view(writer, &view);
            }
            // Boxed, so that what is seldom asked makes no room for itself in every request.
            other => Box::pin(self.oversee(other, parameters, writer)).await?,
        }
        Ok(())
    }

    /// The operations that are about more than one call, or change none.
    async fn oversee(
        &mut self,
        operation: Operation,
        parameters: &Parameters<'_>,
        writer: &mut Writer,
    ) -> Result<(), Refused> {
        let engine = &*self.worker.engine;
        let scope = self.scope;
        match operation {
            Operation::LookUp => {
                let (named, call_id) = operation::one_call(parameters, false)?;
                let view = engine.look_up(self.account_of_call(named)?, call_id).await?;
                answer::call_view(writer, &view);
            }
            Operation::ListLive => {
                let (named, page) = operation::list_live(parameters)?;
                let page = engine.list_live(self.account(named)?, &page).await?;
                answer::live_page(writer, &page, clock::now_us());
            }
            Operation::Concurrency => {
                let (named, ()) = operation::concurrency(parameters)?;
                let concurrency = engine.concurrency(self.account(named)?).await?;
                answer::concurrency(writer, &concurrency, scope);
            }
            Operation::Metrics => {
                let (named, ()) = operation::concurrency(parameters)?;
                let mut series = String::new();
                engine.write_own_series(self.account(named)?, &mut series);
                writer.verbatim(&series);
            }
            Operation::Reconcile => {
                let (named, list) = operation::reconcile(parameters)?;
                let account = self.account(named)?;
                answer::reconciled(writer, engine.reconcile(account, &list).await?);
            }
            _ => return Err(Refused::NoRoute),
        }
        Ok(())
    }

    fn account(&mut self, named: Option<AccountId>) -> Result<&Arc<Account>, Denial> {
        let found = match self.last.take() {
            Some(last) if last.0 == named => last,
            _ => (named, self.worker.engine.account(self.scope, named)?),
        };
        Ok(&self.last.insert(found).1)
    }

    /// The same for what is about a call that is there: also of an account that was deleted meanwhile.
    fn account_of_call(&mut self, named: Option<AccountId>) -> Result<&Arc<Account>, Denial> {
        let engine = &*self.worker.engine;
        let found = match self.last.take() {
            Some(last) if last.0 == named => last,
            _ => match engine.account(self.scope, named) {
                Ok(account) => (named, account),
                Err(denial) => {
                    let departed = engine.departed(self.scope, named).ok_or(denial)?;
                    return Ok(self.departed.insert(departed));
                }
            },
        };
        Ok(&self.last.insert(found).1)
    }
}
