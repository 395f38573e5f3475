//! The hub as the control plane knows it, in one of two forms: embedded in this process, or shared by
//! gateways and kept in Redis. What it is told, what it is asked, and what calls left there for the
//! ledger. Nothing outside `hub/` and the steward asks which form it is; nothing here decides.

use std::sync::Arc;

use hub::codec::Malformed;
use hub::directory::Change;
use hub::embedded::{AccountUse, EmbeddedHub, Health, HubUnavailable, StreamedRecord, WalletUse};
use hub::id::AccountId;
use hub::redis::hub::RedisHub;
use hub::report::Report;

use crate::publication::Publication;
use crate::store::Turn;

pub(crate) mod shared;

pub(crate) use shared::Shared;

/// Changes told at once, at most.
pub(crate) const CHANGES_MAX: usize = 1_000;

/// A hub of either form; made from the hub itself.
pub struct Hub(Form);

enum Form {
    Embedded(Arc<EmbeddedHub>),
    Shared(Shared),
}

/// Where a shard's record stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Numbers mean nothing from one incarnation to the next. An embedded hub has one.
    pub(crate) incarnation: u64,
    pub(crate) last_record: u64,
    /// Up to where the hub has forgotten them, as far as it says.
    pub(crate) acknowledged: u64,
}

/// What an account's calls use now, on itself and on its wallet; `None`: the hub does not say in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    pub(crate) account: Option<AccountUse>,
    pub(crate) wallet: Option<WalletUse>,
}

/// A gateway's report of statistics that waits, as its bytes.
pub(crate) struct WaitingReport(Vec<u8>);

impl WaitingReport {
    pub(crate) fn read(&self) -> Result<Report, Malformed> {
        Report::read(&self.0)
    }
}

impl From<Arc<EmbeddedHub>> for Hub {
    fn from(hub: Arc<EmbeddedHub>) -> Self {
        Self(Form::Embedded(hub))
    }
}

impl From<Arc<RedisHub>> for Hub {
    fn from(hub: Arc<RedisHub>) -> Self {
        Self(Form::Shared(Shared::new(hub)))
    }
}

impl Hub {
    /// The form that has to be begun, confirmed and told again: the steward's.
    pub(crate) const fn shared(&self) -> Option<&Shared> {
        match &self.0 {
            Form::Embedded(_) => None,
            Form::Shared(hub) => Some(hub),
        }
    }

    /// The form whose holder is in this process.
    #[cfg(test)]
    pub(crate) fn embedded(&self) -> &EmbeddedHub {
        match &self.0 {
            Form::Embedded(hub) => hub,
            Form::Shared(_) => unreachable!("the hub is shared"),
        }
    }

    /// Whether what was published outlives this process: if not, all of it is told at every start.
    pub(crate) const fn keeps_directory(&self) -> bool {
        matches!(self.0, Form::Shared(_))
    }

    /// Tells what was committed. An embedded hub hears of changes in the order of their commits, so
    /// the turn is held until it knows; a shared one orders them by their numbers, and nobody waits
    /// for it but who asked for the change.
    pub(crate) async fn publish(
        &self,
        turn: Turn,
        publication: &Publication,
    ) -> Result<(), HubUnavailable> {
        match &self.0 {
            Form::Embedded(hub) => {
                let told = hub.publish(&publication.changes);
                drop(turn);
                told
            }
            Form::Shared(hub) => {
                drop(turn);
                hub.publish(publication).await
            }
        }
    }

    /// Tells what is not, or not yet, committed: money that is taken out before the ledger moves it,
    /// or put back. Repeats nothing by itself.
    pub(crate) async fn tell(&self, changes: &[Change]) -> Result<(), HubUnavailable> {
        match &self.0 {
            Form::Embedded(hub) => hub.publish(changes),
            Form::Shared(hub) => hub.tell(changes).await,
        }
    }

    pub(crate) async fn account_use(
        &self,
        organization: AccountId,
        account: AccountId,
    ) -> Option<AccountUse> {
        match &self.0 {
            Form::Embedded(hub) => Some(hub.account_use(organization, account)),
            Form::Shared(hub) => hub.account_use(organization, account).await,
        }
    }

    /// Live calls of an organization's accounts, but those of test keys.
    pub(crate) async fn organization_live(&self, organization: AccountId) -> Option<u32> {
        match &self.0 {
            Form::Embedded(hub) => Some(hub.organization_live(organization)),
            Form::Shared(hub) => hub.organization_live(organization).await,
        }
    }

    pub(crate) async fn wallet_use(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Option<WalletUse> {
        match &self.0 {
            Form::Embedded(hub) => Some(hub.wallet_use(organization, owner)),
            Form::Shared(hub) => hub.wallet_use(organization, owner).await,
        }
    }

    /// Asks gateways for what they have idle of a wallet, and what it is used for until they hear so.
    pub(crate) async fn recall_money(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Option<WalletUse> {
        match &self.0 {
            Form::Embedded(hub) => Some(hub.wallet_use(organization, owner)),
            Form::Shared(hub) => hub.recall_money(organization, owner).await,
        }
    }

    /// The use of many accounts of one organization, in their order.
    pub(crate) async fn uses(&self, organization: AccountId, accounts: &[AccountId]) -> Vec<Use> {
        match &self.0 {
            Form::Embedded(hub) => accounts
                .iter()
                .map(|id| Use {
                    account: Some(hub.account_use(organization, *id)),
                    wallet: Some(hub.wallet_use(organization, *id)),
                })
                .collect(),
            Form::Shared(hub) => hub.uses(organization, accounts).await,
        }
    }

    /// Reports of gateways that wait, some or all; none where the hub does not answer.
    pub(crate) async fn waiting_reports(&self) -> Vec<WaitingReport> {
        let reports = match &self.0 {
            Form::Embedded(hub) => hub.waiting_report().iter().map(Report::to_bytes).collect(),
            Form::Shared(hub) => hub.redis().waiting_reports().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "reports of gateways could not be read");
                Vec::new()
            }),
        };
        reports.into_iter().map(WaitingReport).collect()
    }

    /// The database has what a report says. What is not forgotten is read again.
    pub(crate) async fn forget_report(&self, report: &WaitingReport) {
        match &self.0 {
            Form::Embedded(hub) => {
                if let Ok(report) = report.read() {
                    hub.forget_report(&report);
                }
            }
            Form::Shared(hub) => {
                if let Err(error) = hub.redis().forget_report(&report.0).await {
                    tracing::debug!(%error, "a report is in the database, and still at the hub");
                }
            }
        }
    }

    /// Names the record stream where the ledger says up to where it is posted. A shared hub's is not
    /// named: it says itself what has been acknowledged, and a record is known by its call.
    pub(crate) fn stream(&self) -> Option<String> {
        match &self.0 {
            Form::Embedded(hub) => Some(format!("{:032x}", hub.stream())),
            Form::Shared(_) => None,
        }
    }

    /// Where a shard's stream stood when it was looked at last; `None`: that is not known.
    pub(crate) fn position(&self, shard: u8) -> Option<Position> {
        match &self.0 {
            Form::Embedded(hub) => Some(position(hub, shard)),
            Form::Shared(hub) => hub.position(shard),
        }
    }

    /// Where a shard's stream stands now; `None`: the hub does not say in time.
    pub(crate) async fn look(&self, shard: u8) -> Option<Position> {
        match &self.0 {
            Form::Embedded(hub) => Some(position(hub, shard)),
            Form::Shared(hub) => {
                hub.look(shard).await.ok().map(|_| ())?;
                hub.position(shard)
            }
        }
    }

    /// At most `max` records of a shard that follow `after`, in order; none where the hub does not
    /// answer.
    pub(crate) async fn records(&self, shard: u8, after: u64, max: usize) -> Vec<StreamedRecord> {
        match &self.0 {
            Form::Embedded(hub) => hub.records(shard, after, max),
            Form::Shared(hub) => hub.records(shard, after, max).await,
        }
    }

    /// The ledger has posted everything of an incarnation's stream up to and including `through`.
    pub(crate) async fn acknowledge(
        &self,
        shard: u8,
        incarnation: u64,
        through: u64,
    ) -> Result<(), HubUnavailable> {
        match &self.0 {
            Form::Embedded(hub) => hub.acknowledge(shard, through),
            Form::Shared(hub) => hub.acknowledge(shard, incarnation, through).await,
        }
    }

    /// Records that the ledger has not acknowledged, as far as known.
    pub(crate) fn backlog(&self) -> u64 {
        match &self.0 {
            Form::Embedded(hub) => hub.backlog(),
            Form::Shared(hub) => hub.backlog(),
        }
    }

    /// So many records wait that the hub takes no new calls.
    pub(crate) fn is_full(&self) -> bool {
        match &self.0 {
            Form::Embedded(hub) => hub.health() != Health::Open,
            Form::Shared(_) => false,
        }
    }

    /// Returns when no record that was read can be forgotten and its number be given to another. A
    /// shared hub may forget what it has not had acknowledged: gateways then send it again.
    pub(crate) async fn durable(&self) -> Result<(), HubUnavailable> {
        match &self.0 {
            Form::Embedded(hub) => hub.durable().await,
            Form::Shared(_) => Ok(()),
        }
    }
}

fn position(hub: &EmbeddedHub, shard: u8) -> Position {
    Position { last_record: hub.last_record(shard), ..Position::default() }
}
