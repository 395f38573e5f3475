//! The answer gate, and the clock of a turn. All answers of one turn of a thread's event loop wait here; then one flush of
//! the engine writes what they tell to the journal, and only then they are sent.
//!
//! The flush task is woken by the first connection that enrols. A `current_thread` runtime runs its
//! tasks first come, first served, so the task's turn comes after every connection that could run
//! already: one flush and one send per connection, however many requests were pipelined.

use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use hub::clock;
use parking_lot::Mutex;
use std::sync::Arc;

use super::connection::Connection;
use crate::engine::Engine;

/// The connections of one thread that have something to send.
#[derive(Default)]
pub(super) struct Turn {
    state: Mutex<State>,
    /// See [`Turn::now_us`]; 0: not read yet.
    now_us: AtomicI64,
}

#[derive(Default)]
struct State {
    enrolled: Vec<Arc<Connection>>,
    flusher: Option<Waker>,
}

impl Turn {
    /// Answers of the connection are to be sent after the next flush. Once per turn.
    pub(super) fn enrol(&self, connection: Arc<Connection>) {
        let mut state = self.state.lock();
        state.enrolled.push(connection);
        state.wake();
    }

    /// The wall clock, read once per turn, in microseconds since 1970.
    // Relaxed here and below: a turn belongs to one thread.
    pub(super) fn now_us(&self) -> i64 {
        match self.now_us.load(Ordering::Relaxed) {
            0 => self.read_clock(),
            now_us => now_us,
        }
    }

    #[cold]
    fn read_clock(&self) -> i64 {
        let now_us = clock::now_us();
        self.now_us.store(now_us, Ordering::Relaxed);
        // The flush task ends the turn, whether or not there will be anything to send.
        self.state.lock().wake();
        now_us
    }

    /// Flushes and sends, turn after turn, for as long as the thread lives.
    pub(super) async fn run(&self, engine: &Engine) {
        let mut enrolled = Vec::new();
        loop {
            poll_fn(|cx| self.poll_enrolled(cx, &mut enrolled)).await;
            // What is enrolled from here on may tell of things that this flush does not write.
            let flushed = engine.flush();
            for connection in enrolled.drain(..) {
                match flushed {
                    Ok(()) => connection.send_released(),
                    Err(_) => connection.abandon(),
                }
            }
        }
    }

    fn poll_enrolled(&self, cx: &Context<'_>, enrolled: &mut Vec<Arc<Connection>>) -> Poll<()> {
        self.now_us.store(0, Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.enrolled.is_empty() {
            state.flusher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        mem::swap(&mut state.enrolled, enrolled);
        Poll::Ready(())
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }
}
