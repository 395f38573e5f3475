//! The hub that several processes share in Redis, for gateways and control planes alike: each question is
//! one script on one shard, and its answer in the words of the hub. Never asks again by itself what may
//! have been applied.

mod directory;
mod reports;

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;
use triomphe::Arc;

use crate::call::CallPlace;
use crate::embedded::{AccountUse, StreamedRecord, WalletUse};
use crate::id::{AccountId, HolderId};
use crate::redis::connect::{
    Answer, CertificateError, Finding, Lost, Options, Script, Servers, Setting, Shards, Timing,
};
use crate::redis::decode::{self, Malformed, Refusal};
use crate::redis::encode::{self, Beginning, OutOfRange};
use crate::redis::scripts::{COMMANDS, SCRIPTS};
use crate::report::Report;
use crate::shared::{CallsInUse, Exchanged, HeldCall, Later, NoAnswer, Published, SharedHub};
use crate::state::exchange::Exchange;

/// How a shard stands, as its control planes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStanding {
    pub incarnation: u64,
    pub is_learning: bool,
    /// In the order of their ids.
    pub members: Vec<Member>,
    /// The greatest number of a publication; 0: the directory is to be published anew.
    pub directory: u64,
    /// The number of the last record in the stream, and of the last one that was acknowledged.
    pub last_record: u64,
    pub acknowledged: u64,
    /// The hub's clock, in milliseconds since 1970.
    pub clock_ms: u64,
}

/// A holder that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub id: HolderId,
    /// It stands in the database.
    pub confirmed: bool,
    /// It was given up, and is to be struck out and buried.
    pub dying: bool,
}

pub struct RedisHub {
    servers: Servers,
    timing: Timing,
}

impl RedisHub {
    /// Starts to connect, on the runtime that it is called on, until it is dropped. Fails only where
    /// certificates cannot be read.
    pub fn start(setting: Setting, options: &Options) -> Result<Self, CertificateError> {
        Ok(Self { servers: Servers::start(setting, options)?, timing: options.timing })
    }

    /// Whether every shard's server can be reached now.
    pub fn is_up(&self) -> bool {
        self.servers.is_up()
    }

    /// What is wrong with the servers, the gravest first; each is looked at within that time.
    pub async fn inspect(&self, within: Duration) -> Vec<Finding> {
        self.servers.inspect(COMMANDS, within).await
    }

    pub async fn standing(&self, shard: u8) -> Result<ShardStanding, NoAnswer> {
        let value = self.ask(shard, &SCRIPTS.standing, encode::standing()).await?;
        Ok(decode::standing(value)?)
    }

    /// Begins an incarnation with its holders, limits and wallets. `false`: there is one as new.
    /// Afterwards nothing of the directory counts until it was published anew.
    pub async fn begin(&self, shard: u8, beginning: &Beginning) -> Result<bool, NoAnswer> {
        let value = self.ask(shard, &SCRIPTS.begin, encode::begin(beginning)).await?;
        Ok(decode::begun(value)?)
    }

    /// The holder stands in the database.
    pub async fn confirm(&self, shard: u8, id: HolderId) -> Result<(), NoAnswer> {
        self.tell(shard, &SCRIPTS.confirm, encode::confirm(id)).await
    }

    /// The holder, which was given up, is struck out of the database.
    pub async fn bury(&self, shard: u8, id: HolderId) -> Result<(), NoAnswer> {
        self.tell(shard, &SCRIPTS.bury, encode::bury(id)).await
    }

    /// At most `max` records that follow the one numbered `after`, in order.
    pub async fn records(
        &self,
        shard: u8,
        after: u64,
        max: usize,
    ) -> Result<Vec<StreamedRecord>, NoAnswer> {
        let argument = encode::records(after, u32::try_from(max).unwrap_or(u32::MAX));
        let value = self.ask(shard, &SCRIPTS.records, argument).await?;
        let records = decode::records(value)?.into_iter();
        let streamed = |(sequence, record)| StreamedRecord { sequence, record: Arc::new(record) };
        Ok(records.map(streamed).collect())
    }

    /// The ledger has all records up to and including this one of an incarnation; of another one than
    /// there is now the number means nothing.
    pub async fn acknowledge(
        &self,
        shard: u8,
        incarnation: u64,
        through: u64,
    ) -> Result<(), NoAnswer> {
        let argument = encode::acknowledge(incarnation, through);
        self.tell(shard, &SCRIPTS.acknowledge, argument).await
    }

    /// Drops the oldest tombstones.
    pub async fn forget(&self, shard: u8, count: u32) -> Result<(), NoAnswer> {
        self.tell(shard, &SCRIPTS.forget, encode::forget(count)).await
    }

    pub async fn account_use(
        &self,
        organization: AccountId,
        account: AccountId,
    ) -> Result<AccountUse, NoAnswer> {
        Ok(self.calls_in_use(organization, account, None).await?.account)
    }

    /// Live calls of an organization's accounts, but those of test keys.
    pub async fn organization_live(&self, organization: AccountId) -> Result<u32, NoAnswer> {
        Ok(self.calls_in_use(organization, organization, None).await?.organization)
    }

    async fn calls_in_use(
        &self,
        organization: AccountId,
        account: AccountId,
        holder: Option<HolderId>,
    ) -> Result<CallsInUse, NoAnswer> {
        let argument = encode::account_use(account, holder);
        let value = self.ask(organization.shard(), &SCRIPTS.account_use, argument).await?;
        Ok(decode::account_use(value)?)
    }

    async fn live_calls(
        &self,
        organization: AccountId,
        account: AccountId,
        after: Option<CallPlace>,
        most: usize,
    ) -> Result<Vec<HeldCall>, NoAnswer> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let argument = encode::live_calls(account, after, most);
        let value = self.ask(organization.shard(), &SCRIPTS.live_calls, argument).await?;
        Ok(decode::live_calls(value)?)
    }

    pub async fn wallet_use(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Result<WalletUse, NoAnswer> {
        let argument = encode::account(owner);
        let value = self.ask(organization.shard(), &SCRIPTS.wallet_use, argument).await?;
        Ok(decode::wallet_use(value)?)
    }

    /// Asks every gateway for the money of a wallet that it has idle: [`WalletUse::idle`] is less soon.
    pub async fn recall_money(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Result<WalletUse, NoAnswer> {
        let argument = encode::account(owner);
        let value = self.ask(organization.shard(), &SCRIPTS.recall_money, argument).await?;
        Ok(decode::wallet_use(value)?)
    }

    async fn tell(
        &self,
        shard: u8,
        script: &Script,
        argument: Result<Vec<u8>, OutOfRange>,
    ) -> Result<(), NoAnswer> {
        Ok(decode::done(self.ask(shard, script, argument).await?)?)
    }

    async fn ask(
        &self,
        shard: u8,
        script: &Script,
        argument: Result<Vec<u8>, OutOfRange>,
    ) -> Result<Value, NoAnswer> {
        let deadline = Instant::now() + self.patience();
        Ok(self.servers.call(shard, script, &[argument?], deadline).await?.value)
    }

    /// Time to connect, for an answer, and for another after a script was loaded or a slot has moved.
    fn patience(&self) -> Duration {
        self.timing.connect + 2 * self.timing.response
    }

    async fn exchange(
        &self,
        shard: u8,
        exchange: &Exchange,
        durable: bool,
    ) -> Result<Exchanged, NoAnswer> {
        let arguments = [encode::exchange(exchange)?];
        let script = &SCRIPTS.exchange;
        let Answer { value, connection } = if durable {
            let deadline = Instant::now() + self.patience() + self.timing.wait;
            self.servers.call_durable(shard, script, &arguments, deadline).await?
        } else {
            let deadline = Instant::now() + self.patience();
            self.servers.call(shard, script, &arguments, deadline).await?
        };
        let (reply, revision) = decode::reply(value)?;
        let directory = directory::number(reply.incarnation, revision);
        // That it counted stands, whatever becomes of the wait.
        let answer = Answer { value: Value::Nil, connection };
        let is_durable = durable && matches!(self.servers.acknowledged(&answer).await, Ok(true));
        Ok(Exchanged { reply, is_durable, directory })
    }
}

impl SharedHub for RedisHub {
    fn exchange<'a>(
        &'a self,
        shard: u8,
        exchange: &'a Exchange,
        durable: bool,
    ) -> Later<'a, Result<Exchanged, NoAnswer>> {
        Box::pin(self.exchange(shard, exchange, durable))
    }

    fn directory(&self, shard: u8, after: u64) -> Later<'_, Result<Published, NoAnswer>> {
        Box::pin(self.published(shard, after))
    }

    fn calls_in_use(
        &self,
        organization: AccountId,
        account: AccountId,
        holder: HolderId,
    ) -> Later<'_, Result<CallsInUse, NoAnswer>> {
        Box::pin(self.calls_in_use(organization, account, Some(holder)))
    }

    fn live_calls(
        &self,
        organization: AccountId,
        account: AccountId,
        after: Option<CallPlace>,
        most: usize,
    ) -> Later<'_, Result<Vec<HeldCall>, NoAnswer>> {
        Box::pin(self.live_calls(organization, account, after, most))
    }

    fn report<'a>(&'a self, report: &'a Report) -> Later<'a, Result<bool, NoAnswer>> {
        Box::pin(self.leave_report(report))
    }

    fn news(&self) -> Later<'_, Shards> {
        Box::pin(self.servers.news().next())
    }

    fn is_up(&self) -> bool {
        self.is_up()
    }
}

impl From<Lost> for NoAnswer {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost.to_string())
    }
}

impl From<Refusal> for NoAnswer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unsealed => Self::Unsealed,
            Refusal::OtherProtocol(protocol) => Self::OtherProtocol(protocol),
            Refusal::Malformed(malformed) => malformed.into(),
        }
    }
}

impl From<Malformed> for NoAnswer {
    fn from(malformed: Malformed) -> Self {
        Self::Lost(malformed.to_string())
    }
}

impl From<OutOfRange> for NoAnswer {
    fn from(number: OutOfRange) -> Self {
        Self::Lost(number.to_string())
    }
}
