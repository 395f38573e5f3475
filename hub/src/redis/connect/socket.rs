//! Sockets to servers: TCP, TLS over it, and Unix. Small writes leave at once. Closing one throws away
//! what has not left yet: a call that was given up must not be delivered when the network heals.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::setting::Address;
use super::tls::Tls;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn open(address: &Address, tls: Option<&Tls>) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            stream.set_zero_linger()?;
            match tls {
                Some(tls) => Ok(Box::new(tls.over(stream, host).await?)),
                None => Ok(Box::new(stream)),
            }
        }
    }
}
