//! The control plane: organizations, sub-accounts, people, keys, wallets, the ledger and usage, by REST
//! over one database. Tells gateways their configuration through the hub and posts the hub's call records
//! to the ledger. Never decides an admission.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::hub::directory::WalletConfig;
use ::hub::id::AccountId;
use parking_lot::Mutex;
use sqlx::Row as _;
use tokio::sync::Semaphore;

mod access;
mod account;
mod allocation;
mod allowance;
mod answer;
mod audit;
mod bootstrap;
mod budget;
mod change;
mod compatibility;
mod counters;
pub mod database;
mod decks;
mod delegations;
mod description;
mod fields;
mod holders;
mod hub;
mod id;
mod idempotency;
mod invitations;
mod invoices;
mod keys;
mod ledger;
mod mail;
mod members;
mod organizations;
mod page;
mod permission;
mod precondition;
mod principal;
mod problem;
mod publication;
mod publish;
mod records;
mod reports;
mod request;
mod resets;
mod resources;
mod retention;
mod router;
mod sessions;
mod settings;
mod steward;
mod store;
mod sub_accounts;
#[cfg(test)]
mod testing;
mod timestamp;
mod tokens;
mod upkeep;
mod usage;
mod users;
mod uses;
mod viewer;
mod wallets;
mod webhooks;

pub use crate::hub::Hub;
pub use audit::verify::{
    Fault as AuditFault, Head as AuditHead, Report as AuditReport, run as verify_audit,
};
pub use ledger::Discrepancy;
pub use ledger::verify::{Head as LedgerHead, Report as LedgerReport, run as verify_ledger};
pub use settings::{FirstOrganization, FirstStart, Mailer, OpenError, Settings};

/// Changes carried out at the same time; more wait.
const CHANGES_MAX: u32 = 1_024;
/// How long a balance waits for the charges of calls that have just ended.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(1);
/// Unbilled accounts named in the start-up warning.
const UNBILLED_NAMED_MAX: i64 = 100;

/// A running control plane. Clones share it.
#[derive(Clone)]
pub struct ControlPlane {
    app: Shared,
}

type Shared = Arc<App>;

/// What every operation works with.
struct App {
    store: store::Store,
    hub: Hub,
    regions: Vec<String>,
    posting_cpu_percent: Option<u8>,
    progress: records::Progress,
    /// One permit per change that is being carried out.
    changes: Arc<Semaphore>,
    /// A change is committed that the hub has not heard of.
    unpublished: AtomicBool,
    /// A deletion waits for the last charges of its account.
    deletions_pending: AtomicBool,
    /// An account was closed: what is known of people there is to be erased.
    erasures_pending: AtomicBool,
    /// A budget was spent, of which gateways are yet to be told.
    budgets_pending: AtomicBool,
    /// Withdrawals that were not carried out, and that the hub has not heard of.
    withdrawn: Mutex<Vec<WalletConfig>>,
    call_lease_s: u32,
    /// Cookies are for TLS only.
    serves_tls: bool,
    /// Webhooks may be sent to private networks.
    private_networks: bool,
    /// Something was stored that is to be sent at once.
    deliveries: tokio::sync::Notify,
    passwords: users::password::Passwords,
    attempts: sessions::attempts::Attempts,
    resets: sessions::attempts::Attempts,
    mailer: mail::Mailer,
    /// Where users reach the API, for links in mail; without a slash at its end.
    public_url: String,
    uses: uses::Uses,
    allowances: allowance::Allowances,
    /// What `GET /openapi.json` answers.
    document: axum::body::Bytes,
}

impl ControlPlane {
    /// Opens the database, brings it up to date, makes what the first start makes, and tells the hub
    /// everything. `Some` at the first start: what was generated, to be shown once.
    pub async fn open(
        settings: Settings,
        hub: impl Into<Hub>,
    ) -> Result<(Self, Option<FirstStart>), OpenError> {
        settings.check()?;
        let mailer = mail::Mailer::of(&settings)?;
        let hub = hub.into();
        let store = store::Store::open(&settings.database_url).await?;
        account::folded::fill(&store).await.map_err(|problem| {
            tracing::error!(?problem, "the names of accounts could not be prepared for searches");
            OpenError::Unreadable("names of accounts that could not be prepared")
        })?;
        let first = bootstrap::run(&store, &settings).await?;
        let progress = records::Progress::load(&store, &hub).await?;
        let document = description::document::bytes(&settings.regions);
        let app = App {
            document,
            allowances: allowance::Allowances::new(
                settings.requests_per_s,
                settings.open_requests_per_s,
            ),
            store,
            hub,
            regions: settings.regions,
            posting_cpu_percent: settings.posting_cpu_percent,
            progress,
            changes: Arc::new(Semaphore::new(CHANGES_MAX as usize)),
            unpublished: AtomicBool::new(false),
            deletions_pending: AtomicBool::new(true),
            erasures_pending: AtomicBool::new(true),
            budgets_pending: AtomicBool::new(true),
            withdrawn: Mutex::default(),
            call_lease_s: settings.call_lease_s,
            serves_tls: settings.serves_tls,
            private_networks: settings.webhook_private_networks,
            deliveries: tokio::sync::Notify::new(),
            passwords: users::password::Passwords::new(),
            attempts: sessions::attempts::Attempts::to_sign_in(),
            resets: sessions::attempts::Attempts::to_reset(),
            mailer,
            public_url: settings.public_url,
            uses: uses::Uses::default(),
        };
        app.publish_all().await.map_err(|problem| {
            tracing::error!(?problem, "the hub could not be told the configuration");
            OpenError::Unreadable("a configuration that could not be published")
        })?;
        Ok((Self { app: Arc::new(app) }, first))
    }

    /// The API under `/v1`.
    pub fn router(&self) -> axum::Router {
        router::router(&self.app)
    }

    /// Posts call records to the ledger until `shutdown`, then what is left. To be run once, always.
    pub async fn post_records(&self, shutdown: impl Future) {
        records::run(&self.app, shutdown).await;
    }

    /// Takes what gateways report of refused admits until `shutdown`, then what is left. To be run
    /// once, always.
    pub async fn take_reports(&self, shutdown: impl Future) {
        reports::run(&self.app, shutdown).await;
    }

    /// Looks after a hub that gateways share, until `shutdown`: begins what has lost its memory, keeps
    /// the list of gateways, tells again what was not told. To be run once, always; an embedded hub
    /// needs none of it.
    pub async fn tend_hub(&self, shutdown: impl Future) {
        steward::run(&self.app, shutdown).await;
    }

    /// Seals audit entries into their chains until `shutdown`. To be run once, always.
    pub async fn seal_audit(&self, shutdown: impl Future) {
        audit::seal::run(&self.app, shutdown).await;
    }

    /// Seals the ledger into its chain until `shutdown`. To be run once, always.
    pub async fn seal_ledger(&self, shutdown: impl Future) {
        ledger::seal::run(&self.app, shutdown).await;
    }

    /// Sends events to webhooks until `shutdown`. To be run once, always.
    pub async fn send_webhooks(&self, shutdown: impl Future) {
        webhooks::deliver::run(&self.app, shutdown).await;
    }

    /// Does what passes with time until `shutdown`: keys expire, uses are written down, what has
    /// outlived its use is swept. To be run once, always.
    pub async fn keep_up(&self, shutdown: impl Future) {
        upkeep::run(&self.app, shutdown).await;
    }

    /// Issues the invoices of months that are over until `shutdown`. To be run once, always.
    pub async fn issue_invoices(&self, shutdown: impl Future) {
        invoices::monthly::run(&self.app, shutdown).await;
    }

    /// Sends mail until `shutdown`; what is left waits for the next start. To be run once, always.
    pub async fn send_mail(&self, shutdown: impl Future) {
        mail::send::run(&self.app, shutdown).await;
    }

    /// Call records that wait to be posted.
    pub fn posting_backlog(&self) -> u64 {
        self.app.hub.backlog()
    }

    /// Accounts that are not billed, because neither they nor their organization have a rate: at
    /// most 100 of them, and how many there are.
    pub async fn unbilled_accounts(&self) -> Result<(Vec<AccountId>, u64), OpenError> {
        const UNBILLED: &str = "FROM accounts a JOIN organizations o ON o.id = a.organization_id \
             WHERE a.rate IS NULL AND o.default_rate IS NULL AND a.status IN ('active', 'suspended')";
        let mut connection = self.app.store.read().await?;
        let count =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT CAST(COUNT(*) AS BIGINT) {UNBILLED}")))
                .fetch_one(&mut *connection)
                .await?
                .try_get::<i64, _>(0)?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT a.id {UNBILLED} ORDER BY a.id LIMIT $1"
        )))
        .bind(UNBILLED_NAMED_MAX)
        .fetch_all(&mut *connection)
        .await?;
        let named = rows.iter().map(|row| {
            row.try_get::<String, _>(0)?.parse().map_err(|_| OpenError::Unreadable("an account id"))
        });
        Ok((named.collect::<Result<_, OpenError>>()?, count.unsigned_abs()))
    }

    /// Checks the whole ledger; empty is well.
    pub async fn verify_ledger(&self) -> Result<Vec<Discrepancy>, OpenError> {
        let mut connection = self.app.store.read().await?;
        Ok(ledger::verify(&mut connection).await?)
    }

    /// Waits for the changes in flight and closes the database. Nothing is served afterwards.
    pub async fn close(self) {
        // An error means that it was closed before.
        if self.app.changes.acquire_many(CHANGES_MAX).await.is_ok() {
            self.app.changes.close();
        }
        self.app.store.close().await;
    }
}

impl App {
    /// Waits a little until the charges of calls that have ended are posted; what then still waits
    /// is not worth an error.
    async fn caught_up(&self, organization: AccountId) {
        if !self.progress.caught_up(&self.hub, organization, CATCH_UP_PATIENCE).await {
            tracing::debug!(
                "posting call records lags behind; an answer may lack the last charges"
            );
        }
    }

    /// What a start tells. A hub that keeps what it is told hears it when it can be reached.
    async fn publish_all(&self) -> Result<(), problem::Problem> {
        publication::renew(&self.store).await?;
        if self.hub.keeps_directory() { Ok(()) } else { publish::everything(self).await }
    }
}
