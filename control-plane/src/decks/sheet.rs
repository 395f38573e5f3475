//! The rows of a version as a CSV sheet: read with every bad line named, written as they are read.
//!
//! The first line names the columns, in any order: `prefix` and `per_minute`, and as needed `direction`
//! (`outbound` unless it says `inbound`), `initial_s` and `increment_s` (60), `connect_fee` and `minimum`
//! (0), and `blocked` (`true`: no call may go there, and it has no price). A prefix is digits, with or
//! without a `+`; `*` is every destination. Amounts are major units.

use std::collections::HashMap;

use csv::{ByteRecord, ReaderBuilder, Trim};
use hub::call::Direction;
use hub::deck::{Prefix, ROWS_MAX, Row, Tariff};
use hub::money::{Amount, Currency, Rate, Rounding};

use crate::fields::values::INCREMENT_DEFAULT_S;
use crate::problem::FieldError;

/// Bad lines that are shown; there may be more.
pub(super) const SHOWN_MAX: usize = 100;
/// As much of a bad value as is shown back.
const VALUE_CHARACTERS_MAX: usize = 64;

const COLUMNS: [&str; 8] = [
    "direction",
    "prefix",
    "per_minute",
    "initial_s",
    "increment_s",
    "connect_fee",
    "minimum",
    "blocked",
];

/// What a sheet came to.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// By direction and prefix; those of bad lines are missing.
    pub(super) rows: Vec<Row>,
    /// The first of what is wrong.
    pub(super) errors: Vec<FieldError>,
    /// How many lines are wrong.
    pub(super) bad_lines: usize,
}

/// Where the columns are; `None`: it has none.
struct Header([Option<usize>; COLUMNS.len()]);

impl Sheet {
    pub(super) fn read(bytes: &[u8], rounding: Rounding) -> Self {
        let mut sheet = Self::default();
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(bytes);
        let mut record = ByteRecord::new();
        let header = match reader.read_byte_record(&mut record) {
            Ok(true) => Header::of(&record, &mut sheet.errors),
            Ok(false) => Header([None; COLUMNS.len()]),
            Err(error) => return Self::unreadable(&error),
        };
        for required in ["prefix", "per_minute"] {
            if header.place(required).is_none() {
                sheet.note(1, required, None, "the first line must name this column".to_owned());
            }
        }
        if !sheet.errors.is_empty() {
            sheet.bad_lines = 1;
            return sheet;
        }
        let mut lines: HashMap<(Direction, Prefix), u64> = HashMap::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Self::unreadable(&error),
            }
            let line = record.position().map_or(0, csv::Position::line);
            let before = sheet.bad_lines;
            if let Some(row) = sheet.row(&header, &record, line, rounding) {
                let key = (row.direction, row.prefix);
                if let Some(first) = lines.insert(key, line) {
                    let problem = format!("line {first} has the same");
                    sheet.bad_lines += 1;
                    sheet.note(line, "prefix", Some(row.prefix.to_string()), problem);
                } else if sheet.bad_lines == before {
                    sheet.rows.push(row);
                }
            }
            if sheet.rows.len() > ROWS_MAX {
                sheet.bad_lines += 1;
                sheet.note(line, "prefix", None, format!("expected at most {ROWS_MAX} rows"));
                break;
            }
        }
        if sheet.rows.is_empty() && sheet.bad_lines == 0 {
            sheet.bad_lines = 1;
            sheet.note(1, "prefix", None, "expected a row at least".to_owned());
        }
        sheet.rows.sort_unstable_by_key(|row| (row.direction as u8, row.prefix));
        sheet
    }

    fn unreadable(error: &csv::Error) -> Self {
        let line = error.position().map_or(1, csv::Position::line);
        let mut sheet = Self { bad_lines: 1, ..Self::default() };
        sheet.note(line, "prefix", None, format!("the sheet cannot be read: {error}"));
        sheet
    }

    /// One line, with every bad column named.
    fn row(
        &mut self,
        header: &Header,
        record: &ByteRecord,
        line: u64,
        rounding: Rounding,
    ) -> Option<Row> {
        let mut wrong = Vec::new();
        let mut reader = Line { header, record, wrong: &mut wrong };
        if record.len() > header.count() {
            reader.wrong.push((
                "prefix",
                None,
                "the line has more columns than the first".to_owned(),
            ));
        }
        let direction = reader.read("direction", Direction::Outbound, |text| {
            text.parse().map_err(|problem: hub::call::UnknownWord| problem.to_string())
        });
        let prefix = reader.read("prefix", None, |text| {
            text.parse().map(Some).map_err(|problem: hub::deck::InvalidPrefix| problem.to_string())
        });
        if prefix.is_none() && reader.wrong.is_empty() {
            reader.wrong.push((
                "prefix",
                None,
                "expected digits, or * for every destination".to_owned(),
            ));
        }
        let blocked = reader.read("blocked", false, |text| {
            text.parse().map_err(|_| "expected true or false".to_owned())
        });
        let amount = |text: &str| text.parse::<Amount>().map_err(|problem| problem.to_string());
        let per_minute = reader.read("per_minute", None, |text| amount(text).map(Some));
        let seconds = |text: &str| {
            text.parse().map_err(|_| format!("expected 1 to {} seconds", Rate::INCREMENT_MAX_S))
        };
        let initial_s = reader.read("initial_s", INCREMENT_DEFAULT_S, seconds);
        let increment_s = reader.read("increment_s", INCREMENT_DEFAULT_S, seconds);
        let connect_fee = reader.read("connect_fee", Amount::ZERO, amount);
        let minimum = reader.read("minimum", Amount::ZERO, amount);
        let tariff = match (per_minute, blocked) {
            (None, true) => Some(Tariff::Blocked),
            (Some(_), true) => {
                reader.wrong.push(("per_minute", None, "what is blocked has no price".to_owned()));
                None
            }
            (None, false) => {
                if reader.wrong.is_empty() {
                    reader.wrong.push(("per_minute", None, "required".to_owned()));
                }
                None
            }
            (Some(per_minute), false) => {
                match Rate::new(per_minute, initial_s, increment_s, connect_fee, minimum) {
                    Ok(rate) => Some(Tariff::Rate(rate.rounded(rounding))),
                    Err(problem) => {
                        reader.wrong.push((problem.field(), None, problem.to_string()));
                        None
                    }
                }
            }
        };
        let is_bad = !wrong.is_empty();
        for (column, value, problem) in wrong {
            self.note(line, column, value, problem);
        }
        if is_bad {
            self.bad_lines += 1;
            return None;
        }
        Some(Row { direction, prefix: prefix?, tariff: tariff? })
    }

    fn note(&mut self, line: u64, column: &str, value: Option<String>, problem: String) {
        if self.errors.len() < SHOWN_MAX {
            let value =
                value.map(|value| value.chars().take(VALUE_CHARACTERS_MAX).collect::<String>());
            self.errors.push(FieldError {
                field: format!("line {line}: {column}"),
                value,
                problem,
            });
        }
    }
}

/// A line that is being read.
struct Line<'a> {
    header: &'a Header,
    record: &'a ByteRecord,
    /// Column, value, and what was expected.
    wrong: &'a mut Vec<(&'static str, Option<String>, String)>,
}

impl Line<'_> {
    /// A column; what is left out is `usual`.
    fn read<T>(
        &mut self,
        column: &'static str,
        usual: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let place = self.header.place(column);
        let bytes = place.and_then(|place| self.record.get(place)).unwrap_or_default();
        if bytes.is_empty() {
            return usual;
        }
        let text = String::from_utf8_lossy(bytes);
        read(&text).unwrap_or_else(|problem| {
            self.wrong.push((column, Some(text.into_owned()), problem));
            usual
        })
    }
}

impl Header {
    fn of(record: &ByteRecord, errors: &mut Vec<FieldError>) -> Self {
        let mut header = Self([None; COLUMNS.len()]);
        for (place, bytes) in record.iter().enumerate() {
            let name = String::from_utf8_lossy(bytes);
            // Spreadsheets begin a file with a mark of its encoding.
            let name = name.trim_start_matches('\u{feff}');
            let known = COLUMNS.iter().position(|column| *column == name);
            let problem = match known.and_then(|known| header.0.get_mut(known)) {
                Some(column @ None) => {
                    *column = Some(place);
                    continue;
                }
                Some(Some(_)) => "given more than once".to_owned(),
                None => format!("unknown column; expected some of {}", COLUMNS.join(", ")),
            };
            if errors.len() < SHOWN_MAX {
                let shown: String = name.chars().take(VALUE_CHARACTERS_MAX).collect();
                errors.push(FieldError { field: format!("line 1: {shown}"), value: None, problem });
            }
        }
        header
    }

    fn place(&self, column: &str) -> Option<usize> {
        let known = COLUMNS.iter().position(|name| *name == column)?;
        self.0.get(known).copied().flatten()
    }

    fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

/// The first line of a sheet that is written.
pub(super) fn head() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// One row, as it can be read again.
pub(super) fn line(row: &Row, currency: Currency) -> String {
    let (direction, prefix) = (row.direction.label(), row.prefix);
    match row.tariff {
        Tariff::Blocked => format!("{direction},{prefix},,,,,,true\r\n"),
        Tariff::Rate(rate) => format!(
            "{direction},{prefix},{},{},{},{},{},\r\n",
            rate.per_minute().in_currency(currency),
            rate.initial_s(),
            rate.increment_s(),
            rate.connect_fee().in_currency(currency),
            rate.minimum().in_currency(currency),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(String, Option<String>)> {
        let sheet = Sheet::read(text.as_bytes(), Rounding::DEFAULT);
        assert_eq!(sheet.errors.is_empty(), sheet.bad_lines == 0);
        sheet.errors.into_iter().map(|error| (error.field, error.value)).collect()
    }

    #[test]
    fn a_sheet_is_read_in_any_order_of_columns_and_written_as_it_is_read() {
        let text = "\u{feff}per_minute,prefix,blocked,direction,increment_s\n\
                    1.20,+91,,,1\n , 9199 ,true,outbound,\n0.5,*,false,inbound,\n";
        let sheet = Sheet::read(text.as_bytes(), Rounding::DEFAULT);
        assert_eq!((sheet.errors, sheet.bad_lines), (vec![], 0));
        let written: String = std::iter::once(head())
            .chain(sheet.rows.iter().map(|row| line(row, Currency::INR)))
            .collect();
        assert_eq!(
            written,
            "direction,prefix,per_minute,initial_s,increment_s,connect_fee,minimum,blocked\r\n\
             outbound,91,1.20,60,1,0.00,0.00,\r\noutbound,9199,,,,,,true\r\n\
             inbound,*,0.50,60,60,0.00,0.00,\r\n"
        );
        let again = Sheet::read(written.as_bytes(), Rounding::DEFAULT);
        assert_eq!((again.rows, again.bad_lines), (sheet.rows, 0));
    }

    #[test]
    fn every_bad_line_is_named_with_its_column_and_value() {
        let line = |field: &str, value: Option<&str>| (field.to_owned(), value.map(str::to_owned));
        let text = "prefix,per_minute,initial_s,blocked\n91,1,60,\n91,2,,\n9x,free,0,\n92,,,\n\
                    93,1,,true\n94,1,3601,maybe\n95,2000000,,\n96,1,,,7\n\n97,,,true\n";
        assert_eq!(
            errors(text),
            [
                line("line 3: prefix", Some("91")),
                line("line 4: prefix", Some("9x")),
                line("line 4: per_minute", Some("free")),
                line("line 5: per_minute", None),
                line("line 6: per_minute", None),
                line("line 7: blocked", Some("maybe")),
                line("line 7: initial_s", None),
                line("line 8: per_minute", None),
                line("line 9: prefix", None),
            ]
        );
        for (text, expected) in [
            ("", vec![line("line 1: prefix", None), line("line 1: per_minute", None)]),
            ("prefix,per_minute\n", vec![line("line 1: prefix", None)]),
            (
                "prefix,price,prefix\n1,1,1\n",
                vec![
                    line("line 1: price", None),
                    line("line 1: prefix", None),
                    line("line 1: per_minute", None),
                ],
            ),
            ("prefix,per_minute\n,1\n", vec![line("line 2: prefix", None)]),
        ] {
            assert_eq!(errors(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_more_bad_lines_are_shown_than_people_read() {
        let text = format!("prefix,per_minute\n{}", "x,1\n".repeat(500));
        let sheet = Sheet::read(text.as_bytes(), Rounding::DEFAULT);
        assert_eq!((sheet.errors.len(), sheet.bad_lines), (SHOWN_MAX, 500));
    }
}
