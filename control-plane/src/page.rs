//! Lists: a page has a limit and, when there is more, a cursor for the next one.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::fields::{Fields, Raw, values};

pub(crate) const LIMITS: RangeInclusive<u32> = 1..=1_000;
pub(crate) const LIMIT_DEFAULT: u32 = 100;
/// The longest cursor that is looked at.
pub(crate) const CURSOR_CHARACTERS_MAX: usize = 512;

/// Which part of a list is asked for.
pub(crate) struct Window {
    after: Option<String>,
    limit: u32,
}

/// Reads `limit` and `cursor`.
pub(crate) fn window(query: &mut Fields) -> Window {
    window_of(query, usize::MAX)
}

/// The same, where a page has at most `most` of what is counted.
pub(crate) fn window_of(query: &mut Fields, most: usize) -> Window {
    let most = u32::try_from(most).unwrap_or(u32::MAX).clamp(*LIMITS.start(), *LIMITS.end());
    let limit = query.optional("limit", values::whole(*LIMITS.start()..=most));
    let limit = limit.unwrap_or(LIMIT_DEFAULT.min(most));
    Window { after: query.optional("cursor", cursor), limit }
}

impl Window {
    /// The last key of the page before; empty at the beginning.
    pub(crate) fn after_text(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Rows to read: one more than is shown, to know whether there is more.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// A page as it is answered.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of the rows that `window` asked for; `key` is what the next page follows.
    pub(crate) fn of(mut rows: Vec<T>, window: &Window, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor =
            rows.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Self { data: rows, next_cursor }
    }

    /// All there is.
    pub(crate) const fn whole(data: Vec<T>) -> Self {
        Self { data, next_cursor: None }
    }

    /// Each as several rows.
    pub(crate) fn flat_map<U>(self, shown: impl Fn(T) -> Vec<U>) -> Page<U> {
        let data = self.data.into_iter().flat_map(shown).collect();
        Page { data, next_cursor: self.next_cursor }
    }

    pub(crate) fn map<U>(self, shown: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(shown).collect(), next_cursor: self.next_cursor }
    }
}

fn cursor(raw: &Raw) -> Result<String, String> {
    let text = values::text(raw)?;
    let decoded =
        URL_SAFE_NO_PAD.decode(&text).ok().filter(|_| text.len() <= CURSOR_CHARACTERS_MAX);
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|cursor| !cursor.contains(char::is_control))
        .ok_or_else(|| "expected a next_cursor of an earlier answer".to_owned())
}
