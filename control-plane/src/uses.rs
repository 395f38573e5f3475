//! When keys, tokens and sessions were used last, to the minute: noted in memory by requests, written in
//! batches, so that a use costs no write of its own.

use std::collections::HashMap;

use hub::clock::SECOND_US;
use hub::key::KeyHash;
use parking_lot::Mutex;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::keys;

/// How coarse the times are, and so how often one row is written at most.
const COARSE_US: i64 = 60 * SECOND_US;
/// Uses that wait to be written; of more the time stays as it is.
const PENDING_MAX: usize = 10_000;

/// What was used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Used {
    Key(KeyHash),
    Session(String),
    Token(String),
}

#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<Used, i64>>);

/// Whether a use at `now_us` would be written, where the time of the last is known.
pub(crate) fn is_worth_noting(last_us: Option<i64>, now_us: i64) -> bool {
    last_us.is_none_or(|last_us| now_us >= last_us.saturating_add(COARSE_US))
}

impl Uses {
    /// Notes a use, at whatever time it was.
    pub(crate) fn note(&self, used: Used, at_us: i64) {
        let mut pending = self.0.lock();
        if pending.len() < PENDING_MAX || pending.contains_key(&used) {
            let latest_us = pending.entry(used).or_insert(at_us);
            *latest_us = at_us.max(*latest_us);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Writes what was noted.
    pub(crate) async fn write(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let pending = std::mem::take(&mut *self.0.lock());
        for (used, at_us) in pending {
            let (of, name) = match used {
                Used::Key(hash) => ("keys SET last_used_us = $1 WHERE hash", keys::hex(hash)),
                Used::Token(id) => ("user_tokens SET last_used_us = $1 WHERE id", id),
                Used::Session(id) => ("sessions SET last_used_us = $1 WHERE id", id),
            };
            let sql = format!("UPDATE {of} = $2 AND (last_used_us IS NULL OR last_used_us <= $3)");
            sqlx::query(AssertSqlSafe(sql))
                .bind(at_us)
                .bind(name)
                .bind(at_us.saturating_sub(COARSE_US))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
