//! What end-to-end tests share: a real `ringfence` process, a plain HTTP client, waiting, and the
//! history checker. Knows the wire contract only, none of the product's code.

pub mod account;
pub mod command;
pub mod history;
pub mod http;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod relay;
pub mod tls;
pub mod wait;

pub use account::{Account, Organization};
pub use http::{Client, Response};
pub use process::{Installation, Running};
pub use wait::{Nanos, now, pause, say, wait_until};
