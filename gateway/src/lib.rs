//! The data plane: decides before a call starts whether it may, and frees and charges it at its end.
//! Knows neither axum nor SQL.

pub mod answer;
pub mod engine;
pub mod http;
pub mod request;
