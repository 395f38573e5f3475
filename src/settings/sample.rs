//! The commented sample file, made from the table.

use std::fmt::Write;

use super::table::{Kind, SECTIONS, Setting};

const HEAD: &str = "\
# Ringfence's settings, each with its default. A flag (--data-dir) wins over the environment
# (RINGFENCE_DATA_DIR), that over this file, which is read when --config or RINGFENCE_CONFIG names
# it. Unknown names are refused. `ringfence config check` says what is in force and what is wrong.
# This file is printed by `ringfence config sample`.
";

/// The sample.
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        write!(text, "\n# {}\n", section.heading).expect("writing to a string");
        for setting in section.settings {
            text.push_str(&entry(setting));
        }
    }
    text
}

fn entry(setting: &Setting) -> String {
    let about = format!("{}: {}", setting.about, setting.kind.expected());
    let mut entry = String::from("\n");
    for line in wrapped(&about, 96) {
        writeln!(entry, "# {line}").expect("writing to a string");
    }
    let name = setting.name;
    if setting.is_secret() {
        writeln!(entry, "#{name}_file = \"/run/secrets/{name}\"").expect("writing to a string");
        return entry;
    }
    let value = toml_value(setting.kind, setting.default.unwrap_or_else(|| example(setting.kind)));
    writeln!(entry, "#{name} = {value}").expect("writing to a string");
    entry
}

/// What stands in the sample for a setting without a default.
const fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Number { .. } => "2",
        Kind::Rate => "1.20 60/60",
        Kind::Words => "india",
        Kind::PemFile => "/etc/ringfence/tls.pem",
        Kind::Mailbox => "calls@example.com",
        Kind::HttpUrl => "https://calls.example.com",
        _ => "",
    }
}

/// A text as TOML writes a value of its kind.
pub fn toml_value(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Number { .. } | Kind::OneOf(&["false", "true"]) => text.to_owned(),
        Kind::Words => {
            let words: Vec<String> =
                text.split(',').map(|word| format!("{:?}", word.trim())).collect();
            format!("[{}]", words.join(", "))
        }
        _ => toml_string(text),
    }
}

fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control)).expect("writing to a string");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_with_every_line_in_force_is_valid_toml() {
        let uncommented: String = sample()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let table = toml::de::DeTable::parse(&uncommented).expect("TOML");
        assert_eq!(table.get_ref().len(), super::super::table::settings().count());
    }

    #[test]
    fn quotes_and_controls_are_escaped() {
        assert_eq!(toml_string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000A\"");
    }
}
