//! Many calls at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::{Account, Client, Running, pause};

use crate::sipp::{Callers, Sipp};
use crate::{SOON, installation, proxy, wait_until_idle};

const CALLS: u32 = 1_000;
const PER_SECOND: u32 = 100;
const LIMIT: u32 = 80;
const TALK: Duration = Duration::from_millis(900);

#[test]
fn a_thousand_calls_at_a_hundred_per_second_never_use_more_than_eighty_slots() {
    let running = installation().start();
    let account = Account::limited(&running, "busy", LIMIT);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);

    let over = AtomicBool::new(false);
    let (heard, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&running, &account, &over));
        let heard =
            Callers { calls: CALLS, per_second: PER_SECOND, talk: TALK, ..Callers::default() }
                .call(proxy.address)
                .finish();
        over.store(true, Ordering::Relaxed);
        (heard, watch.join().expect("the watch does not panic"))
    });
    let count = |start: &str| heard.iter().filter(|line| line.starts_with(start)).count();
    let (answered, refused) = (count("answered"), count("refused 486 "));
    assert_eq!(answered + refused, CALLS as usize);
    assert_eq!(count("hung up"), answered, "every admitted call ended as scripted");
    assert!(answered > LIMIT as usize && refused > 0, "{answered} answered, {refused} refused");
    assert!(most.seen <= u64::from(LIMIT) && most.measured <= u64::from(LIMIT), "{most:?}");
    assert!(most.seen > u64::from(LIMIT) / 2, "the watch saw the load: {most:?}");

    wait_until_idle(&running, &account, SOON);
    assert_eq!(measured(&mut running.ops()), 0);
    println!("{answered} admitted, {refused} refused, at most {most:?} live");
}

/// The most live calls, by the gateway's answer and by its metrics.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    seen: u64,
    measured: u64,
}

fn watch(running: &Running, account: &Account, over: &AtomicBool) -> Most {
    let (mut gateway, mut ops) = (running.gateway(&account.key), running.ops());
    let mut most = Most::default();
    while !over.load(Ordering::Relaxed) {
        let concurrency = gateway.get("/v1/concurrency").expect(200);
        most.seen = most.seen.max(concurrency["in_use"].as_u64().expect("a number"));
        most.measured = most.measured.max(measured(&mut ops));
        pause(Duration::from_millis(20));
    }
    most
}

/// `ringfence_calls_live`, all series added.
fn measured(ops: &mut Client) -> u64 {
    let metrics = ops.get("/metrics").text();
    let series = metrics.lines().filter(|line| line.starts_with("ringfence_calls_live"));
    let values: Vec<&str> = series.filter_map(|line| line.rsplit(' ').next()).collect();
    assert!(!values.is_empty(), "no ringfence_calls_live in\n{metrics}");
    values.iter().map(|value| value.parse::<u64>().expect("a whole number")).sum()
}
