//! The gateway's HTTP/1.1 side: sockets, requests, answers. Decides nothing about calls, and lets no
//! byte of an answer leave before the journal holds what it tells (`turn`).

pub mod answer;
mod batch;
mod body;
mod bytes;
mod check;
mod connection;
mod desk;
mod exchange;
mod field;
mod key;
pub mod lines;
mod listener;
pub mod operation;
mod outbox;
pub mod parameters;
mod router;
mod server;
mod session;
mod settings;
mod stream;
mod tally;
mod turn;
mod worker;

pub use router::Operation;
pub use server::Server;
pub use settings::{Settings, Tls};
pub use tally::{DURATION_BUCKETS, Tally};
