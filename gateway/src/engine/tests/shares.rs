//! Calls that share what is left of a wallet: how long each may last, to the second.

use hub::clock::SECOND_US;
use hub::directory::AtZero;

use super::*;

/// A wallet of so many minutes at one micro-unit a second.
fn minutes(config: AccountConfig, minutes: i64) -> World {
    let minute = Amount::from_micros(60);
    let rate = Rate::new(minute, 1, 1, Amount::ZERO, Amount::ZERO).expect("a rate");
    let config = AccountConfig { pricing: Some(Pricing::Flat(rate)), ..config };
    let world = World::new(9, &[config]);
    world.publish(Change::Wallet(WalletConfig {
        owner: sub_account(0),
        organization: organization(),
        currency: Currency::INR,
        escrow: Amount::from_micros(60 * minutes),
        sequence: 1,
        posted: Amount::ZERO,
    }));
    world
}

/// A clock that stands still between two questions, so that seconds are exact.
struct Clock<'w> {
    world: &'w World,
    start_us: i64,
}

type Granted = (u32, bool);

impl Clock<'_> {
    fn of(world: &World) -> Clock<'_> {
        Clock { world, start_us: clock::now_us() }
    }

    fn at(&self, second: i64) -> i64 {
        self.start_us + second * SECOND_US
    }

    /// Seconds granted, and whether that is all.
    fn admit(&self, second: i64, call_id: &str, lease_s: Option<u32>) -> Granted {
        let call = Admit { call_id, lease_s, ..Admit::default() };
        let account = self.world.account(0);
        let grant = done(self.world.engine.admit(&account, &call, self.at(second)));
        granted(&grant.expect("admitted"))
    }

    fn renew(&self, second: i64, call_id: &str) -> Option<Granted> {
        let renew = Renew { call_id, token: None, requested_s: None };
        let account = self.world.account(0);
        match done(self.world.engine.renew(&account, &renew, self.at(second))) {
            Ok(grant) => Some(granted(&grant)),
            Err(Refusal::Ended(_)) => None,
            Err(Refusal::Denied(denial)) => panic!("{denial:?}"),
        }
    }
}

fn granted(grant: &Grant) -> Granted {
    (grant.granted_s().expect("billed"), grant.lease.is_final())
}

#[test]
fn two_calls_on_two_minutes_end_both_after_one_to_the_second() {
    let world = minutes(account(0, 9, Some(9)), 2);
    let clock = Clock::of(&world);
    assert_eq!(clock.admit(0, "a", None), (60, false), "a half: there may be another call");
    assert_eq!(clock.admit(0, "b", None), (60, true), "nothing is left");
    assert_eq!(clock.renew(30, "a"), Some((60, true)));
    assert_eq!(clock.renew(60, "b"), Some((60, true)), "its last second");
    assert_eq!(clock.renew(61, "a"), None);
    assert_eq!(clock.renew(61, "b"), None);
    assert_eq!(denied(world.admit(0, "c")).reason(), Reason::InsufficientBalance);
    for call_id in ["a", "b"] {
        assert_eq!(cost(&world.release(0, call_id, Some(60))).micros(), 60);
    }
    assert_eq!(world.free(0), Amount::ZERO);
}

#[test]
fn who_cannot_renew_has_all_that_is_left_and_who_can_ends_with_it() {
    let world = minutes(account(0, 9, Some(9)), 3);
    let clock = Clock::of(&world);
    assert_eq!(clock.admit(0, "renews", None), (90, false));
    assert_eq!(clock.admit(0, "cannot", Some(600)), (90, true));
    assert_eq!(clock.renew(30, "renews"), Some((90, true)));
    assert_eq!(clock.renew(91, "renews"), None);
}

#[test]
fn grants_shrink_as_siblings_start_and_renewals_grow_as_they_end() {
    let world = minutes(account(0, 9, Some(9)), 4);
    let clock = Clock::of(&world);
    assert_eq!(clock.admit(0, "a", None), (120, false));
    assert_eq!(
        clock.admit(0, "b", None),
        (60, false),
        "a third of the rest is less than is of use"
    );
    assert_eq!(clock.renew(30, "b"), Some((90, false)));
    assert_eq!(clock.renew(30, "a"), Some((120, false)), "what is granted is not taken back");
    world.release(0, "b", Some(40));
    assert_eq!(clock.renew(60, "a"), Some((130, false)), "it has the half of what is left");
    assert_eq!(clock.renew(120, "a"), Some((180, false)));
    assert_eq!(clock.renew(150, "a"), Some((200, true)), "all that the wallet has left for it");
    assert_eq!(clock.renew(201, "a"), None);
    assert_eq!(cost(&world.release(0, "a", Some(200))).micros(), 200);
    assert_eq!(world.free(0), Amount::ZERO);
}

#[test]
fn money_that_suffices_for_all_is_not_shared() {
    let world = minutes(account(0, 9, Some(9)), 16);
    let clock = Clock::of(&world);
    for call_id in ["a", "b", "c"] {
        assert_eq!(clock.admit(0, call_id, None), (300, false));
    }
    assert_eq!(clock.admit(0, "d", None), (60, true));
}

#[test]
fn calls_of_an_account_that_finishes_them_go_on_without_money_and_are_debt() {
    let config = AccountConfig { at_zero: AtZero::Finish, ..account(0, 9, Some(9)) };
    let world = minutes(config, 1);
    let clock = Clock::of(&world);
    assert_eq!(clock.admit(0, "a", None), (60, true));
    assert_eq!(clock.renew(30, "a"), Some((330, false)), "it goes on");
    assert_eq!(clock.renew(90, "a"), Some((390, false)));
    assert_eq!(denied(world.admit(0, "b")).reason(), Reason::InsufficientBalance, "nobody new");
    let CallView::Ended(record) = world.release(0, "a", Some(100)) else { panic!("live") };
    assert_eq!((record.cost.micros(), record.debt.micros()), (100, 40));
    assert_eq!(world.free(0), Amount::ZERO);
}

/// The account's month is spent, or no longer.
fn over_budget(world: &World, version: u64, is_over_budget: bool, at_zero: AtZero) {
    let account = world.account(0);
    let charging = account.terms().charging.clone();
    let crate::accounts::Charging::Flat(pins) = charging else { panic!("one rate") };
    let pricing = Some(Pricing::Flat(pins.rate));
    let config = AccountConfig { version, is_over_budget, at_zero, ..self::account(0, 9, Some(9)) };
    world.publish(Change::Account(AccountConfig { pricing, ..config }));
}

#[test]
fn a_spent_budget_refuses_new_calls_and_ends_live_ones_as_the_account_says() {
    let world = minutes(account(0, 9, Some(9)), 600);
    let clock = Clock::of(&world);
    assert_eq!(clock.admit(0, "a", None), (300, false));
    assert_eq!(clock.admit(0, "b", None), (300, false));
    over_budget(&world, 2, true, AtZero::End);
    let free = world.free(0);
    assert_eq!(denied(world.admit(0, "c")), Denial::BudgetSpent);
    assert_eq!(clock.renew(30, "a"), Some((300, true)), "what it holds is its own");
    assert_eq!(world.free(0), free, "nothing more is held");
    over_budget(&world, 3, true, AtZero::Finish);
    assert_eq!(clock.renew(30, "a"), Some((330, false)));
    over_budget(&world, 4, false, AtZero::End);
    assert_eq!(clock.renew(60, "b"), Some((360, false)));
    assert_eq!(clock.admit(60, "c", None), (300, false), "a new month");
}
