//! One HTTP request at a time, for setting things up and looking at metrics. Not for measuring.

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

/// Sends a request with a JSON body, or without one, and reads the answer.
pub fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&serde_json::Value>,
) -> io::Result<Whole> {
    let body = body.map(serde_json::Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = AnswerReader::new(READ_BYTES);
    loop {
        if reader.fill(&stream)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(answer) = reader.next_answer().map_err(io::Error::other)? {
            return Ok(Whole { status: answer.status, body: answer.body.to_vec() });
        }
    }
}
