//! The scripts, one per operation. What several share stands in front of them once, put together when
//! this is compiled. A script that fails has written nothing: each checks its argument, computes in
//! memory, and writes at the end.
//!
//! Each part is a function that runs once and hands on the names given here. A script's definitions run at
//! each of its calls, and in one long chunk each function that uses a name of it searches all the names
//! that are in use by others: that took more than half of their time.

use std::sync::LazyLock;

use crate::redis::connect::Script;

/// A file that defines `names` for what follows.
macro_rules! chunk {
    ($file:literal, $names:literal) => {
        concat!(
            "local ",
            $names,
            " = (function()\n",
            include_str!(concat!("scripts/shared/", $file, ".lua")),
            "return ",
            $names,
            "\nend)()\n"
        )
    };
}

macro_rules! part {
    (memory) => {
        chunk!(
            "memory",
            "APPLIED, U32_MAX, VALUES_MAX, shard_key, prefix, text, in_parts, writers, lists, gone, \
             holders_of, organizations_of, counters_of, caps_of, wallets_of, calls_of, sets, sorted, \
             members_of, shard, wake, finish, open, second_of, second_after"
        )
    };
    (arguments) => {
        chunk!(
            "arguments",
            "malformed, checked, all_checked, sized, ACCOUNT_BYTES, HOLDER_BYTES, IDENTITY_BYTES, argument"
        )
    };
    (holders) => {
        chunk!("holders", "NOBODY, holders")
    };
    (stream) => {
        chunk!("stream", "stream")
    };
    (batches) => {
        chunk!("batches", "batches")
    };
    (counters) => {
        chunk!("counters", "counters, SHADOW_BIT, is_shadow, idle_units")
    };
    (caps) => {
        chunk!("caps", "caps, CAP_BYTES")
    };
    (leasing) => {
        chunk!("leasing", "parts")
    };
    (wallets) => {
        chunk!("wallets", "wallets, CONSOLIDATED")
    };
    (calls) => {
        chunk!("calls", "calls, account_of, KIND, LIVE, HOLDER, HOLD, TAKEN, BILLING, CAPS")
    };
    (departure) => {
        chunk!(
            "departure",
            "CLAIM_MAX_MS, leave_calls, leave_idle, give_up, reap, is_learning, end_learning"
        )
    };
    (configuration) => {
        chunk!("configuration", "configuration")
    };
    (directory) => {
        chunk!("directory", "directory")
    };
}

macro_rules! script {
    ($flags:literal, $operation:literal $(, $part:ident)*) => {
        concat!(
            "#!lua", $flags, "\n",
            part!(memory), part!(arguments), part!(holders), part!(stream),
            $(part!($part),)*
            "return (function()\n",
            include_str!(concat!("scripts/", $operation, ".lua")),
            "end)()\n"
        )
    };
    ($flags:literal; all; $operation:literal $(, $part:ident)*) => {
        script!(
            $flags, $operation, batches, counters, caps, leasing, wallets, calls, departure $(, $part)*
        )
    };
}

/// A script that has no part in the lease protocol.
macro_rules! apart {
    ($flags:literal, $operation:literal) => {
        concat!("#!lua", $flags, "\n", include_str!(concat!("scripts/", $operation, ".lua")))
    };
}

/// Without a flag: refused whole where memory or replicas are missing.
pub const EXCHANGE: &str = script!(""; all; "exchange");
pub const BEGIN: &str = script!(""; all; "begin", configuration, directory);
pub const PUBLISH: &str = script!(""; all; "publish", configuration, directory);
pub const CONFIRM: &str = script!("", "confirm");
/// Frees memory, so it also runs where there is none left.
pub const ACKNOWLEDGE: &str = script!(" flags=allow-oom", "acknowledge");
/// As [`ACKNOWLEDGE`].
pub const FORGET: &str = script!(" flags=allow-oom"; all; "forget");
/// As [`ACKNOWLEDGE`].
pub const SWEEP: &str = script!(" flags=allow-oom", "sweep", directory);
pub const BURY: &str = script!(""; all; "bury");
pub const RECALL_MONEY: &str = script!(""; all; "recall-money");
pub const RECORDS: &str = script!(" flags=no-writes", "records");
pub const RECENT: &str = script!(" flags=no-writes", "recent", directory);
pub const PAGE: &str = script!(" flags=no-writes", "page", directory);
pub const STANDING: &str = script!(" flags=no-writes"; all; "standing", directory);
pub const LIVE_CALLS: &str = script!(" flags=no-writes"; all; "live-calls");
pub const ACCOUNT_USE: &str = script!(" flags=no-writes"; all; "account-use");
pub const WALLET_USE: &str = script!(" flags=no-writes"; all; "wallet-use");
pub const REPORT: &str = apart!("", "report");
pub const REPORTS: &str = apart!(" flags=no-writes", "reports");
/// As [`ACKNOWLEDGE`].
pub const FORGET_REPORT: &str = apart!(" flags=allow-oom", "forget-report");

/// Commands that the scripts use on keys.
pub const COMMANDS: &[&str] = &[
    "DEL",
    "HDEL",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HSCAN",
    "HSET",
    "LINDEX",
    "LLEN",
    "LRANGE",
    "LTRIM",
    "RPUSH",
    "SADD",
    "SMEMBERS",
    "SREM",
    "ZADD",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "ZREM",
];

/// All of them, with their hashes.
#[derive(Debug)]
pub struct Scripts {
    pub exchange: Script,
    pub begin: Script,
    pub publish: Script,
    pub confirm: Script,
    pub acknowledge: Script,
    pub forget: Script,
    pub sweep: Script,
    pub bury: Script,
    pub recall_money: Script,
    pub records: Script,
    pub recent: Script,
    pub page: Script,
    pub standing: Script,
    pub live_calls: Script,
    pub account_use: Script,
    pub wallet_use: Script,
    pub report: Script,
    pub reports: Script,
    pub forget_report: Script,
}

/// Hashed once.
pub static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    exchange: Script::new("exchange", EXCHANGE),
    begin: Script::new("begin", BEGIN),
    publish: Script::new("publish", PUBLISH),
    confirm: Script::new("confirm", CONFIRM),
    acknowledge: Script::new("acknowledge", ACKNOWLEDGE),
    forget: Script::new("forget", FORGET),
    sweep: Script::new("sweep", SWEEP),
    bury: Script::new("bury", BURY),
    recall_money: Script::new("recall-money", RECALL_MONEY),
    records: Script::new("records", RECORDS),
    recent: Script::new("recent", RECENT),
    page: Script::new("page", PAGE),
    standing: Script::new("standing", STANDING),
    live_calls: Script::new("live-calls", LIVE_CALLS),
    account_use: Script::new("account-use", ACCOUNT_USE),
    wallet_use: Script::new("wallet-use", WALLET_USE),
    report: Script::new("report", REPORT),
    reports: Script::new("reports", REPORTS),
    forget_report: Script::new("forget-report", FORGET_REPORT),
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_commands_named_here_are_those_of_the_scripts() {
        let texts = [
            EXCHANGE,
            BEGIN,
            PUBLISH,
            CONFIRM,
            ACKNOWLEDGE,
            FORGET,
            SWEEP,
            BURY,
            RECALL_MONEY,
            RECORDS,
            RECENT,
            PAGE,
            STANDING,
            LIVE_CALLS,
            ACCOUNT_USE,
            WALLET_USE,
            REPORT,
            REPORTS,
            FORGET_REPORT,
        ];
        let words = texts.iter().flat_map(|text| text.split('\''));
        let is_command =
            |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        // Words of commands, and commands without a key.
        let others = ["BYLEX", "COUNT", "LIMIT", "INFO", "SPUBLISH"];
        let used: BTreeSet<_> =
            words.filter(is_command).filter(|word| !others.contains(word)).collect();
        assert_eq!(used, COMMANDS.iter().copied().collect());
    }
}
