//! The lines of a batch. Must never look into one.

use memchr::{memchr, memchr_iter};

/// Lines that are not blank.
pub fn count(body: &[u8]) -> usize {
    let mut at = 0;
    std::iter::from_fn(|| next(body, &mut at)).count()
}

/// Lines, blank ones too: a bound that is found sooner than their count.
pub fn count_max(body: &[u8]) -> usize {
    memchr_iter(b'\n', body).count() + 1
}

/// The next line that is not blank, without the blanks around it. Moves `at` to where the line after
/// it begins.
pub fn next<'b>(body: &'b [u8], at: &mut usize) -> Option<&'b [u8]> {
    while let Some(rest) = body.get(*at..).filter(|rest| !rest.is_empty()) {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        *at += end + 1;
        let line = rest[..end].trim_ascii();
        if !line.is_empty() {
            return Some(line);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_no_lines_and_the_last_needs_no_end() {
        for (body, expected) in [
            (&b""[..], &[][..]),
            (b"\n \r\n\n", &[]),
            (b"a", &["a"]),
            (b" a \r\n\n\tb c\n", &["a", "b c"]),
            (b"\na\n \nb", &["a", "b"]),
        ] {
            let mut at = 0;
            let lines: Vec<_> = std::iter::from_fn(|| next(body, &mut at)).collect();
            let expected: Vec<_> = expected.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(lines, expected);
            assert_eq!(count(body), lines.len());
            assert!(count_max(body) >= lines.len());
            assert_eq!(next(body, &mut at), None);
        }
    }
}
