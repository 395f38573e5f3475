//! Reads HTTP/1.1 answers off a stream of bytes: the status and the body, by length or in chunks.
//! Looks at nothing else, since it shares the machine with the server it measures.

use std::io::{self, Read};

use memchr::memmem;

/// The most that one answer may take: a batch of 10,000 lines.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const STATUS_AT: usize = "HTTP/1.1 ".len();
const HEAD_END: &[u8] = b"\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// The server sent what is not an HTTP/1.1 answer of the sort it should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an HTTP/1.1 answer with a status and a length")]
pub struct Malformed;

/// What has arrived on a connection and was not looked at yet.
pub struct AnswerReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// A body of several chunks, put together.
    joined: Vec<u8>,
}

impl AnswerReader {
    pub fn new(capacity: usize) -> Self {
        Self { buffer: vec![0; capacity], start: 0, end: 0, joined: Vec::new() }
    }

    /// Forgets everything: the connection is a new one.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads once; 0 when the server has closed the connection.
    pub fn fill(&mut self, mut stream: impl Read) -> io::Result<usize> {
        if self.start == self.end {
            self.clear();
        } else if self.end == self.buffer.len() {
            self.make_room();
        }
        let read = stream.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// The next answer that has arrived whole.
    pub fn next_answer(&mut self) -> Result<Option<Answer<'_>>, Malformed> {
        let arrived = &self.buffer[self.start..self.end];
        let Some(head_end) = memmem::find(arrived, HEAD_END) else {
            return Ok(None);
        };
        let body_at = head_end + HEAD_END.len();
        let head = &arrived[..head_end];
        let status = status(head).ok_or(Malformed)?;
        match framing(head)? {
            Framing::Length(length) => {
                within_limit(length)?;
                let Some(body) = arrived[body_at..].get(..length) else {
                    return Ok(None);
                };
                self.start += body_at + length;
                Ok(Some(Answer { status, body }))
            }
            Framing::Chunked => {
                self.joined.clear();
                let Some(length) = join_chunks(&arrived[body_at..], &mut self.joined)? else {
                    return Ok(None);
                };
                self.start += body_at + length;
                Ok(Some(Answer { status, body: &self.joined }))
            }
        }
    }

    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end * 2 > self.buffer.len() {
            let doubled = (self.buffer.len() * 2).min(ANSWER_BYTES_MAX + self.end);
            self.buffer.resize(doubled.max(self.end + 1), 0);
        }
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

fn within_limit(length: usize) -> Result<(), Malformed> {
    if length <= ANSWER_BYTES_MAX { Ok(()) } else { Err(Malformed) }
}

fn status(head: &[u8]) -> Option<u16> {
    if !head.starts_with(b"HTTP/1.1 ") {
        return None;
    }
    std::str::from_utf8(head.get(STATUS_AT..STATUS_AT + 3)?).ok()?.parse().ok()
}

fn framing(head: &[u8]) -> Result<Framing, Malformed> {
    let mut rest = head;
    while let Some(line_end) = memmem::find(rest, LINE_END) {
        rest = &rest[line_end + LINE_END.len()..];
        if let Some(value) = value_of(rest, b"content-length:") {
            let length = number(value, 10).ok_or(Malformed)?;
            return Ok(Framing::Length(length));
        }
        if value_of(rest, b"transfer-encoding:").is_some() {
            return Ok(Framing::Chunked);
        }
    }
    Err(Malformed)
}

/// The value of the header line that `rest` begins with, if it is the one named.
fn value_of<'a>(rest: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let line = rest.get(..name.len())?;
    if !line.eq_ignore_ascii_case(name) {
        return None;
    }
    let value = &rest[name.len()..];
    let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
    Some(value[..end].trim_ascii())
}

fn number(digits: &[u8], radix: u32) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

/// Puts the chunks together; the bytes they took, or `None` when the last has not arrived.
fn join_chunks(bytes: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, Malformed> {
    let mut at = 0;
    loop {
        let Some(line_end) = memmem::find(&bytes[at..], LINE_END) else {
            return Ok(None);
        };
        let length = number(bytes[at..at + line_end].trim_ascii(), 16).ok_or(Malformed)?;
        within_limit(length)?;
        let data_at = at + line_end + LINE_END.len();
        let data_end = data_at + length;
        let Some(data) = bytes.get(data_at..data_end + LINE_END.len()) else {
            return Ok(None);
        };
        if !data.ends_with(LINE_END) {
            return Err(Malformed);
        }
        at = data_end + LINE_END.len();
        if length == 0 {
            return Ok(Some(at));
        }
        body.extend_from_slice(&data[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndate: x\r\n\r\nok\
        HTTP/1.1 409 Conflict\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
        HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n";

    fn read_in_pieces(piece: usize) -> Vec<(u16, Vec<u8>)> {
        let mut reader = AnswerReader::new(16);
        let mut answers = Vec::new();
        for bytes in TWO.chunks(piece) {
            let mut rest = bytes;
            while !rest.is_empty() {
                reader.fill(&mut rest).expect("memory");
                while let Some(answer) = reader.next_answer().expect("well formed") {
                    answers.push((answer.status, answer.body.to_vec()));
                }
            }
        }
        answers
    }

    #[test]
    fn answers_are_read_however_they_arrive() {
        let expected = [(200, b"ok".to_vec()), (409, b"abc0123456789".to_vec()), (204, Vec::new())];
        for piece in [1, 2, 7, 31, TWO.len()] {
            assert_eq!(read_in_pieces(piece), expected, "{piece} bytes at a time");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for wrong in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut reader = AnswerReader::new(256);
            reader.fill(wrong).expect("memory");
            assert_eq!(reader.next_answer(), Err(Malformed), "{}", wrong.escape_ascii());
        }
    }
}
