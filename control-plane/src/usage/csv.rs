//! Tables as RFC 4180 has them, safe to be opened in a spreadsheet. Knows no column.

use axum::response::{IntoResponse as _, Response};
use http::header;

pub(crate) const MEDIA_TYPE: &str = "text/csv";
pub(crate) const CONTENT_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// A table that is being written.
pub(crate) struct Table(String);

impl Table {
    /// Without a header it goes on where another one ended.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Self(String::new());
        if !header.is_empty() {
            table.row(header.iter().copied());
        }
        table
    }

    pub(crate) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.cell(cell);
        }
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        // A spreadsheet would take such a text for a formula, and carry it out; but not a number.
        let is_number = text.strip_prefix('-').is_some_and(is_plain);
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number;
        if !formula && !text.contains(['"', ',', '\r', '\n']) {
            self.0.push_str(text);
            return;
        }
        self.0.push('"');
        self.0.push_str(if formula { "'" } else { "" });
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    pub(crate) fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
        (headers, self.0).into_response()
    }
}

/// Digits with at most one point among them.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').map_or_else(|| digits(text), |(whole, part)| digits(whole) && digits(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_are_never_formulas() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["plain", "1.50"]);
        table.row(["Acme, \"Corp\"", "two\nlines"]);
        table.row(["=HYPERLINK(\"http://x\")", "-1+1"]);
        table.row(["@SUM(1)", "+1"]);
        table.row(["-12.50", "-1-1"]);
        assert_eq!(
            table.0,
            "a,b\r\nplain,1.50\r\n\"Acme, \"\"Corp\"\"\",\"two\nlines\"\r\n\
             \"'=HYPERLINK(\"\"http://x\"\")\",\"'-1+1\"\r\n\"'@SUM(1)\",\"'+1\"\r\n-12.50,\"'-1-1\"\r\n"
        );
    }
}
