//! The data plane: decides before a call starts whether it may, and frees and charges it at its end.
//! Knows neither axum nor SQL.

pub mod accounts;
pub mod admission;
pub mod answer;
pub mod counts;
pub mod decks;
pub mod directory;
pub mod engine;
pub mod http;
mod limiter;
pub mod link;
pub mod node;
pub mod refused;
pub mod reports;
pub mod request;
mod resources;
pub mod series;
pub mod sharing;
mod sync;
pub mod token;
