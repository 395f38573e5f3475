//! A server over an engine and a hub of its own, with one organization and a few accounts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway::engine::{self, Engine};
use gateway::http::{Server, Settings};
use hub::directory::{
    AccountConfig, AtZero, Billing, Change, OnHubLoss, OrganizationConfig, Status,
};
use hub::embedded::{EmbeddedHub, Options};
use hub::id::{AccountId, AccountKind, Ulid};
use hub::key::{KeyHash, KeyScope};
use hub::money::Currency;

use crate::client::Client;

pub const OPERATOR: &str = "operator-key-0000000000000000000000000001";
pub const ORGANIZATION: &str = "organization-key-000000000000000000000001";
/// Opens an account of ten slots.
pub const TEN: &str = "account-key-0000000000000000000000000010";
/// Opens an elastic account.
pub const ELASTIC: &str = "account-key-0000000000000000000000000099";

pub struct World {
    server: Option<Server>,
    pub engine: Arc<Engine>,
    pub hub: Arc<EmbeddedHub>,
    _directory: tempfile::TempDir,
}

pub fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, Ulid(1))
}

pub fn ten() -> AccountId {
    AccountId::new(AccountKind::SubAccount, Ulid(10))
}

pub fn elastic() -> AccountId {
    AccountId::new(AccountKind::SubAccount, Ulid(99))
}

fn account(id: AccountId, floor: u32, cap: Option<u32>) -> Change {
    Change::Account(AccountConfig {
        id,
        organization: organization(),
        version: 1,
        status: Status::Active,
        floor,
        cap,
        outbound_cap: None,
        cps_limit: None,
        region: None,
        billing: Billing::Isolated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    })
}

pub fn key(secret: &str, scope: KeyScope) -> Change {
    let hash = KeyHash::of(secret.as_bytes());
    Change::Key { hash, scope, organization: Some(organization()), expires_us: None }
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let hub = EmbeddedHub::open(&Options::new(directory.path().into())).expect("a hub");
        let hub = Arc::new(hub);
        let engine = Engine::new(engine::Settings::default(), &hub);
        hub.publish(&[
            Change::Organization(OrganizationConfig {
                id: organization(),
                version: 1,
                status: Status::Active,
                total: 100_000,
                currency: Currency::INR,
                default_pricing: None,
            }),
            account(organization(), 0, None),
            account(ten(), 10, Some(10)),
            account(elastic(), 0, None),
            key(OPERATOR, KeyScope::Operator),
            key(ORGANIZATION, KeyScope::Organization(organization())),
            key(TEN, KeyScope::Account(ten())),
            key(ELASTIC, KeyScope::Account(elastic())),
        ])
        .expect("published");
        engine.adopt();
        let mut settings =
            Settings { listen: (Ipv4Addr::LOCALHOST, 0).into(), threads: 2, ..Settings::default() };
        change(&mut settings);
        let server = Server::start(Arc::clone(&engine), settings).expect("a free port");
        Self { server: Some(server), engine, hub, _directory: directory }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("not drained")
    }

    pub fn address(&self) -> SocketAddr {
        self.server().address()
    }

    pub fn client(&self, key: &str) -> Client {
        Client::connect(self.address(), key)
    }

    /// Live calls of an account, as the hub has recorded them.
    pub fn recorded(&self, account: AccountId) -> u32 {
        self.hub.account_use(organization(), account).live
    }

    pub fn drain(&mut self, grace: Duration) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.server.take().expect("not drained").drain(grace));
    }
}

impl Drop for World {
    /// The threads end before the directory goes: the journal writes there until then.
    fn drop(&mut self) {
        if self.server.is_some() {
            self.drain(Duration::ZERO);
        }
    }
}

/// Measures how long something takes.
pub struct Watch {
    began_us: i64,
}

impl Watch {
    pub fn start() -> Self {
        Self { began_us: hub::clock::boot_us() }
    }

    pub fn elapsed(&self) -> Duration {
        let elapsed_us = hub::clock::boot_us() - self.began_us;
        Duration::from_micros(elapsed_us.unsigned_abs())
    }
}

pub fn wait_until(deadline: Duration, condition: impl Fn() -> bool) {
    let watch = Watch::start();
    while !condition() {
        assert!(watch.elapsed() < deadline, "not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
