//! Several engines over one shared hub: the state machine itself, in memory, asked as a gateway asks
//! Redis. What stacks see at any of them.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use hub::call::CallPlace;
use hub::directory::TokenKey;
use hub::embedded::AccountUse;
use hub::id::HolderId;
use hub::redis::connect::Shards;
use hub::report::Report;
use hub::shared::{CallsInUse, Exchanged, HeldCall, Later, NoAnswer, Published, SharedHub};
use hub::state::Shard;
use hub::state::calls::Entry;
use hub::state::exchange::{Begin, Exchange};
use hub::state::request::{Request, Wanted};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::link::Rhythm;

mod caps;
mod oversight;
mod stories;

const RHYTHM: Rhythm = Rhythm {
    gather_us: 5_000,
    idle_us: 50_000,
    fence_us: 1_000_000,
    reclaim_us: 400_000,
    call_lease_s: 3,
};

/// The hub and a control plane that never sleeps.
struct LocalHub {
    shard: Mutex<Shard>,
    incarnation: AtomicU64,
    /// The latest of its clock that it lost.
    clock_seen_ms: AtomicU64,
    holders: Mutex<Vec<HolderId>>,
    published: Mutex<Vec<Change>>,
    clients: Mutex<Vec<Arc<Notify>>>,
    is_down: AtomicBool,
    /// Calls were admitted without it: they are adopted, whatever the limits say.
    may_exceed: AtomicBool,
}

/// The way of one gateway to it.
struct Client {
    hub: Arc<LocalHub>,
    news: Arc<Notify>,
}

impl LocalHub {
    fn begin(&self, shard: &mut Shard) {
        let incarnation = 1 + self.incarnation.fetch_add(1, Ordering::Relaxed);
        for change in self.published.lock().iter() {
            if let Some(request) = Request::of(change) {
                shard.apply(request, 0);
            }
        }
        shard.begin(&Begin {
            incarnation,
            holders: self.holders.lock().clone(),
            learn_min_ms: 0,
            learn_max_ms: 4_000,
            call_lease_s: RHYTHM.call_lease_s,
            clock_ms: clock::now_us().unsigned_abs() / 1_000,
            clock_seen_ms: self.clock_seen_ms.load(Ordering::Relaxed),
        });
    }

    fn publish(&self, change: Change) {
        self.published.lock().push(change);
        self.begin_again_with_what_it_has();
        self.wake();
    }

    /// Limits as they are published now, in the memory that there is.
    fn begin_again_with_what_it_has(&self) {
        let shard = &mut *self.shard.lock();
        if let Some(request) = self.published.lock().last().and_then(Request::of) {
            shard.apply(request, 0);
        }
    }

    fn forget_everything(&self) {
        let shard = &mut *self.shard.lock();
        *shard = Shard::default();
        self.begin(shard);
    }

    /// An old copy of its memory comes back.
    fn restore(&self, old: Shard) {
        let shard = &mut *self.shard.lock();
        self.clock_seen_ms.fetch_max(shard.clock_ms(), Ordering::Relaxed);
        *shard = old;
        self.begin(shard);
    }

    fn wake(&self) {
        self.clients.lock().iter().for_each(|client| client.notify_one());
    }
}

impl Client {
    /// All live calls.
    fn live(&self) -> Result<Vec<HeldCall>, NoAnswer> {
        if self.hub.is_down.load(Ordering::Relaxed) {
            return Err(NoAnswer::Lost("it is down".to_owned()));
        }
        let shard = self.hub.shard.lock();
        let live = shard.calls().entries().filter_map(|entry| match entry {
            Entry::Live(live) => Some(HeldCall {
                holder: shard.holder_of(live),
                call: live.call.clone(),
                lease: live.lease,
            }),
            Entry::Ended(_) => None,
        });
        Ok(live.collect())
    }
}

impl SharedHub for Client {
    fn exchange<'a>(
        &'a self,
        number: u8,
        exchange: &'a Exchange,
        _durable: bool,
    ) -> Later<'a, Result<Exchanged, NoAnswer>> {
        Box::pin(async move {
            // The way there and back.
            sleep(Duration::from_micros(300)).await;
            if self.hub.is_down.load(Ordering::Relaxed) {
                return Err(NoAnswer::Lost("it is down".to_owned()));
            }
            assert_eq!(number, organization().shard());
            let shard = &mut *self.hub.shard.lock();
            let reply = shard.exchange(&mut exchange.clone());
            let holders = &mut *self.hub.holders.lock();
            for id in shard.unconfirmed() {
                holders.push(id);
                shard.confirm(id);
            }
            for id in shard.dying() {
                holders.retain(|holder| *holder != id);
                shard.bury(id);
            }
            let recalls = reply.answer.wanted.iter().chain(&reply.answer.decided);
            let recalls = recalls.filter(|wanted| **wanted == Wanted::Recall).count();
            let funds = !exchange.sync.funds.is_empty();
            if recalls > 0 || funds || !exchange.mail.is_empty() {
                self.hub.wake();
            }
            shard.check().expect("the hub's invariants");
            let may_exceed = self.hub.may_exceed.load(Ordering::Relaxed);
            assert!(may_exceed || shard.is_within_limits(), "leases stay within limits");
            let directory = self.hub.published.lock().len() as u64;
            Ok(Exchanged { reply, is_durable: true, directory })
        })
    }

    fn directory(&self, shard: u8, after: u64) -> Later<'_, Result<Published, NoAnswer>> {
        Box::pin(async move {
            let published = if shard == organization().shard() {
                self.hub.published.lock().clone()
            } else {
                vec![Change::TokenKey(TokenKey([7; 32]))]
            };
            let number = published.len() as u64;
            let skip = usize::try_from(after).expect("few");
            let changes = published.into_iter().skip(skip).collect();
            Ok(Published { number, is_whole: false, changes })
        })
    }

    fn calls_in_use(
        &self,
        organization: AccountId,
        account: AccountId,
        holder: HolderId,
    ) -> Later<'_, Result<CallsInUse, NoAnswer>> {
        Box::pin(async move {
            let live = self.live()?;
            let count = |counts: &dyn Fn(&HeldCall) -> bool| {
                u32::try_from(live.iter().filter(|held| counts(held)).count()).expect("few")
            };
            let of_account = |held: &HeldCall| held.call.account() == account;
            let directory = self.hub.published.lock();
            let of_organization = |held: &HeldCall| {
                directory.iter().any(|change| {
                    matches!(change, Change::Account(config) if config.id == held.call.account()
                        && config.organization == organization)
                })
            };
            Ok(CallsInUse {
                account: AccountUse { leased: 0, live: count(&of_account) },
                own: count(&|held| of_account(held) && held.holder == Some(holder)),
                organization: count(&of_organization),
            })
        })
    }

    fn live_calls(
        &self,
        _organization: AccountId,
        account: AccountId,
        after: Option<CallPlace>,
        most: usize,
    ) -> Later<'_, Result<Vec<HeldCall>, NoAnswer>> {
        Box::pin(async move {
            let mut live = self.live()?;
            let follows = |held: &HeldCall| after.is_none_or(|at| CallPlace::of(&held.call) > at);
            live.retain(|held| held.call.account() == account && follows(held));
            live.sort_by_key(|held| CallPlace::of(&held.call));
            live.truncate(most);
            Ok(live)
        })
    }

    fn report<'a>(&'a self, _report: &'a Report) -> Later<'a, Result<bool, NoAnswer>> {
        Box::pin(async { Ok(true) })
    }

    fn news(&self) -> Later<'_, Shards> {
        Box::pin(async {
            self.news.notified().await;
            Shards::from_iter([organization().shard()])
        })
    }

    fn is_up(&self) -> bool {
        !self.hub.is_down.load(Ordering::Relaxed)
    }
}

/// One gateway of the installation.
struct Gateway {
    engine: Arc<Engine>,
    stop: oneshot::Sender<()>,
    exchanges: JoinHandle<()>,
}

impl Gateway {
    async fn start(hub: &Arc<LocalHub>) -> Self {
        let news = Arc::new(Notify::new());
        hub.clients.lock().push(Arc::clone(&news));
        let client = Client { hub: Arc::clone(hub), news };
        let call_lease_s = RHYTHM.call_lease_s;
        let settings = Settings { call_lease_s, reconcile_gap_s: 0, ..Settings::default() };
        let engine = Engine::with_shared_hub(settings, Arc::new(client), RHYTHM);
        let (stop, stopped) = oneshot::channel();
        let exchanges = Exchanges::new(Arc::clone(&engine));
        let mut ready = exchanges.ready();
        let run = exchanges.run(async {
            drop(stopped.await);
        });
        let exchanges = tokio::task::spawn_local(run);
        ready.wait_for(|ready| *ready).await.expect("it starts");
        let gateway = Self { engine, stop, exchanges };
        gateway.until_open().await;
        gateway
    }

    async fn until_open(&self) {
        within(Duration::from_secs(5), || self.engine.admits(organization().shard()).is_ok()).await;
    }

    /// Begins two calls, and has slots, money and credit for others then, whether the hub is there or not.
    async fn leases_ahead(&self, name: &str) {
        for number in 0..2 {
            self.admit(&format!("{name} {number}")).await.expect("there is room");
        }
        within(Duration::from_secs(2), || {
            let slots = self.account().slots.now();
            self.account().credit.max() > 1 && slots.lease > slots.used + 1
        })
        .await;
    }

    fn account(&self) -> Arc<Account> {
        self.engine.directory().account(sub_account(0)).expect("published")
    }

    fn has(&self, call_id: &str) -> bool {
        self.engine.calls.place(sub_account(0), call_id.as_bytes()).find().is_some()
    }

    async fn admit(&self, call_id: &str) -> Result<Grant, Refusal> {
        admit(&self.engine, call_id).await
    }

    async fn renew(&self, call_id: &str) -> Result<Grant, Refusal> {
        self.renew_by(call_id, None).await
    }

    async fn renew_by(&self, call_id: &str, token: Option<&str>) -> Result<Grant, Refusal> {
        let call = Renew { call_id, token, requested_s: None };
        let account = self.account();
        answered(|| self.engine.renew(&account, &call, clock::now_us())).await
    }

    async fn release(&self, call_id: &str, billable_s: u32) -> Result<CallView, Denial> {
        self.release_by(call_id, None, billable_s).await
    }

    async fn release_by(
        &self,
        call_id: &str,
        token: Option<&str>,
        billable_s: u32,
    ) -> Result<CallView, Denial> {
        let billable_s = Some(billable_s);
        let call = Release { call_id, token, outcome: None, billable_s, costs: None };
        let account = self.account();
        let end = Instant::now() + BUSY_MAX;
        loop {
            match self.engine.release(&account, &call, clock::now_us()).await {
                Err(denial) if is_busy(&denial) && Instant::now() < end => {}
                answer => return answer,
            }
        }
    }

    /// Stops as a process does that is told to.
    async fn leave(self) {
        drop(self.stop);
        self.exchanges.await.expect("it ends");
    }

    /// Stops as a process does that is killed.
    fn kill(self) {
        self.exchanges.abort();
    }
}

/// How long a busy machine may keep requests from being answered in time.
const BUSY_MAX: Duration = Duration::from_secs(3);

async fn admit(engine: &Engine, call_id: &str) -> Result<Grant, Refusal> {
    let call = Admit { call_id, ..Admit::default() };
    let account = engine.directory().account(sub_account(0)).expect("published");
    answered(|| engine.admit(&account, &call, clock::now_us())).await
}

/// Asks again while the hub does not answer, as stacks do.
async fn answered<F: Future<Output = Result<Grant, Refusal>>>(
    ask: impl Fn() -> F,
) -> Result<Grant, Refusal> {
    let end = Instant::now() + BUSY_MAX;
    loop {
        match ask().await {
            Err(Refusal::Denied(denial)) if is_busy(&denial) && Instant::now() < end => {}
            answer => return answer,
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn is_busy(denial: &Denial) -> bool {
    denial.reason() == Reason::HubUnavailable
}

async fn within(limit: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < end, "it takes too long");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Runs a story on a hub with one account.
fn installation<F: Future<Output = ()>>(
    config: AccountConfig,
    money: Option<&str>,
    story: impl FnOnce(Arc<LocalHub>) -> F,
) {
    let organization_config = OrganizationConfig {
        id: organization(),
        version: 1,
        status: Status::Active,
        total: 10_000,
        currency: Currency::INR,
        default_pricing: None,
    };
    let mut published = vec![Change::Organization(organization_config), Change::Account(config)];
    published.extend(money.map(|money| wallet(sub_account(0), money, 1)));
    let hub = Arc::new(LocalHub {
        shard: Mutex::default(),
        incarnation: AtomicU64::new(0),
        clock_seen_ms: AtomicU64::new(0),
        holders: Mutex::default(),
        published: Mutex::new(published),
        clients: Mutex::default(),
        is_down: AtomicBool::new(false),
        may_exceed: AtomicBool::new(false),
    });
    hub.begin(&mut hub.shard.lock());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, story(hub));
}

fn is_no_slot(result: &Result<Grant, Refusal>) -> bool {
    matches!(result, Err(Refusal::Denied(Denial::NoSlot { .. })))
}

fn cost_of(view: Result<CallView, Denial>) -> Amount {
    match view.expect("a receipt") {
        CallView::Ended(record) => record.cost,
        CallView::Live(live) => panic!("{live:?} is live"),
    }
}
