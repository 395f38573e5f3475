//! Opens the listening sockets: one for each thread, all on one port, none shared with another
//! process.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::settings::BACKLOG;

/// One listener for each of `threads`. The kernel spreads connections over them.
pub(super) fn open(listen: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    probe(listen).map_err(|error| named(listen, &error))?;
    let first = bind(listen).map_err(|error| named(listen, &error))?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(bind(address).map_err(|error| named(address, &error))?);
    }
    Ok(listeners)
}

/// Two processes of one user could share a `SO_REUSEPORT` port without either noticing: an
/// exclusive bind fails when anybody listens there.
fn probe(listen: SocketAddr) -> io::Result<()> {
    if listen.port() == 0 {
        return Ok(());
    }
    let socket = socket(listen)?;
    socket.bind(&listen.into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    // A restart must not wait for the old connections' TIME_WAIT: they inherit this.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Not for a port that the kernel chooses: it would give the same one to another process between
    // our bind and our listen.
    socket.set_reuse_address(address.port() != 0)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => format!("another process already listens on {address}"),
        _ => format!("cannot listen on {address}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn all_threads_share_the_port_that_the_first_one_took() {
        let listeners = open((Ipv4Addr::LOCALHOST, 0).into(), 3).expect("a free port");
        let ports: Vec<_> =
            listeners.iter().map(|listener| listener.local_addr().map(|a| a.port()).ok()).collect();
        assert!(ports.iter().all(|port| port.is_some_and(|port| port != 0) && *port == ports[0]));
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_refused_with_its_address() {
        let listeners = open((Ipv4Addr::LOCALHOST, 0).into(), 2).expect("a free port");
        let address = listeners[0].local_addr().expect("bound");
        let error = open(address, 1).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
