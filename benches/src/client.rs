//! One HTTP request at a time, for setting things up, looking at metrics and asking when something has
//! come into force. Not for load.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::answer::AnswerReader;

const TIMEOUT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 64 * 1024;

/// What was answered, whole.
#[derive(Debug)]
pub struct Whole {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Whole {
    /// The body as JSON if the status is of success; else an error that quotes the answer.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        if !(200..300).contains(&self.status) {
            return Err(io::Error::other(format!(
                "status {}: {}",
                self.status,
                self.body.escape_ascii()
            )));
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// A keep-alive connection with a key.
pub struct Client {
    stream: TcpStream,
    reader: AnswerReader,
    host: SocketAddr,
    key: String,
}

impl Client {
    pub fn open(address: SocketAddr, key: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let reader = AnswerReader::new(READ_BYTES);
        Ok(Self { stream, reader, host: address, key: key.to_owned() })
    }

    /// Sends a request with a JSON body, or without one, and reads the answer.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> io::Result<Whole> {
        let Self { stream, reader, host, key } = self;
        let body = body.map(serde_json::Value::to_string).unwrap_or_default();
        // One write: what is sent in pieces waits for the first to be acknowledged.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        loop {
            if reader.fill(&*stream)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = reader.next_answer().map_err(io::Error::other)? {
                return Ok(Whole { status: answer.status, body: answer.body.to_vec() });
            }
        }
    }
}

/// One request on a connection of its own.
pub fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&serde_json::Value>,
) -> io::Result<Whole> {
    Client::open(address, key)?.send(method, path, body)
}
