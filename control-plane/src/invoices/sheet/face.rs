//! The font: how wide texts are, and where they are broken so that nothing is cut.

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Shows that a text goes on.
const MORE: char = '…';

pub(super) const fn bytes(weight: Weight) -> &'static [u8] {
    match weight {
        Weight::Regular => notosans::REGULAR_TTF,
        Weight::Bold => notosans::BOLD_TTF,
    }
}

/// One weight of the font, by its characters.
pub(super) struct Face {
    font: FontRef<'static>,
}

/// A character's glyph and how far it goes, in parts of the size of the text.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) glyph: u32,
    pub(super) advance: f32,
}

impl Face {
    pub(super) fn new(weight: Weight) -> Self {
        let font = FontRef::new(bytes(weight)).expect("the font that is built in can be read");
        Self { font }
    }

    /// Glyph 0, a box, is what the font has for characters that it lacks.
    pub(super) fn place(&self, text: &str) -> Vec<Placed> {
        let metrics = self.font.glyph_metrics(Size::new(1.0), LocationRef::default());
        let map = self.font.charmap();
        let place = |character: char| {
            let glyph = map.map(character).unwrap_or_default();
            let advance = metrics.advance_width(glyph).unwrap_or_default();
            Placed { glyph: glyph.to_u32(), advance }
        };
        text.chars().map(place).collect()
    }

    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        self.place(text).iter().map(|placed| placed.advance).sum::<f32>() * size
    }

    /// The text in at most `most` lines of a width, broken at blanks, or within a word that is wider than a
    /// line. What does not fit is shortened, and shows that it is.
    pub(super) fn broken(&self, text: &str, size: f32, width: f32, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                let joined =
                    if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
                if self.width(&joined, size) <= width {
                    line = joined;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                line = self.split(word, size, width, &mut lines);
            }
            lines.push(line);
        }
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                self.shorten(last, size, width);
            }
        }
        lines
    }

    /// Breaks a word into full lines and returns its rest.
    fn split(&self, word: &str, size: f32, width: f32, lines: &mut Vec<String>) -> String {
        let mut rest = String::new();
        for character in word.chars() {
            rest.push(character);
            if self.width(&rest, size) > width && rest.chars().count() > 1 {
                rest.pop();
                lines.push(std::mem::replace(&mut rest, character.to_string()));
            }
        }
        rest
    }

    fn shorten(&self, line: &mut String, size: f32, width: f32) {
        line.push(MORE);
        while self.width(line, size) > width && line.chars().count() > 1 {
            line.pop();
            line.pop();
            line.push(MORE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_signs_of_the_currencies_and_digits_of_one_width() {
        for weight in [Weight::Regular, Weight::Bold] {
            let face = Face::new(weight);
            for placed in face.place("₹€£$¥₦₩−–…%") {
                assert_ne!(placed.glyph, 0, "{weight:?}");
                assert!(placed.advance > 0.1, "{weight:?}");
            }
            let digits = face.place("0123456789");
            assert!(digits.iter().all(|digit| (digit.advance - digits[0].advance).abs() < 0.001));
            assert_eq!(face.place("字")[0].glyph, 0);
        }
    }

    #[test]
    fn a_long_text_is_broken_or_visibly_shortened_and_never_too_wide() {
        let face = Face::new(Weight::Regular);
        let long =
            "Gesellschaft für grenzüberschreitende Sprachautomatisierung mbH & Co. KG ".repeat(4);
        for (text, most) in
            [(long.as_str(), 50), (&long, 2), (&"W".repeat(300), 50), (&"W".repeat(300), 2)]
        {
            let lines = face.broken(text, 9.0, 200.0, most);
            assert!(lines.len() <= most);
            assert!(lines.iter().all(|line| face.width(line, 9.0) <= 200.0), "{lines:?}");
            if most == 50 {
                let whole: String = lines.concat();
                assert_eq!(whole.replace(' ', ""), text.replace(' ', ""), "nothing is lost");
            } else {
                assert!(lines[1].ends_with(MORE), "{lines:?}");
            }
        }
        assert_eq!(face.broken("a\nb", 9.0, 200.0, 9), ["a", "b"]);
    }
}
