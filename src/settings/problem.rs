//! What is wrong with the settings, said so that it can be repaired. Never shows a secret.

use std::fmt;
use std::path::Path;

use super::source::{Given, Origin};
use super::table::Setting;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Problem {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value of a setting is not one of its kind.
    pub fn value(setting: &Setting, given: &Given) -> Self {
        let (name, expected) = (setting.name, setting.kind.expected());
        if setting.is_secret() {
            let found = given.text.chars().count();
            return Self(format!("{name} ({}): expected {expected}, found {found}", given.origin));
        }
        if given.text.is_empty() {
            return Self(format!("{name} ({}) is empty: expected {expected}", given.origin));
        }
        Self(format!("{name} = {:?} ({}): expected {expected}", given.text, given.origin))
    }

    /// What is wrong with a secret, in words that show nothing of it.
    pub fn secret(setting: &Setting, given: &Given, why: &impl fmt::Display) -> Self {
        let (name, expected) = (setting.name, setting.kind.expected());
        Self(format!("{name} ({}): {why}; expected {expected}", given.origin))
    }

    /// The file that a setting names cannot be used.
    pub fn file(name: &str, given: &Given, why: &str) -> Self {
        Self(format!("{name} = {:?} ({}): {why}", given.text, given.origin))
    }

    pub fn unknown(name: &str, origin: &Origin, nearest: Option<&str>) -> Self {
        let meant = nearest.unwrap_or_default();
        Self(format!("unknown setting {name} ({origin}); the nearest known one is {meant}"))
    }

    pub fn unknown_variable(name: &str, nearest: Option<&str>) -> Self {
        let meant = nearest.unwrap_or_default();
        Self(format!("unknown environment variable {name}; the nearest known one is {meant}"))
    }

    pub fn not_utf8(variable: &str) -> Self {
        Self(format!("environment {variable} is not UTF-8"))
    }

    pub fn unreadable(path: &Path, why: &str) -> Self {
        Self(format!("{} cannot be read: {why}", path.display()))
    }

    pub fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        // The error's own text quotes the line, which may hold a secret.
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].split(|byte| *byte == b'\n').count();
        Self(format!("{}, line {line}: not TOML: {}", path.display(), error.message()))
    }

    pub fn wrong_type(name: &str, origin: &Origin) -> Self {
        Self(format!("{name} ({origin}): expected a string, a number or a list of strings"))
    }
}
