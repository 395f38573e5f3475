//! When sessions were used last, to the minute: noted in memory by requests, written in
//! batches, so that a use costs no write of its own.

use std::collections::HashMap;

use hub::clock::SECOND_US;
use parking_lot::Mutex;
use sqlx::AnyConnection;

use crate::sessions::Session;

/// How coarse the times are, and so how often one session is written at most.
const COARSE_US: i64 = 60 * SECOND_US;
/// Uses that wait to be written; of more the time stays as it is.
const PENDING_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<String, i64>>);

impl Uses {
    /// A session was used.
    pub(crate) fn note(&self, session: &Session, now_us: i64) {
        if now_us < session.last_used_us.saturating_add(COARSE_US) {
            return;
        }
        let mut pending = self.0.lock();
        if pending.len() < PENDING_MAX {
            pending.entry(session.id.clone()).or_insert(now_us);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Writes what was noted.
    pub(crate) async fn write(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let pending = std::mem::take(&mut *self.0.lock());
        for (id, used_us) in pending {
            sqlx::query(
                "UPDATE sessions SET last_used_us = $1 WHERE id = $2 AND last_used_us < $1",
            )
            .bind(used_us)
            .bind(id)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}
