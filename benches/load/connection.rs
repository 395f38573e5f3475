//! One keep-alive connection: writes requests, matches answers to them in order and counts them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use benches::answer::{Answer, AnswerReader};
use benches::request::{BatchTemplate, CallIds, Operation, Template};

use crate::calls::Calls;
use crate::tally::{Tally, Verdict};

const READ_BYTES: usize = 64 * 1024;
/// A batch of 100 is answered with some 30 KiB.
const BATCH_READ_BYTES: usize = 1024 * 1024;

/// The requests of one key.
pub struct Templates {
    pub admit: Template,
    pub release: Template,
}

impl Templates {
    const fn of(&self, operation: Operation) -> &Template {
        match operation {
            Operation::Admit => &self.admit,
            Operation::Release => &self.release,
        }
    }
}

/// What is sent on a connection.
pub struct Script<'a> {
    /// One per key, at least one.
    pub templates: &'a [Templates],
    /// As many calls as batches hold, and one template per key; empty: no batches.
    pub batches: &'a [BatchTemplate],
    pub batch_calls: u64,
    pub rotate_keys: bool,
}

/// A request without an answer.
struct Asked {
    what: What,
    due_ns: u64,
}

#[derive(Clone, Copy)]
enum What {
    One(Operation, u64),
    /// By its first call.
    Batch,
}

pub struct Connection {
    target: SocketAddr,
    stream: TcpStream,
    reader: AnswerReader,
    out: Vec<u8>,
    written: usize,
    waiting: VecDeque<Asked>,
    calls: Calls,
    ids: CallIds,
    key: usize,
    next_batched: u64,
}

impl Connection {
    /// `seed` names its calls, `key` the key of its first.
    pub fn open(
        target: SocketAddr,
        seed: u128,
        key: usize,
        live: usize,
        batch: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            target,
            stream: connect(target)?,
            reader: AnswerReader::new(if batch { BATCH_READ_BYTES } else { READ_BYTES }),
            out: Vec::new(),
            written: 0,
            waiting: VecDeque::new(),
            calls: Calls::new(live),
            ids: CallIds::new(seed),
            key,
            next_batched: 0,
        })
    }

    /// A new stream in place of a broken one; the number of requests that were never answered.
    pub fn reopen(&mut self) -> io::Result<usize> {
        self.stream = connect(self.target)?;
        self.reader.clear();
        self.out.clear();
        self.written = 0;
        let lost = self.waiting.len();
        self.waiting.clear();
        Ok(lost)
    }

    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the socket took less than there is to send.
    pub const fn is_blocked(&self) -> bool {
        self.written < self.out.len()
    }

    /// Appends the next request.
    pub fn ask(&mut self, script: &Script<'_>, due_ns: u64) {
        if script.batches.is_empty() {
            let (operation, call) = self.calls.next();
            return self.ask_one(script, operation, call, due_ns);
        }
        let batch = &script.batches[self.key % script.batches.len()];
        batch.append(&self.ids, self.next_batched, &mut self.out);
        self.next_batched += script.batch_calls;
        self.waiting.push_back(Asked { what: What::Batch, due_ns });
    }

    /// Appends the release of a call that is still live; `false` when there is none.
    pub fn ask_release(&mut self, script: &Script<'_>, due_ns: u64) -> bool {
        let Some(call) = self.calls.next_release() else {
            return false;
        };
        self.ask_one(script, Operation::Release, call, due_ns);
        true
    }

    fn ask_one(&mut self, script: &Script<'_>, operation: Operation, call: u64, due_ns: u64) {
        let rotation = if script.rotate_keys { usize::try_from(call).unwrap_or(0) } else { 0 };
        let key = self.key.wrapping_add(rotation) % script.templates.len();
        script.templates[key].of(operation).append(&self.ids, call, &mut self.out);
        self.waiting.push_back(Asked { what: What::One(operation, call), due_ns });
    }

    /// Writes what the socket takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.is_blocked() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once and counts the answers that are whole.
    pub fn receive(&mut self, clock: impl Fn() -> u64, tally: &mut Tally) -> io::Result<()> {
        match self.reader.fill(&self.stream) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let now_ns = clock();
        let invalid = |what: &'static str| io::Error::new(ErrorKind::InvalidData, what);
        loop {
            let answer = self.reader.next_answer().map_err(|_| invalid("not an answer"))?;
            let Some(answer) = answer else { return Ok(()) };
            let asked = self.waiting.pop_front().ok_or_else(|| invalid("an answer to nothing"))?;
            let latency_ns = now_ns.saturating_sub(asked.due_ns);
            tally.answered(latency_ns);
            match asked.what {
                What::One(operation, call) => {
                    if operation == Operation::Admit {
                        tally.answered_admit(latency_ns);
                    }
                    count(&mut self.calls, operation, call, &answer, tally);
                }
                What::Batch => count_batch(&answer, tally),
            }
        }
    }
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn count(
    calls: &mut Calls,
    operation: Operation,
    call: u64,
    answer: &Answer<'_>,
    tally: &mut Tally,
) {
    match (operation, Verdict::of(answer.status, answer.body)) {
        (Operation::Admit, Verdict::Yes) => tally.admitted += 1,
        (Operation::Release, Verdict::Yes) => tally.released += 1,
        (Operation::Admit, Verdict::Refused(reason)) => {
            calls.refused(call);
            tally.refused(reason);
        }
        (Operation::Release, Verdict::Unknown) if calls.was_refused(call) => {}
        (operation, verdict) => {
            if operation == Operation::Admit {
                calls.refused(call);
            }
            tally.error(what_is_wrong(verdict));
        }
    }
}

/// Lines are answered in order: some admits, then as many releases. A call that was refused has no
/// release to count.
fn count_batch(answer: &Answer<'_>, tally: &mut Tally) {
    if answer.status != 200 {
        return tally.error(what_is_wrong(Verdict::of(answer.status, answer.body)));
    }
    let (mut admitted, mut refused, mut released, mut unknown) = (0, 0, 0, 0);
    for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match Verdict::of_line(line) {
            Verdict::Yes if line.starts_with(b"{\"admitted\":true") => admitted += 1,
            Verdict::Yes => released += 1,
            Verdict::Refused(reason) => {
                refused += 1;
                tally.refused(reason);
            }
            Verdict::Unknown => unknown += 1,
            wrong @ Verdict::Wrong(_) => tally.error(what_is_wrong(wrong)),
        }
    }
    tally.admitted += admitted;
    tally.released += released;
    if unknown != refused || admitted != released {
        tally.error("a batch whose admits and releases do not match");
    }
}

const fn what_is_wrong(verdict: Verdict<'_>) -> &str {
    match verdict {
        Verdict::Yes => "an unexpected yes",
        Verdict::Refused(reason) | Verdict::Wrong(reason) => reason,
        Verdict::Unknown => "unknown_call",
    }
}
