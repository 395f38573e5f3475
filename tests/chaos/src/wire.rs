//! One request of a stack and what it learns from the answer. Never tries anything twice.

use serde_json::Value;
use support::{Client, Nanos, now};

/// What an answer means to a stack.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Done(Value),
    NoSlot,
    /// 410: the call has ended.
    Ended,
    /// 404: no such call.
    Unknown,
    /// 503, or no answer: ask elsewhere.
    Away,
    /// Anything else.
    Odd(String),
}

pub struct Asked {
    pub sent: Nanos,
    pub heard: Nanos,
    pub said: Said,
    /// There was no answer at all.
    pub is_silent: bool,
}

pub fn ask(client: &mut Client, method: &str, path: &str, body: &Value) -> Asked {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let json = [("Content-Type", "application/json")];
    let headers = if body.is_null() { &[][..] } else { &json[..] };
    let sent = now();
    let answer = client.request(method, path, headers, text.as_bytes());
    let heard = now();
    let is_silent = answer.is_err();
    let said = match answer {
        Err(_) => Said::Away,
        Ok(answer) => match serde_json::from_slice::<Value>(&answer.body) {
            Err(_) => Said::Odd(format!("{}: {}", answer.status, answer.text())),
            Ok(body) => match (answer.status, body["reason"].as_str()) {
                (200, _) => Said::Done(body),
                (409, Some("no_slot")) => Said::NoSlot,
                (410, Some("call_ended")) => Said::Ended,
                (404, Some("unknown_call")) => Said::Unknown,
                (503, _) => Said::Away,
                (status, _) => Said::Odd(format!("{status}: {body}")),
            },
        },
    };
    Asked { sent, heard, said, is_silent }
}
