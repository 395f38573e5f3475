//! The answers of one connection on their way out. Nothing leaves before it has been released: the
//! bytes after `released` tell of things that the journal may not hold yet.

use std::io;
use std::task::{Context, Poll, Waker};

use super::settings::OUTBOX_MAX;

/// Bytes waiting to be sent. Bounded by whoever fills it asking [`Outbox::is_full`] first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How much of `bytes` has been sent.
    sent: usize,
    /// How much of `bytes` may be sent.
    released: usize,
    /// No byte can be sent any more.
    closed: bool,
    /// The connection's task, when it waits for room or for the end.
    waiting: Option<Waker>,
}

/// What a try to send came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Everything that was released.
    All,
    /// The client does not take more now.
    Blocked,
    /// The client is gone.
    Closed,
}

impl Outbox {
    /// Larger buffers are given back when they are empty.
    const KEPT_MAX: usize = 8 * 1024;

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.sent > OUTBOX_MAX
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Everything in here may be sent.
    pub(super) fn release(&mut self) {
        self.released = self.bytes.len();
    }

    /// Sends what has been released, by `write`.
    pub(super) fn send(&mut self, write: impl Fn(&[u8]) -> io::Result<usize>) -> Sent {
        while self.sent < self.released {
            match write(&self.bytes[self.sent..self.released]) {
                Ok(0) => return self.close(),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wake_if(!self.is_full());
                    return Sent::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close(),
            }
        }
        self.forget_sent();
        self.wake_if(true);
        Sent::All
    }

    /// Throws away what is not sent: it cannot be, or must not.
    pub(super) fn close(&mut self) -> Sent {
        self.closed = true;
        self.bytes = Vec::new();
        self.sent = 0;
        self.released = 0;
        self.wake_if(true);
        Sent::Closed
    }

    /// Ready when there is room for more.
    pub(super) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_until(cx, !self.is_full())
    }

    /// Ready when everything has been sent.
    pub(super) fn poll_empty(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_until(cx, self.is_empty())
    }

    fn poll_until(&mut self, cx: &Context<'_>, reached: bool) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if reached {
            return Poll::Ready(Ok(()));
        }
        // All who wait belong to the connection's one task.
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    fn forget_sent(&mut self) {
        if self.sent < self.bytes.len() {
            self.bytes.drain(..self.sent);
        } else if self.bytes.capacity() > Self::KEPT_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
        self.sent = 0;
        self.released = 0;
    }

    fn wake_if(&mut self, condition: bool) {
        if condition && let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A client that takes `room` bytes.
    fn taken(outbox: &mut Outbox, room: usize) -> (Sent, Vec<u8>) {
        let got = RefCell::new(Vec::new());
        let sent = outbox.send(|bytes| {
            let free = room - got.borrow().len();
            if free == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let written = bytes.len().min(free);
            got.borrow_mut().extend_from_slice(&bytes[..written]);
            Ok(written)
        });
        (sent, got.into_inner())
    }

    #[test]
    fn only_what_was_released_is_sent() {
        let mut outbox = Outbox::default();
        outbox.push(b"one");
        assert_eq!(taken(&mut outbox, 9), (Sent::All, b"".to_vec()));
        outbox.release();
        outbox.push(b"two");
        assert_eq!(taken(&mut outbox, 9), (Sent::All, b"one".to_vec()));
        assert!(!outbox.is_empty());
        outbox.release();
        assert_eq!(taken(&mut outbox, 9), (Sent::All, b"two".to_vec()));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_client_that_takes_less_gets_the_rest_later_in_order() {
        let mut outbox = Outbox::default();
        outbox.push(b"abcdef");
        outbox.release();
        assert_eq!(taken(&mut outbox, 2), (Sent::Blocked, b"ab".to_vec()));
        outbox.push(b"ghi");
        assert_eq!(taken(&mut outbox, 9), (Sent::All, b"cdef".to_vec()));
        outbox.release();
        assert_eq!(taken(&mut outbox, 9), (Sent::All, b"ghi".to_vec()));
    }

    #[test]
    fn a_full_outbox_makes_wait_and_a_closed_one_fails() {
        let mut outbox = Outbox::default();
        let cx = Context::from_waker(Waker::noop());
        outbox.push(&vec![0; OUTBOX_MAX + 1]);
        assert!(outbox.poll_room(&cx).is_pending());
        outbox.release();
        assert_eq!(taken(&mut outbox, 1).0, Sent::Blocked);
        assert!(outbox.poll_room(&cx).is_ready() && outbox.poll_empty(&cx).is_pending());
        outbox.close();
        assert!(matches!(outbox.poll_room(&cx), Poll::Ready(Err(_))));
    }
}
