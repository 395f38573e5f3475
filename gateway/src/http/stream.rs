//! The stream that hyper sees in place of a socket: it reads from the socket and writes into the
//! connection's outbox. Must never write to the socket itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::connection::{Connection, Phase};
use super::settings::LINGER_MAX;

pub(super) struct Stream {
    /// Its `AsyncRead` knows after a short read that there is no more, which saves a system call.
    read: OwnedReadHalf,
    connection: Arc<Connection>,
    ending: Ending,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// The client has ended its side.
    ClientEnded,
    /// Our side is ended too; this much of what the client still sends may be thrown away.
    Lingering {
        bytes_left: usize,
    },
    Over,
}

impl Stream {
    pub(super) fn new(read: OwnedReadHalf, connection: Arc<Connection>) -> Self {
        Self { read, connection, ending: Ending::Open }
    }

    /// Reads and throws away. Closing a socket with unread bytes resets the connection, and a reset
    /// may overtake the answer that says why.
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut bytes_left: usize) -> Poll<()> {
        let mut scratch = [0; 4096];
        while bytes_left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.read).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    bytes_left = bytes_left.saturating_sub(buffer.filled().len());
                    self.ending = Ending::Lingering { bytes_left };
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A client that does not read its answers is not asked for more requests.
        ready!(self.connection.poll_room(cx))?;
        let before = buffer.filled().len();
        let Self { read, connection, .. } = &mut *self;
        ready!(connection.poll_read(read, cx, buffer))?;
        if buffer.filled().len() == before {
            self.ending = Ending::ClientEnded;
        } else if self.connection.phase().0 == Phase::Idle {
            self.connection.enter(Phase::Header);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.connection.poll_room(cx))?;
        self.connection.hold(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// There is nothing to do: the turn sends.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.ending {
                Ending::Open | Ending::ClientEnded => {
                    ready!(self.connection.poll_shutdown(cx))?;
                    let bytes_left = if self.ending == Ending::Open { LINGER_MAX } else { 0 };
                    self.connection.enter(Phase::Linger);
                    self.ending = Ending::Lingering { bytes_left };
                }
                Ending::Lingering { bytes_left } => {
                    ready!(self.poll_linger(cx, bytes_left));
                    self.ending = Ending::Over;
                }
                Ending::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}
