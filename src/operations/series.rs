//! Series of the whole process that are made from counters when they are scraped: admissions, calls,
//! slots, the hub. Reads only.

use std::collections::BTreeMap;

use gateway::counts::DurationCounts;
use gateway::engine::Engine;
use gateway::http::Tally;
use gateway::series::{family, histogram, sample};
use hub::money::Amount;

/// Everything that the engine counts.
pub fn write_engine(engine: &Engine, text: &mut String) {
    write_admissions(engine, text);
    write_slots(engine, text);
    write_holds(engine, text);
    write_hub(engine, text);
}

fn write_admissions(engine: &Engine, text: &mut String) {
    let name = "ringfence_admissions_total";
    family(text, name, "counter", "Answered admits, by outcome and by the reason of a denial.");
    let calls = engine.calls();
    sample(text, name, format_args!("outcome=\"admitted\",reason=\"\""), calls.admitted);
    for (reason, count) in engine.refusals.now() {
        let reason = reason.label();
        sample(text, name, format_args!("outcome=\"denied\",reason=\"{reason}\""), count);
    }
    let name = "ringfence_denials_unattributed_total";
    let help =
        "Refused admits that usage does not show: there were too many accounts to keep apart.";
    family(text, name, "counter", help);
    sample(text, name, format_args!(""), engine.refused.unattributed());
    let name = "ringfence_calls_live";
    family(text, name, "gauge", "Calls that are live now.");
    sample(text, name, format_args!(""), calls.live());
    let name = "ringfence_calls_released_total";
    family(text, name, "counter", "Ended calls, by what ended them.");
    for (cause, count) in calls.releases() {
        sample(text, name, format_args!("cause=\"{}\"", cause.label()), count);
    }
}

fn write_slots(engine: &Engine, text: &mut String) {
    let (mut used, mut idle, mut quarantined) = (0_u64, 0_u64, 0_u64);
    engine.directory().visit_accounts(|account| {
        let now = account.slots.now();
        let waiting = account.slots.quarantined();
        used += u64::from(now.used.saturating_sub(waiting));
        idle += u64::from(now.lease.saturating_sub(now.used));
        quarantined += u64::from(waiting);
    });
    let name = "ringfence_slots";
    let help =
        "Slots by state: used by a live call, leased and idle, or waiting for the hub's record.";
    family(text, name, "gauge", help);
    for (state, count) in [("used", used), ("idle", idle), ("quarantined", quarantined)] {
        sample(text, name, format_args!("state=\"{state}\""), count);
    }
    let name = "ringfence_unflushed_calls";
    family(text, name, "gauge", "Ended calls whose end the hub has not recorded yet.");
    sample(text, name, format_args!(""), quarantined);
}

fn write_holds(engine: &Engine, text: &mut String) {
    let mut holds: BTreeMap<_, Amount> = BTreeMap::new();
    engine.directory().visit_wallets(|wallet| {
        let Some(counted) = *wallet.counted.lock() else {
            return;
        };
        if let Some(hub) = engine.embedded() {
            let held = hub.wallet_use(counted.organization, counted.owner).held;
            let sum = holds.entry(counted.currency).or_default();
            *sum = sum.saturating_add(held);
        }
    });
    let name = "ringfence_wallet_holds";
    family(text, name, "gauge", "Money held for live calls, in major units.");
    for (currency, held) in holds {
        let labels = format_args!("currency=\"{currency}\"");
        sample(text, name, labels, held.in_currency(currency));
    }
}

fn write_hub(engine: &Engine, text: &mut String) {
    let up = u8::from(engine.hub_is_up());
    let name = "ringfence_hub_up";
    family(text, name, "gauge", "Whether the hub can be reached and records calls.");
    sample(text, name, format_args!(""), up);
    // An embedded hub's one holder leases from itself: it never has more calls than units.
    let mut beyond = 0_u64;
    engine.directory().visit_accounts(|account| {
        let now = account.slots.now();
        beyond += u64::from(now.used.saturating_sub(now.lease));
    });
    let name = "ringfence_overshoot";
    let help =
        "Live calls here without a slot of the hub's: of open accounts, or after a double fault.";
    family(text, name, "gauge", help);
    sample(text, name, format_args!(""), beyond);
    let name = "ringfence_hub_sync_duration_seconds";
    histogram(
        text,
        name,
        "Time of one flush to the hub's journal, or of one exchange with a shared hub.",
        &engine.syncs().now(),
    );
    write_regimes(engine, text);
}

fn write_regimes(engine: &Engine, text: &mut String) {
    let name = "ringfence_hub_regime";
    let help = "Accounts with slots here, by how those are leased; 1 where the hub is embedded.";
    family(text, name, "gauge", help);
    if engine.embedded().is_some() {
        return sample(text, name, format_args!("regime=\"embedded\""), 1);
    }
    let (mut fast, mut exact) = (0_u64, 0_u64);
    engine.directory().visit_accounts(|account| {
        if !account.credit.is_exact() {
            fast += 1;
        } else if account.slots.now().lease > 0 {
            exact += 1;
        }
    });
    sample(text, name, format_args!("regime=\"fast\""), fast);
    sample(text, name, format_args!("regime=\"exact\""), exact);
}

/// Everything that the HTTP side counts.
pub fn write_http(tally: &Tally, connections: usize, text: &mut String) {
    let name = "ringfence_admission_duration_seconds";
    let durations =
        DurationCounts { buckets: tally.admissions().to_vec(), sum_us: tally.admissions_us() };
    histogram(text, name, "Time from a read admit to its decision.", &durations);

    let name = "ringfence_connections_open";
    family(text, name, "gauge", "Open connections of the gateway.");
    sample(text, name, format_args!(""), connections);
    let name = "ringfence_connections_total";
    family(text, name, "counter", "Connections of the gateway, by what became of them.");
    for (end, count) in [
        ("opened", tally.connections_opened()),
        ("refused", tally.connections_refused()),
        ("timed_out", tally.connections_timed_out()),
        ("handshake_failed", tally.handshakes_failed()),
    ] {
        sample(text, name, format_args!("event=\"{end}\""), count);
    }
}
