//! A TCP relay between a process and a server, as a network that can be cut: while it is cut nothing
//! passes, and what was sent arrives late, as packets do that are sent again. Where servers name each
//! other's ports (sentinels, a cluster), the relay names the relays in their place, so that nobody comes
//! around it. Must never lose or change a byte of a connection that it keeps otherwise.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;

/// An answer that names a port fits.
const CHUNK_BYTES: usize = 64 * 1024;
/// A port is one that a server names when its host stands so few bytes before it.
const NAMED_WITHIN_BYTES: usize = 32;
const HOST: &[u8] = b"127.0.0.1";

/// Ports of servers and the relays to them, with as many digits.
pub type Names = Vec<(String, String)>;

/// A listener in front of one server.
pub struct Relay {
    port: u16,
    path: Arc<Path>,
}

#[derive(Default)]
struct Path {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    is_over: bool,
    names: Arc<Names>,
    sockets: Vec<Weak<TcpStream>>,
}

impl Path {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of it panics")
    }

    /// Waits while it is cut; the names in force, or nothing when it is over.
    fn open(&self) -> Option<Arc<Names>> {
        let waits = |state: &mut State| state.is_cut && !state.is_over;
        let state = self.changed.wait_while(self.state(), waits).expect("no holder of it panics");
        (!state.is_over).then(|| Arc::clone(&state.names))
    }

    /// Knows a socket, to close it in the end; `None` when that has come.
    fn keep(&self, socket: TcpStream) -> Option<Arc<TcpStream>> {
        let mut state = self.state();
        let socket = Arc::new(socket);
        state.sockets.retain(|known| known.strong_count() > 0);
        state.sockets.push(Arc::downgrade(&socket));
        (!state.is_over).then_some(socket)
    }
}

impl Relay {
    /// A relay to a port of the loopback.
    #[track_caller]
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let path = Arc::new(Path::default());
        let accepting = Arc::clone(&path);
        thread::spawn(move || accept(&listener, to, &accepting));
        Self { port, path }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Names the relays where the server names ports.
    pub fn rename(&self, names: Names) {
        assert!(names.iter().all(|(from, to)| from.len() == to.len()), "{names:?}");
        self.path.state().names = Arc::new(names);
    }

    /// Nothing passes from now on.
    pub fn cut(&self) {
        self.path.state().is_cut = true;
    }

    /// What waits passes, and everything after it.
    pub fn mend(&self) {
        self.path.state().is_cut = false;
        self.path.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = self.path.state();
        state.is_over = true;
        for socket in state.sockets.drain(..).filter_map(|socket| socket.upgrade()) {
            // Whoever has closed it already is content.
            let _closed = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        self.path.changed.notify_all();
        // The listener's thread looks once more.
        let _seen = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn accept(listener: &TcpListener, to: u16, path: &Arc<Path>) {
    for near in listener.incoming().map_while(Result::ok) {
        if path.state().is_over {
            return;
        }
        let path = Arc::clone(path);
        thread::spawn(move || carry(near, to, &path));
    }
}

/// One connection, from when it can be made until one side closes it.
fn carry(near: TcpStream, to: u16, path: &Arc<Path>) {
    let Some(near) = path.keep(near).filter(|_| path.open().is_some()) else {
        return;
    };
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    let Some(far) = TcpStream::connect(server).ok().and_then(|far| path.keep(far)) else {
        return;
    };
    let (from, to, there) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(path));
    thread::spawn(move || pump(&from, &to, &there, false));
    pump(&far, &near, path, true);
}

/// One direction. With its end the other one ends as well.
fn pump(mut from: &TcpStream, mut to: &TcpStream, path: &Path, renames: bool) {
    let mut bytes = vec![0; CHUNK_BYTES];
    // Delays are the network's to make.
    let _no_delay = to.set_nodelay(true);
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let Some(names) = path.open() else {
            break;
        };
        let chunk = &mut bytes[..count];
        if renames {
            rename(chunk, &names);
        }
        if to.write_all(chunk).is_err() {
            break;
        }
    }
    // An end is late as well.
    path.open();
    for socket in [from, to] {
        let _closed = socket.shutdown(Shutdown::Both);
    }
}

/// Puts the relays' ports where the servers' stand after their host.
fn rename(bytes: &mut [u8], names: &Names) {
    for (from, to) in names {
        let digits = from.len();
        for at in 0..bytes.len().saturating_sub(digits - 1) {
            let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
            let is_port = bytes[at..].starts_with(from.as_bytes())
                && !is_digit(at + digits)
                && !(at > 0 && is_digit(at - 1))
                && bytes[at.saturating_sub(NAMED_WITHIN_BYTES)..at]
                    .windows(HOST.len())
                    .any(|before| before == HOST);
            if is_port {
                bytes[at..at + digits].copy_from_slice(to.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::redis::Redis;

    fn renamed(text: &str) -> String {
        let names = vec![("40001".to_owned(), "50001".to_owned())];
        let mut bytes = text.as_bytes().to_vec();
        rename(&mut bytes, &names);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_port_is_renamed_where_a_server_names_it_and_nowhere_else() {
        for (said, passed) in [
            ("-MOVED 7 127.0.0.1:40001\r\n", "-MOVED 7 127.0.0.1:50001\r\n"),
            (
                "$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n40001\r\n",
                "$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$5\r\n50001\r\n",
            ),
            ("$9\r\n127.0.0.1\r\n:40001\r\n", "$9\r\n127.0.0.1\r\n:50001\r\n"),
            ("$5\r\n40001\r\n", "$5\r\n40001\r\n"),
            ("127.0.0.1 140001 400011", "127.0.0.1 140001 400011"),
        ] {
            assert_eq!(renamed(said), passed);
        }
    }

    #[test]
    fn what_is_sent_while_it_is_cut_arrives_when_it_is_mended() {
        let redis = Redis::start(&[]);
        let relay = Relay::start(redis.port());
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).expect("open");
        let mut answer = [0; 7];
        stream.write_all(b"PING\r\n").expect("sent");
        stream.read_exact(&mut answer).expect("answered");
        relay.cut();
        stream.write_all(b"PING\r\n").expect("sent");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        stream.read_exact(&mut answer).expect_err("nothing passes");
        relay.mend();
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream.read_exact(&mut answer).expect("late");
        assert_eq!(&answer, b"+PONG\r\n");
    }
}
