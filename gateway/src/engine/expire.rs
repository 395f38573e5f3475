//! Expiry: ends calls whose lease has run out.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use hub::call_table::CallHash;
use hub::clock::{self, second_of};

use super::{Engine, Hub};
use crate::admission::calls::Live;

/// Calls looked at between two flushes.
const CHUNK: usize = 256;
/// How often the wheel is looked at.
const TICK: Duration = Duration::from_millis(200);

/// The thread that ends calls; dropping it stops it.
#[derive(Debug)]
pub struct Expiry {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Expiry {
    pub fn start(engine: &Arc<Engine>) -> std::io::Result<Self> {
        let engine = Arc::clone(engine);
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread =
            std::thread::Builder::new().name("gateway-expiry".into()).spawn(move || {
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    engine.expire();
                }
            })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that ends calls had died");
        }
    }
}

impl Engine {
    /// Ends every call that is due by now. To be called by one thread.
    pub fn expire(&self) {
        let now_us = clock::now_us();
        let now = second_of(now_us);
        while let Some(due) = self.wheel.due(now) {
            for chunk in due.chunks(CHUNK) {
                for hash in chunk {
                    self.expire_those_of(*hash, now_us);
                }
                self.flush_quietly();
            }
        }
        // Returns and what a full disk kept back go out even when no call comes by.
        self.flush_quietly();
    }

    /// A gateway that is cut off from a shared hub frees nothing itself.
    fn may_end(&self, live: &Live) -> bool {
        match &self.hub {
            Hub::Embedded { .. } => true,
            Hub::Shared(sharing) => {
                !live.standing.is_open() && sharing.may_admit(live.account.organization.shard)
            }
        }
    }

    /// Nobody waits for the answer; the hub's health says that it does not record.
    pub(super) fn flush_quietly(&self) {
        if self.flush().is_err() {
            tracing::debug!("expiries wait to be recorded");
        }
    }

    /// Calls of one hash that are due end; those that were renewed come up again.
    fn expire_those_of(&self, hash: CallHash, now_us: i64) {
        let mut due = None;
        let now = second_of(now_us);
        self.calls.visit_live_of(hash, |live| {
            let may_end = self.may_end(live);
            if live.lease.deadline > now || !may_end {
                self.wheel.add(live.lease.deadline.max(now.saturating_add(1)), hash);
            } else {
                due = Some((live.call.clone(), live.account.lapse()));
            }
        });
        if let Hub::Shared(sharing) = &self.hub
            && self.calls.forget_expired(hash, now)
        {
            sharing.forgot(1);
        }
        if let Some((call, cause)) = due {
            self.end(&call, cause, now_us);
        }
    }
}
