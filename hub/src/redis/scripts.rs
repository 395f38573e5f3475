//! The scripts, one per operation. What several share stands in front of them once, put together when
//! this is compiled. A script that fails has written nothing: each checks its argument, computes in
//! memory, and writes at the end.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($flags:literal, $($part:literal),+) => {
        concat!(
            "#!lua", $flags, "\n",
            include_str!("scripts/shared/memory.lua"),
            include_str!("scripts/shared/arguments.lua"),
            include_str!("scripts/shared/holders.lua"),
            include_str!("scripts/shared/stream.lua"),
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
pub const CONFIGURE: &str = script!(""; all; "configure");
pub const CONFIRM: &str = script!("", "confirm");
/// Frees memory, so it also runs where there is none left.
pub const ACKNOWLEDGE: &str = script!(" flags=allow-oom", "acknowledge");
/// As [`ACKNOWLEDGE`].
pub const FORGET: &str = script!(" flags=allow-oom"; all; "forget");
pub const BURY: &str = script!(""; all; "bury");
pub const RECORDS: &str = script!(" flags=no-writes", "records");

pub const HOLDERS: &str = script!(" flags=no-writes", "holders");

/// All of them, with their hashes.
#[derive(Debug)]
pub struct Scripts {
    pub exchange: Script,
    pub begin: Script,
    pub configure: Script,
    pub confirm: Script,
    pub acknowledge: Script,
    pub forget: Script,
    pub records: Script,
    pub bury: Script,
    pub holders: Script,
}

/// Hashed once.
pub static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    exchange: Script::new(EXCHANGE),
    begin: Script::new(BEGIN),
    configure: Script::new(CONFIGURE),
    confirm: Script::new(CONFIRM),
    acknowledge: Script::new(ACKNOWLEDGE),
    forget: Script::new(FORGET),
    records: Script::new(RECORDS),
    bury: Script::new(BURY),
    holders: Script::new(HOLDERS),
});
