//! A client that sends exactly the bytes it is told to, and reads answers one by one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// The fields that an `invalid_request` names.
    pub fn bad_fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().expect("a list of errors");
        let mut names: Vec<_> =
            errors.iter().map(|bad| bad["field"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    }
}

/// Over a socket, or over TLS.
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
    key: String,
}

/// Longer than any answer takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    pub fn connect(address: SocketAddr, key: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self::over(stream, key)
    }

    pub fn end(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).expect("ended");
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S, key: &str) -> Self {
        Self { stream: BufReader::new(stream), key: key.to_owned() }
    }

    /// The stream below, from which nothing of an answer has been read ahead.
    pub fn stream(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    pub fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", self.standing())).expect("sent");
        self.reply()
    }

    pub fn post(&mut self, target: &str, body: &str) -> Reply {
        self.post_with(target, "Content-Type: application/json\r\n", body.as_bytes())
    }

    pub fn post_with(&mut self, target: &str, headers: &str, body: &[u8]) -> Reply {
        self.send(self.request(target, headers, body)).expect("sent");
        self.reply()
    }

    /// The bytes of a POST.
    pub fn request(&self, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\n{}{headers}Content-Length: {length}\r\n\r\n",
            self.standing()
        );
        [head.as_bytes(), body].concat()
    }

    fn standing(&self) -> String {
        match self.key.as_str() {
            "" => "Host: localhost\r\n".to_owned(),
            key => format!("Host: localhost\r\nAuthorization: Bearer {key}\r\n"),
        }
    }

    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("an answer").expect("an answer, not the end")
    }

    /// `None`: the server has ended the connection.
    pub fn try_reply(&mut self) -> io::Result<Option<Reply>> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.expect("a status line");
        let mut headers = Vec::new();
        while let Some(line) = self.line()?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("a header");
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: String::new() };
        let body = if reply.header("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else {
            let length = reply.header("content-length").and_then(|length| length.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            self.stream.read_exact(&mut body)?;
            body
        };
        reply.body = String::from_utf8(body).expect("utf-8");
        Ok(Some(reply))
    }

    /// Whether the server ends the connection without another byte.
    pub fn is_ended(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end().to_owned()))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?.expect("a chunk");
            let length = usize::from_str_radix(&line, 16).expect("a length");
            let from = body.len();
            body.resize(from + length, 0);
            self.stream.read_exact(&mut body[from..])?;
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}
