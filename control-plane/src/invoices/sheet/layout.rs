//! Puts a document on pages of A4: who, to whom, lines under a head that every page repeats, sums, a note, and
//! the number of each page. Pure; decides places, draws nothing.

use super::face::{Face, Weight};

/// In points.
pub(super) const PAGE: (f32, f32) = (595.28, 841.89);
const MARGIN: f32 = 50.0;
const RIGHT: f32 = PAGE.0 - MARGIN;
/// Lines end here; the foot is below.
const BOTTOM: f32 = PAGE.1 - 70.0;
const FOOT: f32 = PAGE.1 - 42.0;
/// Right edges of the columns of figures, and where what they are about ends.
const EDGES: [f32; 3] = [365.0, 450.0, RIGHT];
const ABOUT_WIDTH: f32 = 250.0;
/// Lines of text of one row, of one address line, and of the note.
const ABOUT_LINES_MAX: usize = 20;
const PARTY_LINES_MAX: usize = 3;
const NOTE_LINES_MAX: usize = 40;
const SMALL: f32 = 8.0;
const BODY: f32 = 9.0;
const STEP: f32 = 13.0;

/// What is to be put on pages.
pub(super) struct Content {
    pub(super) title: &'static str,
    pub(super) number: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) issuer: Block,
    pub(super) recipient: Block,
    pub(super) heads: [String; 4],
    /// The unit of the last column.
    pub(super) unit: String,
    pub(super) rows: Vec<Row>,
    pub(super) sums: Vec<Sum>,
    pub(super) note: Option<String>,
}

/// Somebody's name and address.
pub(super) struct Block {
    pub(super) label: &'static str,
    pub(super) name: String,
    pub(super) rest: Vec<String>,
}

pub(super) enum Row {
    Heading(&'static str),
    Line { about: String, cells: [String; 3] },
}

pub(super) struct Sum {
    pub(super) name: String,
    pub(super) amount: String,
    pub(super) is_total: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Black,
    Grey,
    Line,
}

/// Something at its place; `y` is the base of a text.
pub(super) enum Item {
    Text { x: f32, y: f32, size: f32, weight: Weight, ink: Ink, text: String },
    Rule { from: f32, to: f32, y: f32, ink: Ink },
}

pub(super) struct Pages {
    pub(super) title: String,
    pub(super) pages: Vec<Vec<Item>>,
}

pub(super) fn pages(content: &Content) -> Pages {
    let mut sheet = Sheet::new(content);
    sheet.top();
    sheet.head();
    for (index, row) in content.rows.iter().enumerate() {
        sheet.row(row, content.rows.get(index.saturating_add(1)));
    }
    sheet.sums();
    sheet.note();
    sheet.feet();
    Pages { title: format!("{} {}", content.title, content.number), pages: sheet.pages }
}

struct Sheet<'a> {
    content: &'a Content,
    regular: Face,
    bold: Face,
    pages: Vec<Vec<Item>>,
    /// Where the next thing begins.
    y: f32,
}

impl<'a> Sheet<'a> {
    fn new(content: &'a Content) -> Self {
        let (regular, bold) = (Face::new(Weight::Regular), Face::new(Weight::Bold));
        Self { content, regular, bold, pages: vec![Vec::new()], y: MARGIN }
    }

    const fn face(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    fn put(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.push(item);
        }
    }

    fn text(&mut self, x: f32, y: f32, size: f32, weight: Weight, ink: Ink, text: &str) {
        self.put(Item::Text { x, y, size, weight, ink, text: text.to_owned() });
    }

    /// A text that ends at `x`.
    fn ending(&mut self, x: f32, y: f32, size: f32, weight: Weight, ink: Ink, text: &str) {
        let width = self.face(weight).width(text, size);
        self.text(x - width, y, size, weight, ink, text);
    }

    fn rule(&mut self, from: f32, y: f32, ink: Ink) {
        self.put(Item::Rule { from, to: RIGHT, y, ink });
    }

    /// Title and facts to the right, the issuer to the left, the recipient below.
    fn top(&mut self) {
        let content = self.content;
        self.ending(RIGHT, MARGIN + 18.0, 20.0, Weight::Bold, Ink::Black, content.title);
        let mut facts_y = MARGIN + 40.0;
        for (name, value) in &content.facts {
            let value = self.regular.broken(value, BODY, 190.0, 1).concat();
            self.ending(RIGHT - 200.0, facts_y, SMALL, Weight::Regular, Ink::Grey, name);
            self.ending(RIGHT, facts_y, BODY, Weight::Regular, Ink::Black, &value);
            facts_y += STEP;
        }
        let issuer_end = self.block(&content.issuer, MARGIN + 10.0, 225.0);
        let recipient_y = facts_y.max(issuer_end) + 22.0;
        self.y = self.block(&content.recipient, recipient_y, 300.0) + 20.0;
    }

    /// Where it ends.
    fn block(&mut self, block: &Block, mut y: f32, width: f32) -> f32 {
        self.text(MARGIN, y, SMALL, Weight::Regular, Ink::Grey, block.label);
        y += STEP + 1.0;
        for line in self.bold.broken(&block.name, 10.0, width, PARTY_LINES_MAX) {
            self.text(MARGIN, y, 10.0, Weight::Bold, Ink::Black, &line);
            y += STEP;
        }
        for part in &block.rest {
            for line in self.regular.broken(part, BODY, width, PARTY_LINES_MAX) {
                self.text(MARGIN, y, BODY, Weight::Regular, Ink::Black, &line);
                y += STEP - 1.0;
            }
        }
        y
    }

    /// The head of the lines.
    fn head(&mut self) {
        let content = self.content;
        let y = self.y;
        let [about, cells @ ..] = &content.heads;
        self.text(MARGIN, y, SMALL, Weight::Regular, Ink::Grey, about);
        for (index, (edge, cell)) in EDGES.into_iter().zip(cells).enumerate() {
            let unit = if index == 2 { format!("{cell} {}", content.unit) } else { cell.clone() };
            self.ending(edge, y, SMALL, Weight::Regular, Ink::Grey, &unit);
        }
        self.rule(MARGIN, y + 6.0, Ink::Black);
        self.y = y + 22.0;
    }

    fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN + 10.0;
    }

    /// A page with the head of the lines.
    fn next_page(&mut self) {
        self.new_page();
        self.head();
    }

    fn row(&mut self, row: &Row, next: Option<&Row>) {
        match row {
            Row::Heading(heading) => {
                // A heading stays with its first line.
                let below = next.map_or(0.0, |next| self.height(next));
                if self.y + STEP + below > BOTTOM {
                    self.next_page();
                }
                self.text(MARGIN, self.y, BODY, Weight::Bold, Ink::Black, heading);
                self.y += STEP + 3.0;
            }
            Row::Line { about, cells } => {
                if self.y + self.height(row) - STEP > BOTTOM {
                    self.next_page();
                }
                let lines = self.regular.broken(about, BODY, ABOUT_WIDTH, ABOUT_LINES_MAX);
                for (edge, cell) in EDGES.into_iter().zip(cells) {
                    self.ending(edge, self.y, BODY, Weight::Regular, Ink::Black, cell);
                }
                for line in lines {
                    self.text(MARGIN, self.y, BODY, Weight::Regular, Ink::Black, &line);
                    self.y += STEP;
                }
                self.rule(MARGIN, self.y - STEP + 4.5, Ink::Line);
                self.y += 2.5;
            }
        }
    }

    fn height(&self, row: &Row) -> f32 {
        match row {
            Row::Heading(_) => STEP,
            Row::Line { about, .. } => {
                let lines = self.regular.broken(about, BODY, ABOUT_WIDTH, ABOUT_LINES_MAX);
                lines.iter().map(|_| STEP).sum::<f32>() + 2.5
            }
        }
    }

    /// All sums on one page.
    fn sums(&mut self) {
        let content = self.content;
        let height = content.sums.iter().map(|_| STEP + 3.0).sum::<f32>() + 20.0;
        if self.y + height > BOTTOM {
            self.next_page();
        }
        self.y += 8.0;
        let name_edge = 430.0;
        for Sum { name, amount, is_total } in &content.sums {
            let (weight, size) =
                if *is_total { (Weight::Bold, 11.0) } else { (Weight::Regular, BODY) };
            if *is_total {
                self.rule(300.0, self.y - 5.0, Ink::Black);
                self.y += 10.0;
            }
            let name = self.face(weight).broken(name, size, name_edge - 150.0, 1).concat();
            self.ending(name_edge, self.y, size, weight, Ink::Black, &name);
            self.ending(RIGHT, self.y, size, weight, Ink::Black, amount);
            self.y += STEP + 3.0;
        }
    }

    fn note(&mut self) {
        let Some(note) = &self.content.note else { return };
        self.y += 18.0;
        for line in self.regular.broken(note, BODY, RIGHT - MARGIN, NOTE_LINES_MAX) {
            if self.y > BOTTOM {
                self.new_page();
            }
            self.text(MARGIN, self.y, BODY, Weight::Regular, Ink::Black, &line);
            self.y += STEP;
        }
    }

    /// What every page says at its end, once it is known how many there are.
    fn feet(&mut self) {
        let count = self.pages.len();
        let whole = format!(
            "{} · {} {}",
            self.content.issuer.name, self.content.title, self.content.number
        );
        let left = self.regular.broken(&whole, SMALL, 400.0, 1).concat();
        for number in 1..=count {
            let right = format!("Page {number} of {count}");
            let x = RIGHT - self.regular.width(&right, SMALL);
            let (weight, ink, size) = (Weight::Regular, Ink::Grey, SMALL);
            let page = &mut self.pages[number - 1];
            page.push(Item::Rule { from: MARGIN, to: RIGHT, y: FOOT - 12.0, ink: Ink::Line });
            page.push(Item::Text { x: MARGIN, y: FOOT, size, weight, ink, text: left.clone() });
            page.push(Item::Text { x, y: FOOT, size, weight, ink, text: right });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(rows: usize) -> Content {
        let block = || Block {
            label: "From",
            name: "Long name ".repeat(20),
            rest: vec!["x".repeat(120); 8],
        };
        let line = |index: usize| Row::Line {
            about: format!("{index} {}", "account ".repeat(index % 60)),
            cells: ["1,234", "5,678.90", "9,007,199,254.74"].map(str::to_owned),
        };
        Content {
            title: "Invoice",
            number: "INV-000001".to_owned(),
            facts: vec![("Number", "n".repeat(200))],
            issuer: block(),
            recipient: block(),
            heads: ["Account", "Calls", "Minutes", "Amount"].map(str::to_owned),
            unit: "INR".to_owned(),
            rows: std::iter::once(Row::Heading("Calls")).chain((0..rows).map(line)).collect(),
            sums: (0..10)
                .map(|index| Sum {
                    name: "Tax ".repeat(40),
                    amount: "₹9,00,71,99,254.74".to_owned(),
                    is_total: index == 9,
                })
                .collect(),
            note: Some("note ".repeat(100)),
        }
    }

    /// Whatever is put on paper lies within it, above the foot, and is not put on something else in its column.
    #[test]
    fn nothing_is_cut_and_nothing_overlaps_on_any_number_of_lines() {
        let faces = [Face::new(Weight::Regular), Face::new(Weight::Bold)];
        for rows in (0..90).chain([400]) {
            let pages = pages(&content(rows)).pages;
            for page in &pages {
                let mut texts: Vec<(f32, f32, f32)> = Vec::new();
                for item in page {
                    let Item::Text { x, y, size, weight, text, .. } = item else { continue };
                    let width = faces[usize::from(*weight == Weight::Bold)].width(text, *size);
                    assert!(*x >= MARGIN - 0.1 && x + width <= RIGHT + 0.1, "{rows}: {text}");
                    assert!(*y > MARGIN && *y <= FOOT, "{rows}: {text}");
                    assert!(*y <= BOTTOM + STEP || *y >= FOOT - 0.1, "{rows}: {text} in the foot");
                    for (left, right, base) in &texts {
                        let apart = (base - y).abs() > 6.0 || x + width <= *left || *right <= *x;
                        assert!(apart || text.is_empty(), "{rows}: {text} on something else");
                    }
                    if !text.is_empty() {
                        texts.push((*x, x + width, *y));
                    }
                }
            }
        }
    }
}
