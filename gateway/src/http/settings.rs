//! What may be configured of the HTTP side, and its limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

/// What each new TLS connection begins with; it may be replaced at any time.
pub type Tls = Arc<ArcSwap<ServerConfig>>;

/// The HTTP side's configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `None`: plain text.
    pub tls: Option<Tls>,
    /// Threads, each with its own listener; at least 1.
    pub threads: usize,
    /// How long a connection may wait for the next request.
    pub idle_s: u32,
    /// How long a request's header may take from its first byte; also a TLS handshake, as a whole.
    pub header_s: u32,
    /// How long a request's body may take from the end of its header.
    pub body_s: u32,
    /// How long a client may take to accept the next bytes of an answer.
    pub write_s: u32,
    /// Connections of the whole process; those beyond are closed at once.
    pub connections_max: usize,
    /// Whether GET does what is documented as POST, for stacks that cannot POST.
    pub get_allowed: bool,
    /// What `lease_s` may be.
    pub lease_s: RangeInclusive<u32>,
    /// Operations in one batch.
    pub batch_operations_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            tls: None,
            threads: 1,
            idle_s: 60,
            header_s: 5,
            body_s: 5,
            write_s: 10,
            connections_max: 20_000,
            get_allowed: false,
            lease_s: 10..=14_400,
            batch_operations_max: 10_000,
        }
    }
}

/// Bodies of single operations, in bytes.
pub(super) const BODY_MAX: usize = 16 * 1024;
/// Bodies of batch and reconcile, in bytes.
pub(super) const LARGE_BODY_MAX: usize = 8 * 1024 * 1024;
/// All bodies above [`BODY_MAX`] that are in memory at one time, in bytes; others wait.
pub(super) const LARGE_BODIES_MAX: usize = 16 * LARGE_BODY_MAX;
/// A request's line and header, in bytes.
pub(super) const HEADER_MAX: usize = 16 * 1024;
/// A request's header lines.
pub(super) const HEADER_LINES_MAX: usize = 64;
/// What hyper may buffer of a connection in each direction, in bytes.
pub(super) const BUFFER_MAX: usize = 64 * 1024;
/// Answers waiting for a client, in bytes; above, nothing more is read of it or done for it.
pub(super) const OUTBOX_MAX: usize = 64 * 1024;
/// What is read and thrown away of a client that still sends after its last answer, in bytes.
pub(super) const LINGER_MAX: usize = 64 * 1024;
/// How long that may take.
pub(super) const LINGER_S: u32 = 2;
/// Connections waiting in the kernel for each listener.
pub(super) const BACKLOG: i32 = 4096;
/// How often each thread looks for connections that are too slow: limits are that much longer.
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// How often keys are marked as used that connections remember.
pub(super) const NOTE_KEYS_EVERY: Duration = Duration::from_secs(15);
/// Pause after a failed accept, such as for want of file descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(HEADER_MAX <= BUFFER_MAX && BODY_MAX < LARGE_BODY_MAX);
