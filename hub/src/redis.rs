//! The hub's shared state in Redis or Valkey: 256 logical shards, each changed by one script call at
//! a time. Never decides anything itself: what a shard answers is defined by `hub::state`, and the
//! scripts are proven equal to it.

pub mod connect;
pub mod decode;
pub mod encode;
pub mod hub;
pub mod keys;
mod pack;
pub mod scripts;

#[cfg(test)]
mod tests;
