//! Reads the JSON object that stacks send: texts without escapes, whole numbers, `true`, `false` and
//! `null`. Must never take what [`super::json`] would refuse or take otherwise; what is not so plain
//! is left to it.

use std::borrow::Cow;

use super::{Given, Parameters, field_of};
use crate::http::bytes;
use crate::http::field::Field;

/// Whether all of the text was so plain. If not, what was given of it counts for nothing.
pub(super) fn read<'a>(parameters: &mut Parameters<'a>, text: &'a str) -> bool {
    object(parameters, Rest(text)).is_some()
}

fn object<'a>(parameters: &mut Parameters<'a>, mut rest: Rest<'a>) -> Option<()> {
    rest.expect(b'{')?;
    loop {
        let name = field_of(rest.text()?);
        rest.expect(b':')?;
        if matches!(name, Ok(Field::Live | Field::Costs)) {
            return None;
        }
        parameters.give(name, rest.value()?);
        match rest.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    rest.next().is_none().then_some(())
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let first = *self.0.as_bytes().first()?;
            if !matches!(first, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(first);
            }
            self.skip(1)?;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.skip(1)?;
        Some(next)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    fn skip(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    /// A text in quotes that needs no decoding.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let (text, rest) = self.0.split_at_checked(bytes::plain_length(self.0.as_bytes()))?;
        // What ends the plain part may also be a backslash or a control.
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    fn value(&mut self) -> Option<Given<'a>> {
        if self.peek()? == b'"' {
            return self.text().map(|text| Given::Text(Cow::Borrowed(text)));
        }
        let ends = |byte: u8| !byte.is_ascii_alphanumeric();
        let length = self.0.bytes().position(ends)?;
        let (word, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        match word.as_bytes() {
            b"null" => Some(Given::Null),
            b"true" | b"false" | b"0" => Some(Given::Json(word)),
            [b'1'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
                // A point or a sign may follow: then what comes next is neither `,` nor `}`.
                Some(Given::Json(word))
            }
            _ => None,
        }
    }
}
