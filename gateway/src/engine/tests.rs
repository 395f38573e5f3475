//! The engine with a real hub in a temporary directory: what stacks see, without sockets.

mod caps;
mod decks;
mod ends;
mod reports;
mod shared;
mod shares;

use std::sync::Arc;

use hub::call::Cause;
use hub::clock;
use hub::deck::Pricing;
use hub::denial::{Denial, Reason, Scope};
use hub::directory::{
    AccountConfig, AtZero, Billing, Change, OnHubLoss, OrganizationConfig, Status, WalletConfig,
};
use hub::embedded::{EmbeddedHub, Options};
use hub::id::{AccountId, AccountKind};
use hub::key::{KeyHash, KeyScope};
use hub::money::{Amount, Currency, Rate};

use super::*;
use crate::request::{Admit, Reconcile, Release, Renew};

fn organization() -> AccountId {
    AccountId::new(AccountKind::Organization, ulid(1))
}

fn sub_account(number: u128) -> AccountId {
    AccountId::new(AccountKind::SubAccount, ulid(number + 10))
}

fn ulid(number: u128) -> hub::id::Ulid {
    hub::id::Ulid(number)
}

fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

fn rate(initial_s: u32, increment_s: u32) -> Rate {
    Rate::new(amount("1.20"), initial_s, increment_s, Amount::ZERO, Amount::ZERO).expect("a rate")
}

fn flat(initial_s: u32, increment_s: u32) -> Pricing {
    Pricing::Flat(rate(initial_s, increment_s))
}

fn account(number: u128, floor: u32, cap: Option<u32>) -> AccountConfig {
    AccountConfig {
        id: sub_account(number),
        organization: organization(),
        version: 1,
        status: Status::Active,
        floor,
        cap,
        outbound_cap: None,
        cps_limit: None,
        region: Some("india".into()),
        billing: Billing::Isolated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        is_over_budget: false,
    }
}

fn wallet(owner: AccountId, escrow: &str, sequence: u64) -> Change {
    Change::Wallet(WalletConfig {
        owner,
        organization: organization(),
        currency: Currency::INR,
        escrow: amount(escrow),
        sequence,
        posted: Amount::ZERO,
    })
}

/// An engine over a hub of its own, with an organization of `total` slots.
struct World {
    engine: Arc<Engine>,
    hub: Arc<EmbeddedHub>,
    /// Goes last: the journal writes there until the hub is gone.
    directory: tempfile::TempDir,
}

impl World {
    fn new(total: u32, accounts: &[AccountConfig]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self::open(directory, total, accounts, Settings::default())
    }

    fn open(
        directory: tempfile::TempDir,
        total: u32,
        accounts: &[AccountConfig],
        settings: Settings,
    ) -> Self {
        let hub = EmbeddedHub::open(&Options::new(directory.path().into())).expect("a hub");
        let hub = Arc::new(hub);
        let engine = Engine::new(settings, &hub);
        let mut changes = vec![Change::Organization(OrganizationConfig {
            id: organization(),
            version: 1,
            status: Status::Active,
            total,
            currency: Currency::INR,
            default_pricing: None,
        })];
        changes.extend(accounts.iter().cloned().map(Change::Account));
        hub.publish(&changes).expect("published");
        engine.adopt();
        Self { engine, hub, directory }
    }

    /// The same directory after the death of the process.
    fn restart(self, total: u32, accounts: &[AccountConfig]) -> Self {
        let Self { engine, hub, directory } = self;
        drop((hub, engine));
        Self::open(directory, total, accounts, Settings::default())
    }

    fn publish(&self, change: Change) {
        self.hub.publish(&[change]).expect("published");
    }

    fn account(&self, number: u128) -> Arc<Account> {
        self.engine.directory().account(sub_account(number)).expect("a known account")
    }

    fn admit_as(&self, account: &Arc<Account>, call: &Admit<'_>) -> Result<Grant, Refusal> {
        let result = done(self.engine.admit(account, call, clock::now_us()));
        self.engine.flush().expect("recorded");
        self.hub.check().expect("invariants");
        result
    }

    fn admit(&self, number: u128, call_id: &str) -> Result<Grant, Refusal> {
        self.admit_as(&self.account(number), &Admit { call_id, ..Admit::default() })
    }

    fn release(&self, number: u128, call_id: &str, billable_s: Option<u32>) -> CallView {
        let release = Release { call_id, token: None, outcome: None, billable_s, costs: None };
        let view = done(self.engine.release(&self.account(number), &release, clock::now_us()));
        let view = view.expect("known");
        self.engine.flush().expect("recorded");
        self.hub.check().expect("invariants");
        view
    }

    fn free(&self, number: u128) -> Amount {
        self.engine.directory().wallet(sub_account(number)).funds.free()
    }
}

/// What a future comes to.
fn done<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn denied(result: Result<Grant, Refusal>) -> Denial {
    match result.expect_err("refused") {
        Refusal::Denied(denial) => denial,
        Refusal::Ended(_) => Reason::CallEnded.into(),
    }
}

fn cost(view: &CallView) -> Amount {
    match view {
        CallView::Ended(record) => record.cost,
        CallView::Live(_) => panic!("live"),
    }
}

#[test]
fn ten_calls_are_admitted_the_eleventh_is_refused_with_the_numbers_and_a_release_makes_room() {
    let world = World::new(100, &[account(0, 10, Some(10))]);
    for number in 1..=10 {
        let grant = world.admit(0, &format!("call-{number}")).expect("a slot");
        assert_eq!((grant.in_use, grant.limit, grant.duplicate), (number, Some(10), false));
        assert_eq!((grant.granted_s(), grant.is_billed(), grant.expires_in_s), (None, false, 90));
    }
    let refused = Denial::NoSlot { scope: Scope::Account, limit: 10, in_use: 10 };
    assert_eq!(denied(world.admit(0, "call-11")), refused);
    let again = world.admit(0, "call-3").expect("the same again");
    assert_eq!((again.duplicate, again.in_use), (true, 10));
    world.release(0, "call-3", None);
    assert!(world.admit(0, "call-11").is_ok());
    assert_eq!(denied(world.admit(0, "call-12")), refused);
    assert_eq!(denied(world.admit(0, "call-3")), Reason::CallEnded.into());
    let one = format!("{:?}", world.release(0, "call-3", Some(9)));
    assert_eq!(one, format!("{:?}", world.release(0, "call-3", None)));
    assert_eq!(world.hub.account_use(organization(), sub_account(0)).live, 10);
}

#[test]
fn floors_are_kept_and_spare_is_shared_under_one_total() {
    let accounts = [account(0, 3, Some(6)), account(1, 2, Some(2)), account(2, 0, None)];
    let world = World::new(8, &accounts);
    let admitted = |number, count| {
        (0..count).filter(|call| world.admit(number, &format!("{number}-{call}")).is_ok()).count()
    };
    assert_eq!(admitted(2, 9), 3);
    let organization_full = Denial::NoSlot { scope: Scope::Organization, limit: 8, in_use: 3 };
    assert_eq!(denied(world.admit(2, "one-more")), organization_full);
    assert_eq!(admitted(0, 9), 3);
    assert_eq!(admitted(1, 9), 2);
    world.release(2, "2-0", None);
    assert!(world.admit(0, "0-x").is_ok());
    world.release(1, "1-0", None);
    assert!(matches!(
        denied(world.admit(0, "0-y")),
        Denial::NoSlot { scope: Scope::Organization, limit: 8, .. }
    ));
    assert!(world.admit(1, "1-x").is_ok());
    let concurrency = done(world.engine.concurrency(&world.account(2))).expect("known");
    assert_eq!((concurrency.in_use, concurrency.organization_in_use), (2, 8));
    assert_eq!((concurrency.limit, concurrency.remaining), (None, 0));
}

#[test]
fn idle_slots_above_a_floor_are_recalled_for_a_sibling() {
    let world = World::new(10, &[account(0, 0, None), account(1, 0, None)]);
    for call in 0..10 {
        world.admit(0, &format!("a-{call}")).expect("a slot");
    }
    assert!(world.admit(1, "b").is_err());
    for call in 0..10 {
        world.release(0, &format!("a-{call}"), None);
    }
    for call in 0..10 {
        world.admit(1, &format!("b-{call}")).expect("a recalled slot");
    }
    assert!(world.admit(0, "a").is_err());
}

#[test]
fn money_admits_as_many_calls_as_it_can_hold_and_a_release_returns_the_rest() {
    let world =
        World::new(100, &[AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 9, Some(9)) }]);
    let refused = denied(world.admit(0, "poor"));
    assert!(
        matches!(refused, Denial::InsufficientBalance { required, .. } if required == amount("1.2"))
    );
    assert_eq!(world.account(0).slots.now().used, 0);
    world.publish(wallet(sub_account(0), "20", 1));
    world.publish(wallet(sub_account(0), "20", 1));
    for (call_id, seconds, is_final) in
        [("a", 300, false), ("b", 300, false), ("c", 300, false), ("d", 60, true)]
    {
        let grant = world.admit(0, call_id).expect("money");
        assert_eq!(
            (grant.granted_s(), grant.lease.is_final(), grant.is_billed()),
            (Some(seconds), is_final, true)
        );
    }
    assert_eq!(denied(world.admit(0, "e")).reason(), Reason::InsufficientBalance);
    assert_eq!(world.account(0).slots.now().used, 4);
    assert_eq!(world.hub.wallet_use(organization(), sub_account(0)).held, amount("19.2"));
    assert_eq!(cost(&world.release(0, "a", Some(61))), amount("2.4"));
    assert_eq!(world.free(0), amount("4.4"));
    assert_eq!(cost(&world.release(0, "b", Some(0))), Amount::ZERO);
    assert_eq!(world.free(0), amount("10.4"));
    // Beyond hold and wallet: the rest is debt.
    let view = world.release(0, "c", Some(3_600));
    let CallView::Ended(record) = view else { panic!("live") };
    assert_eq!((record.cost, record.debt), (amount("72"), amount("55.6")));
    assert_eq!(world.free(0), Amount::ZERO);
}

#[test]
fn a_renew_extends_lease_and_grant_and_says_final_at_the_end_of_the_money() {
    let world =
        World::new(9, &[AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 9, Some(9)) }]);
    world.publish(wallet(sub_account(0), "8.4", 1));
    let grant = world.admit(0, "a").expect("money");
    assert_eq!(grant.granted_s(), Some(300));
    let account = world.account(0);
    done(world.engine.answer(&account, "a", clock::now_us())).expect("live");
    let renew = |token| {
        done(world.engine.renew(
            &account,
            &Renew { call_id: "a", token, requested_s: None },
            clock::now_us(),
        ))
    };
    let token = world.engine.token(&grant);
    let renewed = renew(Some(token.as_str())).expect("live");
    // One second has started, and 300 more are wanted: 360 in whole increments, 7.20 of 8.40.
    assert_eq!((renewed.granted_s(), renewed.lease.is_final()), (Some(301), false));
    assert!(
        matches!(renew(Some("forged")), Err(Refusal::Denied(denial)) if denial.reason() == Reason::Forbidden)
    );
    world.engine.flush().expect("recorded");
    assert_eq!(world.free(0), amount("1.2"));
    world.release(0, "a", Some(10));
    assert!(matches!(renew(None), Err(Refusal::Ended(_))));
}

#[test]
fn a_lease_that_runs_out_frees_the_slot_and_one_late_release_corrects_the_charge() {
    let directory = tempfile::tempdir().expect("a directory");
    let accounts = [AccountConfig { pricing: Some(flat(1, 1)), ..account(0, 1, Some(1)) }];
    let settings = Settings { call_lease_s: 0, ..Settings::default() };
    let world = World::open(directory, 9, &accounts, settings);
    world.publish(wallet(sub_account(0), "100", 1));
    world.admit(0, "lost").expect("a slot");
    assert!(world.admit(0, "next").is_err());
    let second = clock::second_of(clock::now_us());
    while clock::second_of(clock::now_us()) <= second + 1 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    world.engine.expire();
    let view = done(world.engine.look_up(&world.account(0), "lost")).expect("remembered");
    assert!(matches!(&view, CallView::Ended(record) if record.cause == Cause::Expiry));
    assert_eq!((cost(&view), world.free(0)), (Amount::ZERO, amount("100")));
    world.admit(0, "next").expect("the slot is back");
    world.release(0, "next", None);
    assert_eq!(cost(&world.release(0, "lost", Some(50))), amount("1"));
    assert_eq!(cost(&world.release(0, "lost", Some(99))), amount("1"));
    assert_eq!(world.free(0), amount("99"));
    assert_eq!(world.hub.wallet_use(organization(), sub_account(0)).spent, amount("1"));
}

#[test]
fn keys_open_their_own_accounts_and_nothing_else() {
    let world = World::new(9, &[account(0, 1, Some(1)), account(1, 1, Some(1))]);
    let other = AccountId::new(AccountKind::Organization, ulid(2));
    let stranger = AccountConfig { organization: other, ..account(5, 1, Some(1)) };
    world.publish(Change::Account(stranger));
    let hash = KeyHash::of(b"secret");
    let before = world.engine.key_generation();
    let (scope, organization) = (KeyScope::Account(sub_account(0)), Some(organization()));
    world.publish(Change::Key { hash, scope, organization, expires_us: Some(7) });
    assert_eq!(world.engine.authenticate(b"secret"), Some(OpenKey { scope, expires_us: 7 }));
    assert_eq!(world.engine.authenticate(b"wrong"), None);
    assert!(world.engine.key_generation() > before);
    let opens = |scope, named| world.engine.account(scope, named).map(|account| account.id);
    let own = KeyScope::Account(sub_account(0));
    assert_eq!(opens(own, None), Ok(sub_account(0)));
    assert_eq!(opens(own, Some(sub_account(0))), Ok(sub_account(0)));
    assert_eq!(opens(own, Some(sub_account(1))), Err(Reason::UnknownAccount.into()));
    let all = KeyScope::Organization(self::organization());
    assert_eq!(opens(all, Some(sub_account(1))), Ok(sub_account(1)));
    assert_eq!(opens(all, Some(sub_account(5))), Err(Reason::UnknownAccount.into()));
    assert_eq!(opens(KeyScope::Operator, Some(sub_account(5))), Ok(sub_account(5)));
    assert!(matches!(opens(KeyScope::Operator, None), Err(Denial::InvalidRequest(_))));
    world.publish(Change::KeyGone { hash, organization });
    assert_eq!(world.engine.authenticate(b"secret"), None);
}

#[test]
fn a_test_key_acts_on_a_shadow_outside_total_and_money() {
    let world =
        World::new(2, &[AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 2, Some(2)) }]);
    world.publish(wallet(sub_account(0), "100", 1));
    let scope = KeyScope::Account(sub_account(0)).shadow();
    let shadow = world.engine.account(scope, None).expect("a shadow");
    let admit = |call_id| world.admit_as(&shadow, &Admit { call_id, ..Admit::default() });
    assert!(!admit("a").expect("a slot").is_billed());
    admit("b").expect("a slot");
    assert!(matches!(
        denied(admit("c")),
        Denial::NoSlot { scope: Scope::Account, limit: 2, in_use: 2 }
    ));
    assert!(!world.admit(0, "a").expect("a real slot").duplicate);
    assert_eq!(world.free(0), amount("94"));
    let concurrency = done(world.engine.concurrency(&world.account(0))).expect("known");
    assert_eq!(concurrency.organization_in_use, 1);
}

#[test]
fn a_suspended_account_a_lowered_limit_and_a_deleted_account_start_nothing_new() {
    let world = World::new(9, &[account(0, 3, Some(3))]);
    for call_id in ["a", "b", "c"] {
        world.admit(0, call_id).expect("a slot");
    }
    world.publish(Change::Account(AccountConfig { version: 2, ..account(0, 1, Some(1)) }));
    world.release(0, "a", None);
    assert!(matches!(denied(world.admit(0, "d")), Denial::NoSlot { limit: 1, in_use: 2, .. }));
    world.release(0, "b", None);
    world.release(0, "c", None);
    world.admit(0, "d").expect("below the new limit");
    let suspended =
        AccountConfig { version: 3, status: Status::Suspended, ..account(0, 3, Some(3)) };
    world.publish(Change::Account(suspended));
    assert_eq!(denied(world.admit(0, "e")), Reason::Suspended.into());
    assert!(world.admit(0, "d").expect("live").duplicate);
    world.publish(Change::Account(AccountConfig { version: 4, ..account(0, 3, Some(3)) }));
    world.admit(0, "e").expect("reactivated");
    let account = world.account(0);
    world.publish(Change::AccountGone { id: sub_account(0), organization: organization() });
    let view = done(world.engine.look_up(&account, "e")).expect("remembered");
    assert!(matches!(view, CallView::Ended(record) if record.cause == Cause::Deleted));
    // Its organization can still release what it had; nobody can begin anything.
    let (own, stranger) = (organization(), AccountId::new(AccountKind::Organization, ulid(2)));
    let named = Some(sub_account(0));
    assert!(world.engine.account(KeyScope::Organization(own), named).is_err());
    let departed = |scope| world.engine.departed(scope, named).is_some();
    assert!(departed(KeyScope::Organization(own)) && departed(KeyScope::Operator));
    assert!(!departed(KeyScope::Organization(stranger)));
    assert!(!departed(KeyScope::Account(sub_account(0))));
    assert!(!departed(KeyScope::Organization(own.shadow())), "a test key has its shadow's calls");
    let receipt = world.engine.departed(KeyScope::Operator, named).expect("remembered");
    let call = Release { call_id: "e", token: None, outcome: None, billable_s: None, costs: None };
    let released = world.engine.release(&receipt, &call, clock::now_us());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let view = runtime.block_on(released).expect("its receipt");
    assert!(matches!(view, CallView::Ended(record) if record.cause == Cause::Deleted));
}

#[test]
fn calls_per_second_are_limited_and_a_duplicate_costs_no_token() {
    let world = World::new(9, &[AccountConfig { cps_limit: Some(2), ..account(0, 9, Some(9)) }]);
    world.admit(0, "a").expect("a token");
    world.admit(0, "b").expect("a token");
    let denial = denied(world.admit(0, "c"));
    assert!(matches!(denial, Denial::RateLimited { limit: 2, retry_after_s: 1 }));
    assert!(world.admit(0, "a").expect("no token").duplicate);
}

#[test]
fn two_complete_lists_free_what_they_do_not_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings { reconcile_gap_s: 0, ..Settings::default() };
    let world = World::open(directory, 9, &[account(0, 9, Some(9))], settings);
    let account = world.account(0);
    for (call_id, source) in [("a", "kam"), ("b", "kam"), ("c", "other")] {
        let call = Admit { call_id, source, ..Admit::default() };
        world.admit_as(&account, &call).expect("a slot");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let reconcile = |live: &[&'static str], complete| {
        let list = Reconcile { source: "kam", live: live.to_vec(), complete };
        let done = runtime.block_on(world.engine.reconcile(&account, &list)).expect("done");
        world.engine.flush().expect("recorded");
        (done.renewed, done.freed, done.missing, done.unknown)
    };
    assert_eq!(reconcile(&[], true), (0, 0, 0, 0));
    assert_eq!(reconcile(&["a"], false), (1, 0, 0, 0));
    assert_eq!(reconcile(&["a", "ghost"], true), (1, 0, 1, 1));
    assert_eq!(reconcile(&["a", "b"], true), (2, 0, 0, 0));
    assert_eq!(reconcile(&["a"], true), (1, 0, 1, 0));
    assert_eq!(reconcile(&["a"], true), (1, 1, 0, 0));
    assert_eq!(account.slots.now().used, 2);
}

#[test]
fn a_restart_keeps_calls_holds_and_receipts_and_holds_nothing_else_back() {
    let accounts = [AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 3, Some(3)) }];
    let world = World::new(9, &accounts);
    world.publish(wallet(sub_account(0), "13.2", 1));
    world.admit(0, "a").expect("a slot");
    world.admit(0, "b").expect("a slot");
    let receipt = format!("{:?}", world.release(0, "a", Some(30)));
    let world = world.restart(9, &accounts);
    world.publish(wallet(sub_account(0), "13.2", 1));
    assert_eq!(world.account(0).slots.now().used, 1);
    assert!(world.admit(0, "b").expect("live").duplicate);
    assert_eq!(receipt, format!("{:?}", world.release(0, "a", None)));
    assert_eq!(world.hub.wallet_use(organization(), sub_account(0)).spent, amount("1.2"));
    world.admit(0, "c").expect("money for five minutes is still there");
    assert!(world.admit(0, "d").is_err());
}

#[test]
fn parallel_admits_of_one_call_take_one_slot() {
    let world = World::new(9, &[account(0, 4, Some(4))]);
    let account = world.account(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                for call in 0..200 {
                    let call_id = format!("call-{call}");
                    let call = Admit { call_id: &call_id, ..Admit::default() };
                    if runtime
                        .block_on(world.engine.admit(&account, &call, clock::now_us()))
                        .is_ok()
                    {
                        let release = Release {
                            call_id: &call_id,
                            token: None,
                            outcome: None,
                            billable_s: None,
                            costs: None,
                        };
                        done(world.engine.release(&account, &release, clock::now_us()))
                            .expect("known");
                    }
                    world.engine.flush().expect("recorded");
                }
            });
        }
    });
    world.engine.flush().expect("recorded");
    assert_eq!(account.slots.now().used, 0);
    assert_eq!(world.hub.account_use(organization(), sub_account(0)).live, 0);
    world.hub.check().expect("invariants");
}
