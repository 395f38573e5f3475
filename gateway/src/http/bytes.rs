//! Looks at text eight bytes at a time. Must never decide what a text is for.

/// Every byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The high bit of every byte of a word.
const HIGH: u64 = 0x80 * EACH;

/// Whether there is nothing but visible ASCII, `!` to `~`.
pub(super) fn are_visible(text: &[u8]) -> bool {
    all(text, |word| {
        let not_below = (word | HIGH) - u64::from(b'!') * EACH;
        let above = word.wrapping_add(EACH) | word;
        not_below & !above
    })
}

/// Whether JSON has nothing to escape: no control below the blank, no quote and no backslash.
pub(super) fn stand_for_themselves(text: &[u8]) -> bool {
    all(text, plain)
}

/// How many bytes at the front JSON has not to escape.
#[inline]
pub(super) fn plain_length(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let escaped = !plain(u64::from_le_bytes(*word)) & HIGH;
        if escaped != 0 {
            return 8 * index + escaped.trailing_zeros() as usize / 8;
        }
    }
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    8 * words.len() + rest.iter().position(is_escaped).unwrap_or(rest.len())
}

/// The high bit of each byte that JSON has not to escape.
#[inline]
fn plain(word: u64) -> u64 {
    let differs = |byte: u8| ((word ^ (u64::from(byte) * EACH)) | HIGH) - EACH;
    let not_below = (word | HIGH) - u64::from(b' ') * EACH;
    (not_below & differs(b'"') & differs(b'\\')) | word
}

/// Whether `judged` leaves the high bit of every byte of the text set. It is asked about a byte among
/// any others.
#[inline]
fn all(text: &[u8], judged: impl Fn(u64) -> u64) -> bool {
    let (words, rest) = text.as_chunks();
    let of = |word: &[u8; 8]| judged(u64::from_le_bytes(*word));
    let whole = words.iter().fold(HIGH, |sum, word| sum & of(word));
    // The last word overlaps the one before it.
    let last = match text.last_chunk() {
        Some(last) => of(last),
        None => rest.iter().fold(HIGH, |sum, byte| sum & judged(u64::from(*byte) * EACH)),
    };
    whole & last & HIGH == HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_alike_wherever_it_stands() {
        for length in [1, 7, 8, 9, 16, 36] {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    assert_eq!(are_visible(&text), byte.is_ascii_graphic(), "{text:?}");
                    let plain = byte >= b' ' && byte != b'"' && byte != b'\\';
                    assert_eq!(stand_for_themselves(&text), plain, "{text:?}");
                    assert_eq!(plain_length(&text), if plain { length } else { place });
                }
            }
        }
        assert!(are_visible(b"") && stand_for_themselves(b""));
    }

    #[test]
    fn a_bad_byte_hides_no_other() {
        for text in
            [b"\x7f\x80aaaaaa", b"\xff\xffaaaa\xff\x1f", b"\x01\x00aaaaaa", b"aaaaa\x80\xff\""]
        {
            assert!(!are_visible(text));
        }
        assert!(!stand_for_themselves(b"\xff\xffaaaa\xff\x1f"));
        assert!(!stand_for_themselves(b"aaaaa\x80\xff\""));
        assert!(stand_for_themselves("éééé é".as_bytes()));
    }
}
