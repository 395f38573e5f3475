//! The scripts, one per operation. What several share stands in front of them once, put together when
//! this is compiled. A script that fails has written nothing: each checks its argument, computes in
//! memory, and writes at the end.

use std::sync::LazyLock;

use crate::redis::connect::Script;

macro_rules! script {
    ($flags:literal, $($part:literal),+) => {
        concat!(
            "#!lua", $flags, "\n",
            include_str!("scripts/shared/memory.lua"),
            include_str!("scripts/shared/arguments.lua"),
            include_str!("scripts/shared/holders.lua"),
            include_str!("scripts/shared/stream.lua"),
            include_str!("scripts/shared/directory.lua"),
            $(include_str!(concat!("scripts/", $part, ".lua"))),+
        )
    };
    ($flags:literal; all; $part:literal) => {
        script!(
            $flags,
            "shared/batches", "shared/counters", "shared/leasing", "shared/wallets", "shared/calls",
            "shared/departure", "shared/configuration", $part
        )
    };
}

/// Without a flag: refused whole where memory or replicas are missing.
pub const EXCHANGE: &str = script!(""; all; "exchange");
pub const BEGIN: &str = script!(""; all; "begin");
pub const PUBLISH: &str = script!(""; all; "publish");
pub const CONFIRM: &str = script!("", "confirm");
/// Frees memory, so it also runs where there is none left.
pub const ACKNOWLEDGE: &str = script!(" flags=allow-oom", "acknowledge");
/// As [`ACKNOWLEDGE`].
pub const FORGET: &str = script!(" flags=allow-oom"; all; "forget");
/// As [`ACKNOWLEDGE`].
pub const SWEEP: &str = script!(" flags=allow-oom", "sweep");
pub const BURY: &str = script!(""; all; "bury");
pub const RECALL_MONEY: &str = script!(""; all; "recall-money");
pub const RECORDS: &str = script!(" flags=no-writes", "records");
pub const RECENT: &str = script!(" flags=no-writes", "recent");
pub const PAGE: &str = script!(" flags=no-writes", "page");
pub const STANDING: &str = script!(" flags=no-writes"; all; "standing");
pub const LIVE_CALLS: &str = script!(" flags=no-writes"; all; "live-calls");
pub const ACCOUNT_USE: &str = script!(" flags=no-writes"; all; "account-use");
pub const WALLET_USE: &str = script!(" flags=no-writes"; all; "wallet-use");

/// Commands that the scripts use on keys.
pub const COMMANDS: &[&str] = &[
    "DEL",
    "HDEL",
    "HGET",
    "HGETALL",
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
