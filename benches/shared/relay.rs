//! A way to the hub that can be cut: connections stay open, and what is sent on them arrives nowhere.
//! What has lost bytes is closed when the cut is healed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(10);
const PIECE_BYTES: usize = 64 * 1024;

/// Forwards until the process ends.
pub struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let is_cut = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&is_cut);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be forwarded is closed.
                let _refused = forward_both_ways(client, server, &state);
            }
        });
        Ok(Self { address, is_cut })
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub fn heal(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }
}

fn forward_both_ways(
    client: TcpStream,
    server: SocketAddr,
    is_cut: &Arc<AtomicBool>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        to.set_nodelay(true)?;
        from.set_read_timeout(Some(LOOK_EVERY))?;
        let is_cut = Arc::clone(is_cut);
        thread::spawn(move || {
            // However it ends, both ends hear of it, or are gone already.
            let _ended = forward(&from, &to, &is_cut);
            let _closed = from.shutdown(Shutdown::Both).and(to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

/// Forwards one way, until either end closes or a cut has healed.
fn forward(mut from: &TcpStream, mut to: &TcpStream, is_cut: &AtomicBool) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut was_cut = false;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error),
        };
        let cut = is_cut.load(Ordering::Relaxed);
        if was_cut && !cut {
            return Ok(());
        }
        was_cut = cut;
        if !cut {
            to.write_all(&piece[..read])?;
        }
    }
}
