//! The whole HTTP side as the binary starts and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use super::listener;
use super::settings::Settings;
use super::tally::Tally;
use super::worker::{Peer, Process, Worker};
use crate::engine::Engine;

/// A running HTTP side. Dropping it ends every connection; [`Server::drain`] ends them in peace.
pub struct Server {
    address: SocketAddr,
    process: Arc<Process>,
    workers: Vec<Arc<Worker>>,
    stop: watch::Sender<Option<Duration>>,
    /// Closed when the last thread has ended.
    ended: mpsc::Receiver<()>,
}

impl Server {
    /// Opens the port and starts the threads. Blocking, but short.
    pub fn start(engine: Arc<Engine>, settings: Settings) -> io::Result<Self> {
        let threads = settings.threads.max(1);
        let listeners = listener::open(settings.listen, threads)?;
        let address = listeners[0].local_addr()?;
        let (peers, handed): (Vec<_>, Vec<_>) = (0..threads).map(|_| Peer::new()).unzip();
        let process = Arc::new(Process::new(engine, settings, peers));
        let (stop, stopped) = watch::channel(None);
        let (running, ended) = mpsc::channel(1);
        let mut workers = Vec::with_capacity(threads);
        for (index, (listener, handed)) in listeners.into_iter().zip(handed).enumerate() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let tasks = runtime.handle().clone();
            let worker = Worker::new(index, Arc::clone(&process), tasks);
            workers.push(Arc::clone(&worker));
            let listener = registered(&runtime, listener)?;
            let (stopped, running) = (stopped.clone(), running.clone());
            thread::Builder::new().name(format!("gateway-{index}")).spawn(move || {
                runtime.block_on(worker.run(listener, handed, stopped));
                // Whatever is left in flight ends with the runtime.
                drop(runtime);
                drop(running);
            })?;
        }
        Ok(Self { address, process, workers, stop, ended })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.process.connections()
    }

    /// What all threads have counted.
    pub fn tally(&self) -> Tally {
        let sum = Tally::default();
        self.workers.iter().for_each(|worker| sum.add(&worker.tally));
        sum
    }

    /// Stops accepting, closes each connection after its next answer (to admits that is `draining`,
    /// while calls are renewed and released as before), lets requests in flight finish for at most
    /// `grace`, and returns when every thread has ended.
    pub async fn drain(mut self, grace: Duration) {
        self.process.begin_draining();
        self.stop.send_replace(Some(grace));
        while self.ended.recv().await.is_some() {}
    }
}

fn registered(runtime: &Runtime, listener: std::net::TcpListener) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    TcpListener::from_std(listener)
}
