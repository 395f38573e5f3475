//! The hub's end of its journal: frames of requests, and what a full disk keeps waiting in memory.
//!
//! ```text
//! frame = now (signed, microseconds since 1970), (shard u8, request)*
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Health, HubUnavailable};
use crate::codec::{Malformed, Reader, Writer};
use crate::journal::{Frame, Journal};
use crate::state::request::Request;
use crate::state::request_codec::read_request;

/// Bytes that may wait in memory for a full disk before nothing more is accepted.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Writes requests to the journal, one frame and one write at a time.
pub(super) struct Log {
    journal: Arc<Journal>,
    frame: Frame,
    /// Frames that the full disk did not take, in order.
    waiting: VecDeque<Frame>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// What can be read of the log without locking it.
pub(super) struct Watch {
    journal: Arc<Journal>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Log {
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            journal: Arc::new(journal),
            frame: Frame::new(),
            waiting: VecDeque::new(),
            waiting_bytes: Arc::default(),
        }
    }

    pub(super) fn watch(&self) -> Watch {
        Watch { journal: Arc::clone(&self.journal), waiting_bytes: Arc::clone(&self.waiting_bytes) }
    }

    /// Writes the requests as one frame, each by `write`. On a full disk the frame waits; the next
    /// write or [`Log::retry`] goes on with it.
    pub(super) fn write<R>(
        &mut self,
        requests: &[(u8, R)],
        now_us: i64,
        write: fn(&mut Writer<'_>, &R),
    ) -> Result<(), HubUnavailable> {
        let mut writer = Writer(self.frame.payload_mut());
        writer.signed(now_us);
        for (shard, request) in requests {
            writer.byte(*shard);
            write(&mut writer, request);
        }
        if self.waiting.is_empty() && self.journal.append(&mut self.frame).is_ok() {
            return Ok(());
        }
        let frame = std::mem::take(&mut self.frame);
        self.waiting_bytes.fetch_add(frame.payload().len(), Ordering::Relaxed);
        self.waiting.push_back(frame);
        self.retry()
    }

    /// Writes what waits, as far as the disk takes it.
    pub(super) fn retry(&mut self) -> Result<(), HubUnavailable> {
        while let Some(frame) = self.waiting.front_mut() {
            let bytes = frame.payload().len();
            if self.journal.append(frame).is_err() {
                return Err(HubUnavailable);
            }
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.waiting.pop_front();
        }
        Ok(())
    }
}

impl Watch {
    pub(super) fn stream(&self) -> u128 {
        self.journal.stream()
    }

    /// Whether anything waits for the disk.
    pub(super) fn is_behind(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > 0
    }

    pub(super) fn health(&self) -> Health {
        match self.waiting_bytes.load(Ordering::Relaxed) {
            bytes if bytes > WAITING_BYTES_MAX => Health::Closed,
            0 if !self.journal.is_full() => Health::Open,
            _ => Health::Full,
        }
    }

    pub(super) async fn durable(&self) -> Result<(), HubUnavailable> {
        if self.is_behind() {
            return Err(HubUnavailable);
        }
        self.journal.durable(self.journal.last()).await.map_err(|_| HubUnavailable)
    }
}

/// Reads one frame and hands over its requests, with the time at which they were applied.
pub(super) fn read_frame(
    payload: &[u8],
    mut apply: impl FnMut(u8, Request, i64),
) -> Result<(), Malformed> {
    let mut reader = Reader(payload);
    let now_us = reader.signed()?;
    while !reader.is_empty() {
        let shard = reader.byte()?;
        apply(shard, read_request(&mut reader)?, now_us);
    }
    Ok(())
}
