//! The end of a run: every slot free, nothing held, each call in the ledger once.

use std::time::Duration;

use serde_json::json;
use support::{Account, now, wait_until};

use crate::ledger;
use crate::report::Report;
use crate::stack::Notes;
use crate::story::End;
use crate::verdict::{Evidence, Terms, judge};
use crate::wire::{Said, ask};
use crate::world::{World, since};

const POSTED_MAX: Duration = Duration::from_mins(1);
/// Nothing is kept for lost holders so long after the last may have been lost, beyond a call lease.
const HELD_BEYOND_LEASE: Duration = Duration::from_secs(30);
/// Admits that are answered 503 are sent again, so often.
const TRIES_MAX: u32 = 20;

pub fn close(world: &mut World, report: &mut Report, notes: &Notes, tell: &dyn Fn(&str)) {
    let lease = Duration::from_secs(u64::from(report.settings.call_lease_s));
    world.wait_until_nothing_is_held(lease + HELD_BEYOND_LEASE);
    tell("no money is held any more");
    let finished = notes.stories.iter().filter(|it| matches!(it.end, End::Receipt(_))).count();
    let mut administrator = world.administrator();
    let account = world.account.clone();
    let from = now();
    let (mut posted, mut twice) = ledger::read(&mut administrator, &account);
    // What is missing after that is judged.
    while posted.len() < finished && since(from) < POSTED_MAX {
        support::pause(Duration::from_secs(1));
        (posted, twice) = ledger::read(&mut administrator, &account);
    }
    let evidence = Evidence {
        terms: Terms {
            limit: report.settings.limit,
            gateways: report.settings.gateways,
            call_lease_s: report.settings.call_lease_s,
        },
        notes,
        outcomes: &report.outcomes,
        healthy: &report.healthy,
        posted: &posted,
        posted_twice: &twice,
    };
    report.verdict = judge(&evidence);
    report.counts = notes.counts;
    report.wallet_spent_micros = spent(world, &account);
    tell("the ledger is read");
    report.slots_free = free_slots(world, report.settings.limit);
}

/// What is gone from the wallet.
fn spent(world: &World, account: &Account) -> i64 {
    let running = world.control_plane();
    let paid = support::account::micros(crate::world::MONEY);
    paid - account.wallet(running).balance
}

/// How many calls are admitted at once, over all gateways, before the first refusal; no more than the
/// limit is right, and no fewer. They are released again.
fn free_slots(world: &World, limit: u32) -> u32 {
    let mut clients: Vec<_> = (0..world.gateways.len()).map(|at| world.client(at)).collect();
    let mut admitted = 0;
    for number in 0..=limit {
        let at = usize::try_from(number).unwrap_or(0) % clients.len();
        let call = json!({"call_id": format!("last-{number}")});
        let admit = (0..TRIES_MAX).find_map(|_| {
            let asked = ask(&mut clients[at], "POST", "/v1/calls/admit", &call);
            (asked.said != Said::Away).then_some(asked.said)
        });
        admitted += u32::from(matches!(admit, Some(Said::Done(_))));
    }
    for number in 0..=limit {
        let call = json!({"call_id": format!("last-{number}")});
        wait_until("the last calls end", POSTED_MAX, || {
            let released = ask(&mut clients[0], "POST", "/v1/calls/release", &call).said;
            matches!(released, Said::Done(_) | Said::Unknown)
        });
    }
    admitted
}
