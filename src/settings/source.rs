//! Where settings come from: flags, then the environment, then a TOML file. Every name is checked
//! here; values are not looked at yet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::problem::Problem;
use super::table::{self, settings, variable};

/// The variable that names the file.
const CONFIG_VARIABLE: &str = "RINGFENCE_CONFIG";
/// The largest settings or secret file that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// An environment variable; no value when it is not UTF-8.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag(String),
    Variable(String),
    File { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The text of a setting and where it was found.
#[derive(Clone, Debug)]
pub struct Given {
    pub text: String,
    pub origin: Origin,
}

/// What was given, by the names of the table (and of the files of secrets).
#[derive(Debug, Default)]
pub struct Sources {
    given: BTreeMap<String, Given>,
}

impl Sources {
    /// Merges the three sources, the first that names a setting winning. Problems are added, not
    /// returned one by one.
    pub fn merge(
        flags: Vec<(String, String)>,
        config_flag: Option<PathBuf>,
        variables: Vec<Variable>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut sources = Self::default();
        for (name, text) in flags {
            let origin = Origin::Flag(name.replace('_', "-"));
            sources.add(name, Given { text, origin });
        }
        let mut config = config_flag;
        for variable in variables {
            let Some(text) = variable.value else {
                problems.push(Problem::not_utf8(&variable.name));
                continue;
            };
            if variable.name == CONFIG_VARIABLE {
                config.get_or_insert_with(|| PathBuf::from(text));
            } else if let Some(name) = known_variable(&variable.name) {
                sources.add(name, Given { text, origin: Origin::Variable(variable.name) });
            } else {
                let known = known_names().iter().map(|name| table::variable(name)).collect();
                problems.push(unknown_variable(&variable.name, known));
            }
        }
        if let Some(path) = config {
            sources.add_file(&path, problems);
        }
        sources
    }

    pub fn given(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    fn add(&mut self, name: String, given: Given) {
        self.given.entry(name).or_insert(given);
    }

    fn add_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let text = match read(path) {
            Ok(text) => text,
            Err(problem) => return problems.push(Problem::unreadable(path, &problem)),
        };
        let parsed = match DeTable::parse(&text) {
            Ok(parsed) => parsed,
            Err(error) => return problems.push(Problem::not_toml(path, &text, &error)),
        };
        let known = known_names();
        for (key, value) in parsed.get_ref() {
            let name = key.get_ref().to_string();
            let line = text[..key.span().start].matches('\n').count() + 1;
            let origin = Origin::File { path: path.to_owned(), line };
            if !known.contains(&name) {
                problems.push(Problem::unknown(&name, &origin, nearest(&name, &known)));
            } else if let Some(text) = text_of(value.get_ref()) {
                self.add(name, Given { text, origin });
            } else {
                problems.push(Problem::wrong_type(&name, &origin));
            }
        }
    }
}

/// A file's text, of bounded size.
pub fn read(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_MAX {
        return Err(format!("it has {length} bytes, expected at most {FILE_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Names of the table and, for secrets, of the files that hold them.
pub fn known_names() -> Vec<String> {
    let mut names: Vec<String> = settings().map(|setting| setting.name.to_owned()).collect();
    names.extend(settings().filter(|s| s.is_secret()).map(super::table::Setting::file_name));
    names
}

fn known_variable(name: &str) -> Option<String> {
    known_names().into_iter().find(|known| variable(known) == name)
}

fn unknown_variable(name: &str, mut known: Vec<String>) -> Problem {
    known.push(CONFIG_VARIABLE.to_owned());
    Problem::unknown_variable(name, nearest(name, &known))
}

/// Numbers and lists read as if they had been written in a variable.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string().replace('_', "")),
        DeValue::Float(number) => Some(number.to_string().replace('_', "")),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}
