//! What is in force, as `ringfence config check` prints it: TOML, each line with its origin, secrets
//! masked.

use std::fmt::Write;

use super::Settings;
use super::sample::toml_value;

/// One line per setting.
pub fn report(settings: &Settings) -> String {
    let mut report = String::new();
    for in_force in settings.in_force() {
        let setting = in_force.setting;
        let line = match &in_force.given {
            None => format!("# {} is unset", setting.name),
            Some(given) if setting.is_secret() => {
                format!("# {} is set    # {}", setting.name, given.origin)
            }
            Some(given) => {
                let value = toml_value(setting.kind, &given.text);
                format!("{} = {value}    # {}", setting.name, given.origin)
            }
        };
        writeln!(report, "{line}").expect("writing to a string");
    }
    writeln!(report, "# renew_every_s in force: {}", settings.renew_every_s)
        .and_then(|()| writeln!(report, "# gateway_threads in force: {}", settings.gateway_threads))
        .expect("writing to a string");
    report
}
