//! The known name that an unknown one most likely meant.

/// The name with the fewest edits from `wrong`; `None` when there are no names.
pub fn nearest<'a>(wrong: &str, known: &'a [String]) -> Option<&'a str> {
    known.iter().min_by_key(|name| edits(wrong, name)).map(String::as_str)
}

/// Levenshtein's distance, by Wagner and Fischer's rows.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_finds_the_one_that_was_meant() {
        let known = ["data_dir", "gateway_listen", "ops_listen"].map(str::to_owned);
        assert_eq!(nearest("gatway_listen", &known), Some("gateway_listen"));
        assert_eq!(nearest("datadir", &known), Some("data_dir"));
        assert_eq!(nearest("oops", &[]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
