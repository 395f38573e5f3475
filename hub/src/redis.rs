//! The hub's shared state in Redis or Valkey: 256 logical shards, each changed by one script call at
//! a time. Never decides anything itself: what a shard answers is defined by `hub::state`.

pub mod connect;
