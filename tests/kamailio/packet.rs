//! Single SIP packets, for what `SIPp` cannot send: repeated ones, and odd Call-IDs.

use std::net::{SocketAddr, UdpSocket};

use crate::proxy::ENGINE;
use crate::sipp::{CALLED, CALLING};

/// A caller with a socket of its own.
pub struct Caller {
    socket: UdpSocket,
    proxy: SocketAddr,
    pub call_id: String,
}

impl Caller {
    /// Its From tag is `tag`.
    #[track_caller]
    pub fn new(proxy: SocketAddr, call_id: &str) -> Self {
        let socket = UdpSocket::bind((ENGINE, 0)).expect("a free port");
        Self { socket, proxy, call_id: call_id.to_owned() }
    }

    /// Sends the INVITE of the attempt with this `CSeq` number.
    #[track_caller]
    pub fn invite(&self, attempt: u32) {
        self.send("INVITE", attempt);
    }

    /// Gives the attempt up.
    #[track_caller]
    pub fn cancel(&self, attempt: u32) {
        self.send("CANCEL", attempt);
    }

    fn send(&self, method: &str, attempt: u32) {
        let mine = self.socket.local_addr().expect("bound");
        let (proxy, call_id) = (self.proxy, &self.call_id);
        let packet = format!(
            "{method} sip:{CALLED}@{proxy} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {mine};branch=z9hG4bK-{attempt}\r\n\
             From: <sip:{CALLING}@{mine}>;tag=tag\r\nTo: <sip:{CALLED}@{proxy}>\r\n\
             Call-ID: {call_id}\r\nCSeq: {attempt} {method}\r\nContact: <sip:{mine}>\r\n\
             Max-Forwards: 10\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(packet.as_bytes(), self.proxy).expect("loopback takes it");
    }
}
