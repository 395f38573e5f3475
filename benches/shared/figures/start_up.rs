//! How long a gateway takes to be ready with 100,000 accounts that the hub has, and what it weighs with
//! those and with a million. Accounts are published as a control plane does it, straight into the hub.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use benches::client::exchange;
use benches::clock::monotonic_ns;
use benches::in_process::names;
use benches::{processor, program, wait};
use hub::clock::now_us;
use hub::directory::{Change, TokenKey};
use hub::redis::connect::{Options, Setting, Timing};
use hub::redis::encode::Beginning;
use hub::redis::hub::RedisHub;
use hub::state::exchange::Begin;
use tempfile::TempDir;
use tokio::runtime::Builder;

use super::changes::milliseconds;
use crate::arguments::Arguments;
use crate::figure::{Figure, Row};
use crate::installation::Gateway;
use crate::redis::Redis;

const ACCOUNTS: u64 = 100_000;
const READY_S: f64 = 3.0;
const READY_MAX: Duration = Duration::from_mins(3);
const SLOTS: u32 = 10;
/// Changes published at once.
const CHANGES_MAX: usize = 1_000;
const MEBIBYTE: f64 = 1_048_576.0;

pub fn measure(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let many = starts(arguments, ACCOUNTS, arguments.runs)?;
    let most = starts(arguments, arguments.accounts_max, 1)?;
    let mut rows = shown(ACCOUNTS, &many);
    rows[0] = std::mem::replace(&mut rows[0], Row::new("", "", Vec::new())).at_most(READY_S);
    rows.extend(shown(arguments.accounts_max, &most));
    let asked = "a gateway starting with 100,000 accounts is ready in under 3 s, and 1,000,000 fit in memory";
    Ok(Figure::new(name, asked, rows))
}

/// One start: from the call that makes the process until its probe says ready.
struct Start {
    ready_s: f64,
    resident_bytes: f64,
}

fn shown(accounts: u64, starts: &[Start]) -> Vec<Row> {
    let row = |what: &str, unit, of: &dyn Fn(&Start) -> f64| {
        Row::new(format!("{accounts} accounts: {what}"), unit, starts.iter().map(of).collect())
    };
    vec![
        row("ready after", "s", &|start| start.ready_s),
        row("resident memory then", "MiB", &|start| start.resident_bytes / MEBIBYTE),
    ]
}

fn starts(arguments: &Arguments, accounts: u64, runs: u32) -> io::Result<Vec<Start>> {
    let directory = tempfile::tempdir()?;
    let redis = Redis::start(directory.path())?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(publish(&redis, accounts))?;
    (0..runs).map(|_| start(arguments, &redis, &directory)).collect()
}

fn start(arguments: &Arguments, redis: &Redis, directory: &TempDir) -> io::Result<Start> {
    let program = program::find(arguments.bin_dir.as_deref(), "ringfence")?;
    let from_ns = monotonic_ns();
    let gateway = Gateway::start(&program, redis.address(), directory.path())?;
    // It listens when it has all configuration, and is ready when the hub has answered it.
    wait::until("the gateway is ready", READY_MAX, || {
        Ok(exchange(gateway.ops, "GET", "/readyz", "", None)?.status == 200)
    })?;
    let ready_s = milliseconds(monotonic_ns() - from_ns) / 1e3;
    let resident_bytes = processor::resident_bytes(gateway.server.pid())?;
    gateway.server.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "shown in mebibytes")]
    let resident_bytes = resident_bytes as f64;
    Ok(Start { ready_s, resident_bytes })
}

/// Begins every shard and publishes its accounts, each with a key of its own.
async fn publish(redis: &Redis, accounts: u64) -> io::Result<()> {
    let setting: Setting =
        format!("redis://{}", redis.address()).parse().map_err(io::Error::other)?;
    // A machine that is busy may take its time for this: it is not what is measured.
    let timing = Timing { response: READY_MAX, ..Timing::default() };
    let options = Options { timing, ..Options::default() };
    let hub = RedisHub::start(setting, &options).map_err(io::Error::other)?;
    let mut shards: BTreeMap<u8, Vec<Change>> = BTreeMap::new();
    let mut add = |change: Change| shards.entry(change.shard()).or_default().push(change);
    add(Change::TokenKey(TokenKey(rand::random())));
    for account in 0..accounts {
        if account % names::ACCOUNTS_PER_ORGANIZATION == 0 {
            add(names::organization_change(account));
        }
        add(names::account_change(account, Some(SLOTS), Some(names::rate())));
        add(names::key_change(account));
    }
    for (shard, changes) in shards {
        let begin = Begin {
            incarnation: 1,
            holders: Vec::new(),
            learn_min_ms: 0,
            learn_max_ms: 0,
            call_lease_s: 90,
            clock_ms: u64::try_from(now_us() / 1_000).unwrap_or(0),
            clock_seen_ms: 0,
        };
        let beginning = Beginning { begin, configuration: Vec::new() };
        hub.begin(shard, &beginning).await.map_err(io::Error::other)?;
        let mut parts = changes.chunks(CHANGES_MAX).peekable();
        while let Some(part) = parts.next() {
            hub.republish(shard, 1, part, parts.peek().is_none())
                .await
                .map_err(io::Error::other)?;
        }
    }
    Ok(())
}
