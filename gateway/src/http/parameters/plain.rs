//! Reads the JSON object that stacks send: texts without escapes, whole numbers, `true`, `false` and
//! `null`. Must never take what [`super::json`] would refuse or take otherwise; what is not so plain
//! is left to it.

use std::borrow::Cow;

use super::{Given, Parameters, field_of};
use crate::http::bytes;
use crate::http::field::Field;

/// Whether all of the text was so plain. If not, what was given of it counts for nothing.
pub(super) fn read<'a>(parameters: &mut Parameters<'a>, text: &'a str) -> bool {
    object(parameters, Reader { text, at: 0 }).is_some()
}

fn object<'a>(parameters: &mut Parameters<'a>, mut reader: Reader<'a>) -> Option<()> {
    reader.expect(b'{')?;
    loop {
        let name = field_of(reader.text()?);
        reader.expect(b':')?;
        if matches!(name, Ok(Field::Live | Field::Costs)) {
            return None;
        }
        parameters.give(name, reader.value()?);
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    reader.next().is_none().then_some(())
}

/// A text, and where what has not been read of it begins.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let first = *self.text.as_bytes().get(self.at)?;
            if !matches!(first, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(first);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let next = self.peek();
        self.at += 1;
        next
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// As much of what comes next.
    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let taken = self.text.get(self.at..self.at + length)?;
        self.at += length;
        Some(taken)
    }

    /// A text in quotes that needs no decoding.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let length = bytes::plain_length(self.text.as_bytes().get(self.at..)?);
        let text = self.take(length)?;
        // What ends the plain part may also be a backslash or a control.
        (*self.text.as_bytes().get(self.at)? == b'"').then_some(())?;
        self.at += 1;
        Some(text)
    }

    #[inline]
    fn value(&mut self) -> Option<Given<'a>> {
        match self.peek()? {
            b'"' => self.text().map(|text| Given::Text(Cow::Borrowed(text))),
            _ => self.word(),
        }
    }

    /// A value without quotes. A sign, a point or an exponent makes it no plain one.
    fn word(&mut self) -> Option<Given<'a>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        let word = self.take(length)?;
        match word.as_bytes() {
            b"null" => Some(Given::Null),
            b"true" | b"false" | b"0" => Some(Given::Json(word)),
            [b'1'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
                Some(Given::Json(word))
            }
            _ => None,
        }
    }
}
