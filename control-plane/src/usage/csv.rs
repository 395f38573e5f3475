//! Tables as RFC 4180 has them, safe to be opened in a spreadsheet. Knows no column.

use axum::response::{IntoResponse as _, Response};
use http::header;

pub(super) const MEDIA_TYPE: &str = "text/csv";
pub(super) const CONTENT_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// A table that is being written.
pub(super) struct Table(String);

impl Table {
    /// Without a header it goes on where another one ended.
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Self(String::new());
        if !header.is_empty() {
            table.row(header.iter().copied());
        }
        table
    }

    pub(super) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.cell(cell);
        }
        self.0.push_str("\r\n");
    }

    fn cell(&mut self, text: &str) {
        // A spreadsheet would take such a text for a formula, and carry it out. Numbers of ours do
        // not begin like that: none is negative.
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        if !formula && !text.contains(['"', ',', '\r', '\n']) {
            self.0.push_str(text);
            return;
        }
        self.0.push('"');
        self.0.push_str(if formula { "'" } else { "" });
        self.0.push_str(&text.replace('"', "\"\""));
        self.0.push('"');
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    pub(super) fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
        (headers, self.0).into_response()
    }
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
        assert_eq!(
            table.0,
            "a,b\r\nplain,1.50\r\n\"Acme, \"\"Corp\"\"\",\"two\nlines\"\r\n\
             \"'=HYPERLINK(\"\"http://x\"\")\",\"'-1+1\"\r\n\"'@SUM(1)\",\"'+1\"\r\n"
        );
    }
}
