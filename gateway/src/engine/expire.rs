//! Expiry: ends calls whose lease has run out, and drops tombstones whose time is over.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use hub::call::Cause;
use hub::clock::{self, second_of};

use super::Engine;
use crate::admission::calls::{Entry, TABLES};

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
                for call in chunk {
                    self.expire_one(call, now_us);
                }
                self.flush_quietly();
            }
            // One table per second: each is swept every few minutes.
            self.calls.sweep(now as usize % TABLES, now);
        }
        // Returns and what a full disk kept back go out even when no call comes by.
        self.flush_quietly();
    }

    /// Nobody waits for the answer; the hub's health says that it does not record.
    pub(super) fn flush_quietly(&self) {
        if self.flush().is_err() {
            tracing::debug!("expiries wait to be recorded");
        }
    }

    fn expire_one(&self, call: &hub::call::Call, now_us: i64) {
        let deadline = match self.calls.place(call.account(), call.call_id()).find(0) {
            Some(Entry::Live(live)) if live.call.facts().admission == call.facts().admission => {
                live.lease.deadline
            }
            _ => return,
        };
        if deadline > second_of(now_us) {
            self.wheel.add(deadline, call.clone());
        } else {
            self.end(call, Cause::Expiry, now_us);
        }
    }
}
