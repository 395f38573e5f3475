//! The environment of the process, read here only.

use crate::settings::source::Variable;

const PREFIX: &str = "RINGFENCE_";

/// Every variable that is meant for Ringfence: its name, and its value unless that is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variables() -> Vec<Variable> {
    let mut variables: Vec<Variable> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let value = value.into_string().ok();
            name.starts_with(PREFIX).then_some(Variable { name, value })
        })
        .collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}
