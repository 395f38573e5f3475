//! Writes named values in the form of the answer, into one buffer, without a tree between.
//!
//! A member's name is given as JSON has it, with all that stands before the value: `,"in_use":`, or
//! `{"in_use":` of the first one. So it is stored in one piece; the other forms take the bare name out.

use std::fmt::Display;
use std::io::Write as _;

use hub::id::AccountId;
use hub::money::MajorUnits;
use itoa::Integer;

use super::format::Format;
use super::time::Times;
use crate::http::bytes;

/// Room for an ordinary answer, so that it is written without growing.
const ANSWER_LEN: usize = 512;

/// One answer, or the answers of a batch, one after the other.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    out: Vec<u8>,
    /// Where the answer that is being written begins.
    start: usize,
    times: Times,
    account: AccountText,
}

/// The text of the account that was written last: the answers of a batch name the same one.
#[derive(Clone, Copy, Debug, Default)]
struct AccountText {
    id: Option<AccountId>,
    digits: [u8; AccountId::TEXT_MAX],
    len: usize,
}

impl AccountText {
    fn of(id: AccountId) -> Self {
        let mut digits = [0; AccountId::TEXT_MAX];
        let len = id.write(&mut digits).len();
        Self { id: Some(id), digits, len }
    }
}

impl Writer {
    pub fn new(format: Format) -> Self {
        Self::with_room(format, ANSWER_LEN)
    }

    pub fn with_room(format: Format, bytes: usize) -> Self {
        Self {
            format,
            out: Vec::with_capacity(bytes),
            start: 0,
            times: Times::default(),
            account: AccountText::default(),
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Ends a line of NDJSON; the next answer begins after it.
    pub fn end_line(&mut self) {
        self.out.push(b'\n');
        self.start = self.out.len();
    }

    /// As [`Writer::end_line`], of an answer that is no problem: those have their status already.
    pub fn end_line_with_status(&mut self) {
        debug_assert!(self.format == Format::Json && self.out.last() == Some(&b'}'));
        self.out.pop();
        self.out.extend_from_slice(b",\"status\":200}\n");
        self.start = self.out.len();
    }

    /// Takes back what was written of the current answer.
    pub fn restart(&mut self) {
        self.out.truncate(self.start);
    }

    /// An answer that has a form of its own.
    #[inline]
    pub fn verbatim(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Begins an answer. `verdict` is its first word where it is not JSON.
    pub fn open(&mut self, verdict: &str) {
        match self.format {
            // The brace stands in the name of the first member.
            Format::Json => {}
            Format::Text => self.out.extend_from_slice(verdict.as_bytes()),
            Format::Form => {
                self.out.extend_from_slice(b"result=");
                self.out.extend_from_slice(verdict.as_bytes());
            }
        }
    }

    pub fn close(&mut self) {
        match self.format {
            Format::Json => self.out.push(b'}'),
            Format::Text => self.out.push(b'\n'),
            Format::Form => {}
        }
    }

    /// Any text.
    #[inline]
    pub fn text(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.name(name);
        let value = value.as_ref();
        match self.format {
            Format::Json => json_string(&mut self.out, value),
            Format::Text => text_word(&mut self.out, value),
            Format::Form => {
                let encoded = form_urlencoded::byte_serialize(value);
                encoded.for_each(|part| self.out.extend_from_slice(part.as_bytes()));
            }
        }
    }

    /// Text that is the same in every form: ids, words, base64url.
    #[inline]
    pub fn word(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.name(name);
        self.quoted(value.as_ref());
    }

    /// The account that a call belongs to.
    pub fn account(&mut self, name: &str, account: AccountId) {
        self.name(name);
        if self.account.id != Some(account) {
            self.account = AccountText::of(account);
        }
        let text = self.account;
        self.quoted(&text.digits[..text.len]);
    }

    pub fn amount(&mut self, name: &str, amount: MajorUnits) {
        self.word(name, amount.write(&mut [0; MajorUnits::LEN_MAX]));
    }

    #[inline]
    fn quoted(&mut self, value: &[u8]) {
        if self.format == Format::Json {
            self.out.push(b'"');
            self.out.extend_from_slice(value);
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(value);
        }
    }

    /// As [`Writer::word`], of what prints itself.
    pub fn printed(&mut self, name: &str, value: impl Display) {
        self.word(name, "");
        let quote = self.format == Format::Json && self.out.pop().is_some();
        // Writing into a vector does not fail.
        drop(write!(self.out, "{value}"));
        if quote {
            self.out.push(b'"');
        }
    }

    #[inline]
    pub fn number(&mut self, name: &str, value: impl Integer) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    #[inline]
    pub fn number_or_null(&mut self, name: &str, value: Option<impl Integer>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.null(name),
        }
    }

    #[inline]
    pub fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Nothing after the `=` where it is not JSON.
    #[inline]
    pub fn null(&mut self, name: &str) {
        self.name(name);
        if self.format == Format::Json {
            self.out.extend_from_slice(b"null");
        }
    }

    /// Members whose values never change: `,"state":"live"`. No name and no value has a comma.
    #[inline]
    pub fn constants(&mut self, members: &str) {
        if self.format == Format::Json {
            self.verbatim(members);
        } else {
            self.line_constants(members);
        }
    }

    #[cold]
    fn line_constants(&mut self, members: &str) {
        for member in members.split(',').skip(1) {
            self.line_name(member);
            let value = member.split_once(':').map_or("", |(_, value)| value);
            if value != "null" {
                self.verbatim(value.trim_matches('"'));
            }
        }
    }

    /// A moment, in microseconds since 1970.
    #[inline]
    pub fn time(&mut self, name: &str, at_us: i64) {
        self.name(name);
        let text = *self.times.rfc3339(at_us);
        self.quoted(&text);
    }

    #[inline]
    pub fn time_or_null(&mut self, name: &str, at_us: Option<i64>) {
        match at_us {
            Some(at_us) => self.time(name, at_us),
            None => self.null(name),
        }
    }

    /// A list of objects; JSON only. `write` writes each with [`Writer::open`] and
    /// [`Writer::close`].
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.name(name);
        self.out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self, item);
        }
        self.out.push(b']');
    }

    /// What JSON has before the value that is written next, such as `,"in_use":`.
    #[inline]
    pub fn name(&mut self, name: &str) {
        if self.format == Format::Json {
            self.out.extend_from_slice(name.as_bytes());
        } else {
            self.line_name(name);
        }
    }

    #[cold]
    fn line_name(&mut self, name: &str) {
        let separator = if self.format == Format::Text { b' ' } else { b'&' };
        self.out.push(separator);
        let bare = name.split('"').nth(1).unwrap_or_default();
        self.out.extend_from_slice(bare.as_bytes());
        self.out.push(b'=');
    }
}

fn json_string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    if bytes::stand_for_themselves(value) {
        out.extend_from_slice(value);
    } else {
        escaped(out, value);
    }
    out.push(b'"');
}

#[cold]
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    let mut plain_from = 0;
    for (index, byte) in value.iter().copied().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&value[plain_from..index]);
        plain_from = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&value[plain_from..]);
}

/// A word of the one-line form: in quotes when it would not be read as one.
fn text_word(out: &mut Vec<u8>, value: &[u8]) {
    let plain = |byte: &u8| *byte > b' ' && *byte != b'"' && *byte != b'\\';
    if value.iter().all(plain) {
        out.extend_from_slice(value);
    } else {
        json_string(out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        writer.open("allowed");
        writer.text(r#"{"call_id":"#, "a\"b\\c\n\u{1} é");
        writer.number(r#","in_use":"#, 7);
        writer.number_or_null(r#","limit":"#, None::<u32>);
        writer.flag(r#","final":"#, false);
        writer.close();
        String::from_utf8(writer.into_bytes()).expect("utf-8")
    }

    #[test]
    fn the_same_values_are_written_in_three_forms() {
        let json = written(Format::Json);
        assert_eq!(
            json,
            r#"{"call_id":"a\"b\\c\n\u0001 é","in_use":7,"limit":null,"final":false}"#
        );
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["call_id"], "a\"b\\c\n\u{1} é");
        assert_eq!(
            written(Format::Text),
            "allowed call_id=\"a\\\"b\\\\c\\n\\u0001 é\" in_use=7 limit= final=false\n"
        );
        assert_eq!(
            written(Format::Form),
            "result=allowed&call_id=a%22b%5Cc%0A%01+%C3%A9&in_use=7&limit=&final=false"
        );
    }
}
