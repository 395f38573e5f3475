//! What carries a script call to the right server and brings its answer back: settings, sockets,
//! connections, the three topologies, wake-ups, and what is wrong with a server. Knows nothing of
//! what the scripts do; never tries a call again that may have been applied.
//!
//! Built on redis-rs's multiplexed connection over sockets of our own. Its connection manager,
//! sentinel and cluster clients are not used: they neither close the connection of an abandoned
//! call, nor say which server answered, nor tell what was never sent from what may have happened.

mod backoff;
mod breaker;
mod channel;
mod connection;
mod dial;
mod inspect;
mod link;
mod news;
mod script;
mod server;
mod servers;
mod setting;
mod socket;
mod timing;
mod tls;
mod topology;
mod trouble;

pub use channel::channel;
pub use connection::Connection;
pub use inspect::{Finding, Severity};
pub use news::{News, Shards};
pub use script::{Script, slot};
pub use servers::{Answer, Options, Servers};
pub use setting::{Address, Login, Setting, SettingError, Topology};
pub use timing::Timing;
pub use tls::CertificateError;
pub use trouble::{Lost, Trouble};
