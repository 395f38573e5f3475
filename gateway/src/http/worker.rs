//! One thread of the gateway: it accepts connections on its own listener, serves them, and ends those
//! that are too slow.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use hub::clock;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use super::connection::{Connection, Phase};
use super::exchange::exchange;
use super::session::Session;
use super::settings::{
    ACCEPT_PAUSE, BUFFER_MAX, HEADER_MAX, LARGE_BODIES_MAX, LINGER_S, NOTE_KEYS_EVERY, SWEEP_EVERY,
    Settings,
};
use super::stream::Stream;
use super::tally::Tally;
use super::turn::Turn;
use crate::engine::Engine;

/// What all threads share.
pub(super) struct Process {
    engine: Arc<Engine>,
    settings: Arc<Settings>,
    peers: Vec<Peer>,
    connections: AtomicUsize,
    draining: AtomicBool,
    /// The memory for large bodies, in bytes.
    pub(super) large_bodies: Arc<Semaphore>,
}

impl Process {
    pub(super) fn new(engine: Arc<Engine>, settings: Settings, peers: Vec<Peer>) -> Self {
        Self {
            engine,
            settings: Arc::new(settings),
            peers,
            connections: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES_MAX)),
        }
    }

    // Relaxed here and below: neither tells of anything else in memory.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn begin_draining(&self) {
        self.engine.drain();
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The thread with the fewest connections; in doubt `own`.
    fn least_busy(&self, own: usize) -> usize {
        let busy = |index: &usize| (self.peers[*index].open.load(Ordering::Relaxed), *index != own);
        (0..self.peers.len()).min_by_key(busy).unwrap_or(own)
    }

    /// A connection of a thread is no more.
    fn gone(&self, index: usize) {
        self.peers[index].open.fetch_sub(1, Ordering::Relaxed);
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// One thread as the others see it.
pub(super) struct Peer {
    open: AtomicUsize,
    hand: mpsc::Sender<std::net::TcpStream>,
}

/// Connections on their way to another thread; beyond, they are closed.
const HANDED_MAX: usize = 1024;

impl Peer {
    pub(super) fn new() -> (Self, mpsc::Receiver<std::net::TcpStream>) {
        let (hand, handed) = mpsc::channel(HANDED_MAX);
        (Self { open: AtomicUsize::new(0), hand }, handed)
    }
}

pub(super) struct Worker {
    /// This thread among the peers.
    index: usize,
    pub(super) engine: Arc<Engine>,
    pub(super) settings: Arc<Settings>,
    pub(super) process: Arc<Process>,
    pub(super) turn: Turn,
    pub(super) tally: Tally,
    /// Where tasks of this thread are spawned.
    pub(super) tasks: Handle,
    http: http1::Builder,
    /// The time in milliseconds as of the last sweep: requests read no clock for their limits.
    tick: AtomicU64,
    connections: Mutex<HashMap<u64, Served, foldhash::fast::RandomState>>,
    next_id: AtomicU64,
}

struct Served {
    connection: Arc<Connection>,
    task: AbortHandle,
}

impl Worker {
    pub(super) fn new(index: usize, process: Arc<Process>, tasks: Handle) -> Arc<Self> {
        let mut http = http1::Builder::new();
        // The time limits are the sweeper's: hyper's would cost a timer for every request, and run
        // while a connection is idle. A request that was received is answered even when the client
        // has ended its own side since.
        http.header_read_timeout(None).half_close(true);
        // Answers are gathered in the outbox; hyper's own pipelining buffer has no bound, and keeps
        // the answer to a malformed request for ever.
        http.pipeline_flush(false).max_buf_size(BUFFER_MAX).max_header_size(HEADER_MAX);
        let worker = Self {
            index,
            engine: Arc::clone(&process.engine),
            settings: Arc::clone(&process.settings),
            process,
            turn: Turn::default(),
            tally: Tally::default(),
            tasks,
            http,
            tick: AtomicU64::new(0),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
        };
        worker.read_clock();
        Arc::new(worker)
    }

    /// Milliseconds; at most [`SWEEP_EVERY`] old.
    pub(super) fn tick(&self) -> u64 {
        self.tick.load(Ordering::Relaxed)
    }

    /// Serves until told to stop; then finishes what has begun, within the time given.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        handed: mpsc::Receiver<std::net::TcpStream>,
        mut stop: watch::Receiver<Option<Duration>>,
    ) {
        let turns = Arc::clone(&self);
        let mut turns = self.tasks.spawn(async move { turns.turn.run(&turns.engine).await });
        let grace = tokio::select! {
            () = self.accept(&listener) => Duration::ZERO,
            () = self.receive(handed) => Duration::ZERO,
            () = self.sweep() => Duration::ZERO,
            _ = &mut turns => {
                tracing::error!("the task that sends answers has died; its thread ends");
                Duration::ZERO
            }
            stopped = stop.wait_for(Option::is_some) => {
                stopped.ok().and_then(|grace| *grace).unwrap_or(Duration::ZERO)
            }
        };
        drop(listener);
        if tokio::time::timeout(grace, self.finish()).await.is_err() {
            tracing::warn!(open = self.process.connections(), "requests were still in flight");
        }
        turns.abort();
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let mut failing = false;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    failing = false;
                    self.place(stream);
                }
                Err(error) => {
                    // Most often for want of file descriptors: they come back as calls end.
                    if !failing {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Takes a connection on, unless there are too many. The kernel deals connections out at random,
    /// and a SIP server opens few and keeps them: so they are evened out.
    fn place(self: &Arc<Self>, stream: TcpStream) {
        let process = &self.process;
        let target = process.least_busy(self.index);
        if process.connections.fetch_add(1, Ordering::Relaxed) >= self.settings.connections_max {
            process.connections.fetch_sub(1, Ordering::Relaxed);
            self.tally.refused();
            return;
        }
        self.tally.opened();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        process.peers[target].open.fetch_add(1, Ordering::Relaxed);
        if target == self.index {
            return self.serve(stream);
        }
        let handed = stream
            .into_std()
            .is_ok_and(|stream| process.peers[target].hand.try_send(stream).is_ok());
        if !handed {
            process.gone(target);
        }
    }

    /// Serves what other threads have accepted.
    async fn receive(self: &Arc<Self>, mut handed: mpsc::Receiver<std::net::TcpStream>) {
        while let Some(stream) = handed.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => self.serve(stream),
                Err(_) => self.process.gone(self.index),
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let session = self.settings.tls.as_ref().map(|tls| Session::new(tls.load_full()));
        let session = match session.transpose() {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(%error, "a TLS session could not begin");
                return self.process.gone(self.index);
            }
        };
        let (read, write) = stream.into_split();
        let connection = Connection::new(Arc::clone(self), write, session);
        let io = TokioIo::new(Stream::new(read, Arc::clone(&connection)));
        let entry = Entry { worker: Arc::clone(self), id };
        let served = Arc::clone(&connection);
        let task = self.tasks.spawn(async move {
            let worker = Arc::clone(&entry.worker);
            let service = service_fn(move |request| exchange(Arc::clone(&served), request));
            if let Err(error) = worker.http.serve_connection(io, service).await {
                tracing::trace!(%error, "a connection ended early");
            }
            drop(entry);
        });
        let task = task.abort_handle();
        self.connections.lock().insert(id, Served { connection, task });
    }

    /// Ends what is too slow, again and again.
    async fn sweep(&self) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        let mut noted_ms = 0;
        loop {
            every.tick().await;
            let now_ms = self.read_clock();
            if u128::from(now_ms.saturating_sub(noted_ms)) >= NOTE_KEYS_EVERY.as_millis() {
                self.note_keys_used_since(noted_ms);
                noted_ms = now_ms;
            }
            self.end_those(|connection| {
                let (phase, since_ms) = connection.phase();
                let limit_s = match phase {
                    Phase::Idle => self.settings.idle_s,
                    Phase::Handshake | Phase::Header => self.settings.header_s,
                    Phase::Body => self.settings.body_s,
                    Phase::Linger => LINGER_S,
                    Phase::Engine => return false,
                };
                // What began between two sweeps is stamped with the former one.
                let limit = Duration::from_secs(limit_s.into()) + SWEEP_EVERY;
                let slow = u128::from(now_ms.saturating_sub(since_ms)) > limit.as_millis();
                if slow && phase != Phase::Idle {
                    self.tally.timed_out();
                }
                slow
            });
        }
    }

    /// Marks the keys that connections remember and have used: requests that use them mark nothing.
    fn note_keys_used_since(&self, since_ms: u64) {
        for served in self.connections.lock().values() {
            if served.connection.phase().1 >= since_ms
                && let Some(key) = &*served.connection.key.lock()
            {
                key.note_use(&self.engine);
            }
        }
    }

    /// Resolves when the last connection is gone. Those that wait for no answer go at once.
    async fn finish(&self) {
        const POLL_EVERY: Duration = Duration::from_millis(5);
        let mut every = tokio::time::interval(POLL_EVERY);
        while !self.connections.lock().is_empty() {
            self.end_those(|connection| {
                matches!(connection.phase().0, Phase::Idle | Phase::Handshake)
            });
            every.tick().await;
        }
    }

    /// Ends the connections that `is_over` names, but none that still has answers to send.
    fn end_those(&self, is_over: impl Fn(&Connection) -> bool) {
        let connections = self.connections.lock();
        let ended: Vec<_> = connections
            .values()
            .filter(|served| is_over(&served.connection) && !served.connection.has_unsent())
            .map(|served| served.task.clone())
            .collect();
        drop(connections);
        ended.iter().for_each(AbortHandle::abort);
    }

    fn read_clock(&self) -> u64 {
        let now_ms = u64::try_from(clock::boot_us() / 1_000).unwrap_or(0);
        self.tick.store(now_ms, Ordering::Relaxed);
        now_ms
    }
}

/// A connection's place among those served; given up when its task ends, however it does.
struct Entry {
    worker: Arc<Worker>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let served = self.worker.connections.lock().remove(&self.id);
        self.worker.process.gone(self.worker.index);
        drop(served);
    }
}
