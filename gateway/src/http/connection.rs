//! One connection as those see it who are not its task: the flush task that sends its answers, and
//! the sweeper that ends it when it is too slow.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use std::sync::Arc;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::key::RememberedKey;
use super::outbox::{Outbox, Sent};
use super::session::Session;
use super::worker::Worker;

/// What a connection is waiting for. Each phase has its own time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The client's part of the TLS handshake.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of its header.
    Header,
    /// The rest of its body.
    Body,
    /// The engine; has no limit here.
    Engine,
    /// The client's end, after the last answer.
    Linger,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Handshake, Self::Idle, Self::Header, Self::Body, Self::Engine, Self::Linger];
}

pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) key: Mutex<Option<RememberedKey>>,
    write: OwnedWriteHalf,
    /// `None`: the connection is in plain text.
    session: Option<Box<Mutex<Session>>>,
    outbox: Mutex<Outbox>,
    /// The turn has this connection and will send.
    enrolled: AtomicBool,
    /// [`Connection::send_rest`] runs and will send.
    blocked: AtomicBool,
    /// The phase in the low byte, above it the worker's tick at which it began.
    phase: AtomicU64,
}

impl Connection {
    pub(super) fn new(
        worker: Arc<Worker>,
        write: OwnedWriteHalf,
        session: Option<Session>,
    ) -> Arc<Self> {
        let first = if session.is_some() { Phase::Handshake } else { Phase::Idle };
        let connection = Arc::new(Self {
            worker,
            key: Mutex::default(),
            write,
            session: session.map(|session| Box::new(Mutex::new(session))),
            outbox: Mutex::default(),
            enrolled: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            phase: AtomicU64::new(0),
        });
        connection.enter(first);
        connection
    }

    /// Reads what the client sent, from the half of the socket that only its task has.
    pub(super) fn poll_read(
        &self,
        from: &mut OwnedReadHalf,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(session) = &self.session else {
            return Pin::new(from).poll_read(cx, buffer);
        };
        let mut session = session.lock();
        let read = session.poll_read(from, &self.write, cx, buffer);
        if self.phase().0 == Phase::Handshake {
            if !session.is_handshaking() {
                self.enter(Phase::Idle);
            } else if let Poll::Ready(Err(_)) = &read {
                self.worker.tally.handshake_failed();
            }
        }
        read
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.session {
            None => self.write.try_write(bytes),
            Some(session) => session.lock().write(bytes, &self.write),
        }
    }

    /// The phase and the tick at which it began.
    // Relaxed here and below: connection, flush task and sweeper run on one thread.
    pub(super) fn phase(&self) -> (Phase, u64) {
        let packed = self.phase.load(Ordering::Relaxed);
        let phase = Phase::ALL.get((packed & 0xff) as usize).copied();
        (phase.unwrap_or(Phase::Idle), packed >> 8)
    }

    pub(super) fn enter(&self, phase: Phase) {
        let packed = phase as u64 | self.worker.tick() << 8;
        self.phase.store(packed, Ordering::Relaxed);
    }

    /// Keeps bytes of an answer until the next flush.
    pub(super) fn hold(self: &Arc<Self>, bytes: &[u8]) {
        self.outbox.lock().push(bytes);
        if !self.enrolled.swap(true, Ordering::Relaxed) {
            self.worker.turn.enrol(Arc::clone(self));
        }
    }

    /// The flush has been done: everything held so far may go.
    pub(super) fn send_released(self: Arc<Self>) {
        self.enrolled.store(false, Ordering::Relaxed);
        let mut outbox = self.outbox.lock();
        outbox.release();
        if self.blocked.load(Ordering::Relaxed) {
            return;
        }
        if outbox.send(|bytes| self.write(bytes)) == Sent::Blocked {
            drop(outbox);
            self.blocked.store(true, Ordering::Relaxed);
            let connection = Arc::clone(&self);
            self.worker.tasks.spawn(async move { connection.send_rest().await });
        }
    }

    /// Sends to a client that is slow to read, until it has everything or takes nothing for too long.
    async fn send_rest(&self) {
        let limit = Duration::from_secs(self.worker.settings.write_s.into());
        loop {
            let writable = tokio::time::timeout(limit, self.write.writable()).await;
            let mut outbox = self.outbox.lock();
            let sent = match writable {
                Ok(Ok(())) => outbox.send(|bytes| self.write(bytes)),
                Ok(Err(_)) | Err(_) => outbox.close(),
            };
            if sent == Sent::Closed {
                self.shut(Shutdown::Both);
            }
            if sent != Sent::Blocked {
                self.blocked.store(false, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The flush failed: what is held tells of things that were not recorded, and must not be sent.
    pub(super) fn abandon(&self) {
        self.enrolled.store(false, Ordering::Relaxed);
        self.outbox.lock().close();
        self.shut(Shutdown::Both);
    }

    /// Ends the socket's sides. To the connection's task, ending both looks as if the client were
    /// gone: that ends the task.
    fn shut(&self, sides: Shutdown) {
        if let Err(error) = SockRef::from(self.write.as_ref()).shutdown(sides) {
            tracing::trace!(%error, "a socket was gone before it was shut");
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.outbox.lock().is_empty()
    }

    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.lock().poll_room(cx)
    }

    /// Resolves when there is room for more of an answer; at once when the connection has failed.
    pub(super) async fn room(&self) {
        if poll_fn(|cx| self.poll_room(cx)).await.is_err() {
            tracing::debug!("a batch goes on whose client is gone");
        }
    }

    /// Ready when everything has been sent; then nothing more will be.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.outbox.lock().poll_empty(cx))?;
        if let Some(session) = &self.session {
            ready!(session.lock().poll_close(&self.write, cx));
        }
        self.shut(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connection {
    /// Whoever ended it, and also while it was idle: a TLS client is told that it was on purpose.
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.get_mut().close(&self.write);
        }
    }
}
