//! The command line: what was asked, with the settings given as flags. Its help is made from the
//! table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::settings::table::{Setting, settings, variable};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Serve,
    ConfigCheck,
    ConfigSample,
}

/// A parsed command line.
pub struct CommandLine {
    pub task: Task,
    /// Names of the table and their texts.
    pub flags: Vec<(String, String)>,
    pub config: Option<PathBuf>,
}

/// Parses the arguments of this process. Ends it, with status 2, when they are wrong or ask for help.
pub fn parse() -> CommandLine {
    read(&command().get_matches())
}

fn read(root: &ArgMatches) -> CommandLine {
    let (task, matches) = match root.subcommand() {
        Some(("config", config)) => match config.subcommand() {
            Some(("sample", sample)) => (Task::ConfigSample, sample),
            Some((_, check)) => (Task::ConfigCheck, check),
            None => (Task::ConfigCheck, config),
        },
        Some((_, serve)) => (Task::Serve, serve),
        None => (Task::Serve, root),
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let flags =
        flag_names().into_iter().filter_map(|name| Some((name.clone(), text(&name)?))).collect();
    CommandLine { task, flags, config: text("config").map(PathBuf::from) }
}

/// Secrets have no flag, since every user of the machine can read command lines; their files have.
fn flag_names() -> Vec<String> {
    let name = |s: &Setting| {
        if s.is_secret() { s.file_name() } else { s.name.to_owned() }
    };
    settings().map(name).collect()
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .visible_alias("file")
        .value_name("FILE")
        .global(true)
        .help("a TOML file of settings [RINGFENCE_CONFIG]");
    Command::new("ringfence")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Decides, before a call starts, whether it may: slots and prepaid money per tenant")
        .after_help("Without a subcommand: serve. Settings: flag, then environment, then file.")
        .subcommand(
            Command::new("serve")
                .about("Run gateway, control plane and an embedded hub in this process [default]"),
        )
        .subcommand(
            Command::new("config")
                .about("Check or print settings")
                .subcommand_required(true)
                .subcommand(Command::new("check").about(
                    "Print what is in force, or everything that is wrong (status 2); starts nothing",
                ))
                .subcommand(Command::new("sample").about("Print a commented file of settings")),
        )
        .arg(config)
        .args(settings().map(argument))
}

fn argument(setting: &'static Setting) -> Arg {
    let variable = |name: &str| variable(name);
    let (name, placeholder) = if setting.is_secret() {
        (setting.file_name(), "FILE")
    } else {
        (setting.name.to_owned(), setting.kind.placeholder())
    };
    let default = setting.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let about = if setting.is_secret() {
        format!(
            "a file with {}: {} [{} or {}]",
            setting.about,
            setting.kind.expected(),
            variable(&name),
            setting.variable(),
        )
    } else {
        let expected = setting.kind.expected();
        format!("{}: {expected}{default} [{}]", setting.about, setting.variable())
    };
    let flag = if setting.is_secret() { name.replace('_', "-") } else { setting.flag() };
    // A negative number is a wrong value, said by the check, not an unknown flag.
    Arg::new(name)
        .long(flag)
        .value_name(placeholder)
        .allow_hyphen_values(true)
        .global(true)
        .help(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> CommandLine {
        read(&command().get_matches_from(arguments))
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_flags_stand_before_or_after_the_subcommand() {
        for arguments in [
            &["ringfence", "--data-dir", "d"][..],
            &["ringfence", "serve", "--data-dir", "d"],
            &["ringfence", "--data-dir=d", "serve"],
        ] {
            let line = parsed(arguments);
            assert_eq!(line.task, Task::Serve);
            assert_eq!(line.flags, [("data_dir".to_owned(), "d".to_owned())], "{arguments:?}");
        }
        let check = parsed(&["ringfence", "config", "check", "--file", "f.toml"]);
        assert_eq!(check.task, Task::ConfigCheck);
        assert_eq!(check.config, Some(PathBuf::from("f.toml")));
    }

    #[test]
    fn a_secret_is_never_a_flag() {
        assert!(command().try_get_matches_from(["ringfence", "--operator-key", "x"]).is_err());
        let line = parsed(&["ringfence", "--operator-key-file", "f"]);
        assert_eq!(line.flags, [("operator_key_file".to_owned(), "f".to_owned())]);
    }
}
