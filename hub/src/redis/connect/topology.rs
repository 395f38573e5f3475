//! Which server has a shard, where that can change: behind sentinels and in a cluster. Never calls a
//! script.

pub(super) mod cluster;
pub(super) mod sentinel;
