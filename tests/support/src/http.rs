//! A small blocking HTTP/1.1 client: one keep-alive connection, nothing hidden, no retries.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::Value;

use crate::tls::{self, TlsStream};

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value; names in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            unreachable!("{} with a body that is not JSON ({error}): {}", self.status, self.text())
        })
    }

    /// The body as JSON, of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The body as JSON, of an answer that must be some success.
    #[track_caller]
    pub fn success(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self.expect(self.status)
    }

    /// The reason of a denial that must have this status.
    #[track_caller]
    pub fn reason(&self, status: u16) -> String {
        let problem = self.expect(status);
        problem["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// One connection, opened when first needed and again after an error.
pub struct Client {
    address: SocketAddr,
    authorization: Option<String>,
    /// Whom it trusts; `None`: plain text.
    tls: Option<Arc<ClientConfig>>,
    /// How long it waits for a connection, and for each part of an answer.
    patience: Duration,
    connection: Option<BufReader<Wire>>,
}

/// What a connection goes over.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Client {
    /// With an empty key, no `Authorization` is sent.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        let authorization = (!key.is_empty()).then(|| format!("Bearer {key}"));
        Self { address, authorization, tls: None, patience: ANSWER_MAX, connection: None }
    }

    /// The same client, which gives a request up earlier.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same client by TLS.
    #[must_use]
    pub fn by_tls(self, trusted: &Arc<ClientConfig>) -> Self {
        Self { tls: Some(Arc::clone(trusted)), ..self }
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"").expect("an answer")
    }

    #[track_caller]
    pub fn delete(&mut self, path: &str) -> Response {
        self.request("DELETE", path, &[], b"").expect("an answer")
    }

    #[track_caller]
    pub fn post(&mut self, path: &str, body: &Value) -> Response {
        self.try_post(path, body).expect("an answer")
    }

    #[track_caller]
    pub fn patch(&mut self, path: &str, body: &Value) -> Response {
        let json = [("Content-Type", "application/json")];
        self.request("PATCH", path, &json, body.to_string().as_bytes()).expect("an answer")
    }

    /// For servers that may be gone.
    pub fn try_post(&mut self, path: &str, body: &Value) -> io::Result<Response> {
        let json = [("Content-Type", "application/json")];
        self.request("POST", path, &json, body.to_string().as_bytes())
    }

    /// One request with exactly these headers besides `Host`, `Authorization` and `Content-Length`.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut lines =
            vec![format!("{method} {path} HTTP/1.1"), format!("Host: {}", self.address)];
        lines.extend(self.authorization.iter().map(|value| format!("Authorization: {value}")));
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !body.is_empty() || method != "GET" {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        lines.push("\r\n".to_owned());
        let mut request = lines.join("\r\n").into_bytes();
        request.extend_from_slice(body);
        let answer = self.exchange(&request);
        if answer.as_ref().map_or(true, |answer| answer.header("connection") == Some("close")) {
            self.connection = None;
        }
        answer
    }

    /// Sends bytes as they are and reads one answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        if self.connection.is_none() {
            self.connection = Some(BufReader::new(self.connect()?));
        }
        let connection = self.connection.as_mut().expect("just opened");
        let sent = connection.get_mut().write_all(request);
        // A server may answer and close before it has read everything: the answer counts.
        match (read_response(connection), sent) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }

    fn connect(&self) -> io::Result<Wire> {
        if let Some(trusted) = &self.tls {
            return Ok(Wire::Tls(Box::new(tls::connect(self.address, trusted)?)));
        }
        let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(Wire::Plain(stream))
    }
}

/// Reads one answer with a length or in chunks.
pub fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    let status_line = line(stream)?;
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| malformed(&status_line))?;
    let mut headers = Vec::new();
    loop {
        let header = line(stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| malformed(&header))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = chunks(stream)?;
    } else if status != 204 && status != 304 {
        let length = response.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| malformed(length))?;
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    }
    Ok(response)
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| malformed(&size))?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(64 * 1024).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| malformed("a header that is not UTF-8"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what:?}"))
}
