//! What both halves of Ringfence share: ids, money, accounts, denials, the hub's pure state machine
//! and its embedded form. Knows neither HTTP nor SQL.

pub mod allocation;
pub mod call;
pub mod call_table;
pub mod cap;
pub mod clock;
pub mod codec;
pub mod costs;
pub mod deck;
pub mod denial;
pub mod directory;
pub mod embedded;
pub mod id;
pub mod journal;
pub mod key;
pub mod money;
pub mod redis;
pub mod report;
pub mod shared;
pub mod state;
