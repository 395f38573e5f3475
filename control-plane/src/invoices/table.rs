//! Invoices and credit notes as tables: their lines, then what they add up to.

use super::credit_notes;
use super::lines;
use super::shown::{Shown, Tax};
use crate::usage::csv::Table;

const COLUMNS: [&str; 10] = [
    "number",
    "kind",
    "account",
    "name",
    "calls",
    "billable_s",
    "minutes",
    "charged",
    "amount",
    "currency",
];

pub(super) fn of_invoice(invoice: &Shown, lines: &[lines::Shown]) -> Table {
    let mut table = Table::new(&COLUMNS);
    for line in lines {
        table.row([
            &*invoice.number,
            line.kind,
            &line.account,
            &line.name,
            &line.calls.to_string(),
            &line.billable_s.to_string(),
            &line.minutes,
            &line.charged,
            &line.amount,
            &invoice.currency,
        ]);
    }
    let ends =
        End { number: &invoice.number, account: &invoice.account, currency: &invoice.currency };
    ends.row(&mut table, "rounding", "", &invoice.rounding);
    ends.row(&mut table, "net", "", &invoice.net);
    ends.taxes(&mut table, &invoice.taxes);
    ends.row(&mut table, "total", "", &invoice.total);
    table
}

pub(super) fn of_credit_note(note: &credit_notes::Shown) -> Table {
    let mut table = Table::new(&COLUMNS);
    let ends = End { number: &note.number, account: &note.account, currency: &note.currency };
    ends.row(&mut table, "credit", &note.reason, &note.net);
    ends.row(&mut table, "net", "", &note.net);
    ends.taxes(&mut table, &note.taxes);
    ends.row(&mut table, "total", "", &note.total);
    table
}

/// What all rows at the end have.
struct End<'a> {
    number: &'a str,
    account: &'a str,
    currency: &'a str,
}

impl End<'_> {
    fn row(&self, table: &mut Table, kind: &str, name: &str, amount: &str) {
        table.row([self.number, kind, self.account, name, "", "", "", "", amount, self.currency]);
    }

    fn taxes(&self, table: &mut Table, taxes: &[Tax]) {
        for tax in taxes {
            self.row(table, "tax", &tax.name, &tax.amount);
        }
    }
}
