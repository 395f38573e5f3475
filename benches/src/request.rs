//! The bytes of requests. Everything but the call id is made once; a request is then four copies.

/// Characters of a UUID.
pub const CALL_ID_LEN: usize = 36;
/// The last group of a UUID: what counts up.
const COUNTED: usize = 12;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Admit,
    Release,
}

impl Operation {
    pub const fn path(self) -> &'static str {
        match self {
            Self::Admit => "/v1/calls/admit",
            Self::Release => "/v1/calls/release",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Release => "release",
        }
    }

    /// The JSON object without its first brace, around a place for the call id.
    const fn members(self) -> (&'static str, &'static str) {
        match self {
            Self::Admit => (
                r#""call_id":""#,
                r#"","from":"+912250001000","to":"+919800012345","source":"load"}"#,
            ),
            Self::Release => (r#""call_id":""#, r#"","outcome":"completed","billable_s":30}"#),
        }
    }
}

pub const BATCH_PATH: &str = "/v1/calls/batch";

/// The call ids of one connection: UUIDs that differ in their last group.
#[derive(Clone, Debug)]
pub struct CallIds {
    prefix: [u8; CALL_ID_LEN - COUNTED],
}

impl CallIds {
    /// Ids that nobody with another `seed` makes.
    pub fn new(seed: u128) -> Self {
        let digits = format!("{seed:032x}");
        let text = format!(
            "{}-{}-4{}-8{}-",
            &digits[..8],
            &digits[8..12],
            &digits[12..15],
            &digits[15..18]
        );
        let mut prefix = [0; CALL_ID_LEN - COUNTED];
        prefix.copy_from_slice(text.as_bytes());
        Self { prefix }
    }

    /// Appends the id of one call.
    pub fn append(&self, call: u64, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut group = [0; COUNTED];
        let mut rest = call;
        for place in group.iter_mut().rev() {
            *place = DIGITS[usize::from((rest & 0xf) as u8)];
            rest >>= 4;
        }
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&group);
    }
}

/// One sort of request: everything before and after the call id.
#[derive(Clone, Debug)]
pub struct Template {
    before: Vec<u8>,
    after: &'static [u8],
}

impl Template {
    /// A whole HTTP request.
    pub fn http(operation: Operation, host: &str, key: &str) -> Self {
        let (before, after) = operation.members();
        let length = 1 + before.len() + CALL_ID_LEN + after.len();
        let head = head(operation.path(), "application/json", host, key, length);
        Self { before: format!("{head}{{{before}").into_bytes(), after: after.as_bytes() }
    }

    /// One line of a batch. Batches carry no numbers dialled: they replay what a queue kept.
    pub fn line(operation: Operation) -> Self {
        let name = operation.name();
        Self { before: format!(r#"{{"op":"{name}","call_id":""#).into_bytes(), after: b"\"}\n" }
    }

    pub fn append(&self, ids: &CallIds, call: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        ids.append(call, out);
        out.extend_from_slice(self.after);
    }

    const fn len(&self) -> usize {
        self.before.len() + CALL_ID_LEN + self.after.len()
    }
}

/// A batch: some admits, then their releases.
#[derive(Clone, Debug)]
pub struct BatchTemplate {
    head: Vec<u8>,
    admit: Template,
    release: Template,
    calls: u64,
}

impl BatchTemplate {
    /// `calls` admits and as many releases.
    pub fn new(calls: u64, host: &str, key: &str) -> Self {
        let (admit, release) =
            (Template::line(Operation::Admit), Template::line(Operation::Release));
        let lines = usize::try_from(calls).unwrap_or(usize::MAX);
        let length = (admit.len() + release.len()).saturating_mul(lines);
        let head = head(BATCH_PATH, "application/x-ndjson", host, key, length).into_bytes();
        Self { head, admit, release, calls }
    }

    /// The batch of the calls that follow `first`, it included.
    pub fn append(&self, ids: &CallIds, first: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        for template in [&self.admit, &self.release] {
            (first..first + self.calls).for_each(|call| template.append(ids, call, out));
        }
    }
}

fn head(path: &str, content_type: &str, host: &str, key: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: &[u8]) -> (String, String) {
        let text = String::from_utf8(request.to_vec()).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    #[test]
    fn a_request_is_as_long_as_it_says_and_its_body_is_json() {
        let ids = CallIds::new(0x0123_4567_89ab_cdef << 64);
        for operation in [Operation::Admit, Operation::Release] {
            let mut out = Vec::new();
            Template::http(operation, "h", "k").append(&ids, 0xabc, &mut out);
            let (head, body) = parts(&out);
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(body["call_id"], "01234567-89ab-4cde-8f00-000000000abc");
        }
    }

    #[test]
    fn a_batch_is_its_admits_then_their_releases() {
        let mut out = Vec::new();
        BatchTemplate::new(2, "h", "k").append(&CallIds::new(0), 7, &mut out);
        let (head, body) = parts(&out);
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let lines: Vec<serde_json::Value> =
            body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let operations: Vec<&str> = lines.iter().filter_map(|line| line["op"].as_str()).collect();
        assert_eq!(operations, ["admit", "admit", "release", "release"]);
        assert_eq!(lines[1]["call_id"], lines[3]["call_id"]);
        assert_ne!(lines[0]["call_id"], lines[1]["call_id"]);
    }
}
