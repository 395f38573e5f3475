//! The keys of one shard and what lies there. All begin with the hash tag `{rf:k}`, so that a shard is
//! in one place of a cluster and one script changes all of it.
//!
//! | after the tag | type | what |
//! |---|---|---|
//! | `shard` | hash | `protocol`, `seal`, and the shard's numbers in decimal: `incarnation`, `clock_ms`, `call_lease_s`, `overshoot`, `last_record`, `learning_at_least_until_ms`, `learning_at_most_until_ms` (empty: it does not learn), `publication`, `revision` (0: no reader gets the directory), `directory_floor` |
//! | `holders` | hash | holder → {confirmed, dying, reported, beat, `beat_ms`, exchange, `mail_seen`, record, `records_acknowledged`} |
//! | `mail:` holder | list | letters that wait for the holder |
//! | `own-records:` holder | list | [its number of a record, the stream's], not in the ledger yet |
//! | `calls-of:` holder | set | names of the holder's live calls |
//! | `counters-of:` holder | set | counters in which the holder has a lease |
//! | `wallets-of:` holder | set | the same of wallets |
//! | `organizations` | hash | organization → {version, total, leased, committed, live} |
//! | `above-floor:` organization | sorted set | its counters with more leased than their floor, all with score 0 |
//! | `counters` | hash | counter → {organization, version, floor, cap, named, anonymous, leases: holder → {granted, returned, live, `unflushed_max`}} |
//! | `caps` | hash | cap ([`crate::cap`]) → {version, most (negative: unlimited), live} |
//! | `wallets` | hash | owner → {sequence, escrow, config, spent, held, anonymous, leases: holder → {granted, returned, spent, held, `unflushed_max`}} |
//! | `anonymous` | sorted set | `c` counter or `w` owner, by when the first of what it keeps without a name is free |
//! | `calls` | hash | name → ["L", identity, holder or empty, deadline, hold, call, lease, billing, caps, number of the exchange that asked for it or 0] or ["E", identity, `forget_at`, revision, taken, record] |
//! | `live-of:` account | sorted set | its live calls in the order of their admission: identity backwards and `call_id`, all with score 0 |
//! | `orphans` | sorted set | names of live calls without a holder, by deadline |
//! | `tombstones` | list | [`forget_at`, low half of the admission, name], the oldest first |
//! | `directory` | hash | name of an entry → the number of its publication (8 bytes, big endian) and its change |
//! | `recent` | list | entries that changed last: revision (8 bytes, big endian) and name |
//! | `reports` | hash | of shard 0 only, and no part of its memory: reporter (16 bytes, little endian) → the bytes of its report ([`crate::report`]) that no control plane has yet |
//! | `records` | list | records on their way to the ledger, the last numbered `last_record` |
//!
//! Values in braces and brackets are packed as `MessagePack`; `anonymous` is a flat list of `until` and
//! amount. An account is 17 bytes, a holder 16, little endian; a call's name is its account and its
//! `call_id`, its identity admission and `admitted_us`. Call, lease and record are the bytes of
//! [`crate::state::record_codec`], a change those of [`crate::directory::codec`]: no script looks into them.

/// The key that names a shard to its scripts; they find its others by it.
pub fn shard(number: u8) -> String {
    format!("{{rf:{number}}}:shard")
}
