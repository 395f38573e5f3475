//! Draws pages as PDF. Decides no place.

use krilla::Document;
use krilla::color::rgb;
use krilla::error::KrillaError;
use krilla::geom::{PathBuilder, Point};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, Stroke};
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};

use super::face::{self, Face, Weight};
use super::layout::{Ink, Item, PAGE, Pages};

const LANGUAGE: &str = "en";

struct Drawn {
    face: Face,
    font: Font,
}

pub(super) fn draw(pages: &Pages) -> Result<Vec<u8>, KrillaError> {
    let [regular, bold] = [Weight::Regular, Weight::Bold].map(|weight| Drawn {
        face: Face::new(weight),
        font: Font::new(face::bytes(weight).into(), 0)
            .expect("the font that is built in can be read"),
    });
    let mut document = Document::new();
    let metadata = Metadata::new().title(pages.title.clone()).language(LANGUAGE.to_owned());
    document.set_metadata(metadata.producer("Ringfence".to_owned()));
    for items in &pages.pages {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).expect("above zero");
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for item in items {
            match item {
                Item::Text { weight, .. } => {
                    let drawn = if *weight == Weight::Bold { &bold } else { &regular };
                    draw_text(&mut surface, drawn, item);
                }
                Item::Rule { from, to, y, ink } => draw_rule(&mut surface, (*from, *to, *y), *ink),
            }
        }
        surface.finish();
        page.finish();
    }
    document.finish()
}

fn draw_text(surface: &mut Surface<'_>, drawn: &Drawn, item: &Item) {
    let Item::Text { x, y, size, ink, text, .. } = item else { return };
    if text.is_empty() {
        return;
    }
    let ends = text.char_indices().map(|(index, character)| index..index + character.len_utf8());
    let glyphs = drawn.face.place(text).into_iter().zip(ends).map(|(placed, range)| {
        let glyph = GlyphId::new(placed.glyph);
        KrillaGlyph::new(glyph, placed.advance, 0.0, 0.0, 0.0, range, None)
    });
    let glyphs: Vec<KrillaGlyph> = glyphs.collect();
    let fill =
        Fill { paint: colour(*ink).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero };
    surface.set_stroke(None);
    surface.set_fill(Some(fill));
    surface.draw_glyphs(Point::from_xy(*x, *y), &glyphs, drawn.font.clone(), text, *size, false);
}

fn draw_rule(surface: &mut Surface<'_>, (from, to, y): (f32, f32, f32), ink: Ink) {
    let mut path = PathBuilder::new();
    path.move_to(from, y);
    path.line_to(to, y);
    let Some(path) = path.finish() else { return };
    surface.set_fill(None);
    surface.set_stroke(Some(Stroke { paint: colour(ink).into(), width: 0.6, ..Stroke::default() }));
    surface.draw_path(&path);
}

fn colour(ink: Ink) -> rgb::Color {
    match ink {
        Ink::Black => rgb::Color::new(20, 20, 20),
        Ink::Grey => rgb::Color::new(100, 100, 100),
        Ink::Line => rgb::Color::new(215, 215, 215),
    }
}
