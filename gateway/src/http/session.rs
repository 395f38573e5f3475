//! The TLS session of one connection: it decrypts what is read and encrypts what the outbox sends.
//! Sends by itself only what TLS needs (handshake, alerts). An answer is encrypted when it is sent,
//! never before: so nothing in here can be ahead of the journal.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(super) struct Session {
    tls: ServerConnection,
    /// Bytes of answers that are encrypted, but not sent whole yet.
    encrypted: usize,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { tls: ServerConnection::new(config)?, encrypted: 0 })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Reads what the client sent, after the handshake. Nothing read is the client's end.
    pub(super) fn poll_read(
        &mut self,
        from: &mut OwnedReadHalf,
        to: &OwnedWriteHalf,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_send(to, cx) {
                return Poll::Ready(Err(error));
            }
            if self.take_decrypted(buffer)? {
                return Poll::Ready(Ok(()));
            }
            match self.tls.read_tls(&mut Encrypted { from: &mut *from, cx: &mut *cx }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The alert tells the client why; whether it still listens does not matter.
                let _unheard = self.poll_send(to, cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }

    /// Whether there was something: bytes, or the client's end.
    fn take_decrypted(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            let mut decrypted = self.tls.reader();
            match decrypted.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(bytes) => {
                    let taken = bytes.len().min(buffer.remaining());
                    buffer.put_slice(&bytes[..taken]);
                    decrypted.consume(taken);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(buffer.filled().len() > before);
                }
                // Many clients end without `close_notify`; a request cut short is known by its length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends bytes of answers. To be called again with at least the same bytes when it would block:
    /// they count as sent when the last record that holds them is.
    pub(super) fn write(&mut self, bytes: &[u8], to: &OwnedWriteHalf) -> io::Result<usize> {
        if self.encrypted == 0 {
            self.encrypted = self.tls.writer().write(bytes)?;
        }
        while self.tls.wants_write() {
            self.send(to)?;
        }
        Ok(mem::take(&mut self.encrypted))
    }

    /// Says that nothing more follows. Ready when that is sent, or cannot be.
    pub(super) fn poll_close(&mut self, to: &OwnedWriteHalf, cx: &mut Context<'_>) -> Poll<()> {
        self.tls.send_close_notify();
        self.poll_send(to, cx).map(drop)
    }

    /// The same for a connection that is ended now: the client is told if it takes it at once.
    pub(super) fn close(&mut self, to: &OwnedWriteHalf) {
        self.tls.send_close_notify();
        while self.tls.wants_write() && self.send(to).is_ok() {}
    }

    fn poll_send(&mut self, to: &OwnedWriteHalf, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.send(to) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(to.as_ref().poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, to: &OwnedWriteHalf) -> io::Result<()> {
        match self.tls.write_tls(&mut Socket(to))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }
}

/// What the client sent, as rustls reads it.
struct Encrypted<'r, 'c, 'w> {
    /// Its `AsyncRead` knows after a short read that there is no more, which saves a system call.
    from: &'r mut OwnedReadHalf,
    cx: &'c mut Context<'w>,
}

impl Read for Encrypted<'_, '_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.from).poll_read(self.cx, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The socket as rustls writes to it: all records by one system call.
struct Socket<'s>(&'s OwnedWriteHalf);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(records)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
