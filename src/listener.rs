//! Serves a router on a listener, by TLS or in plain text, with limits on connections and on slow clients, until told to stop;
//! then requests in flight get their answers. For the control plane and operations, never for
//! admissions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use gateway::http::Tls;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Open connections of one listener; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// Time for the head of a request; also how long a connection may be idle.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes an address exclusively. The error names it and what to do.
pub fn bind(name: &str, address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let listener = std::net::TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{name} = {address} is in use by another process; set another address")
        }
        _ => format!("{name} = {address} cannot be listened on: {error}"),
    })
}

/// Serves until `stop` is true, then waits at most `drain` for requests in flight.
pub async fn serve(
    listener: std::net::TcpListener,
    tls: Option<Tls>,
    router: Router,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = accept => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small; waiting for more of one would only delay it.
                    let _best_effort = stream.set_nodelay(true);
                    let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                    let watcher = graceful.watcher();
                    connections.spawn(async move {
                        match tls {
                            None => answer(stream, peer, router, watcher).await,
                            Some(tls) => answer_by_tls((stream, peer), &tls, router, watcher, stop).await,
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = told(&mut stop) => break,
        }
    }
    drop(listener);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the drain");
    }
    Ok(())
}

/// Waits for the word to stop; a sender that is gone has said it too.
pub async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Shakes hands and answers; a client that cannot or is too slow is gone.
async fn answer_by_tls(
    (stream, peer): (TcpStream, SocketAddr),
    tls: &Tls,
    router: Router,
    watcher: Watcher,
    mut stop: watch::Receiver<bool>,
) {
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_MAX, handshake) => shaken,
        () = told(&mut stop) => return,
    };
    match shaken {
        Ok(Ok(stream)) => answer(stream, peer, router, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Attempts to sign in are counted by where they come from.
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // How a client leaves is its own affair.
    let _end = watcher.watch(connection).await;
}
