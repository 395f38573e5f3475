//! The command line: what was asked, with the settings given as flags. Its help is made from the
//! table of settings.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::database::Upkeep;
use crate::role::Role;
use crate::settings::table::{Setting, settings, variable};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Run(Role),
    KeepUp(Upkeep),
    ConfigCheck(Role),
    ConfigSample,
    /// With a file of what an earlier one printed, if any.
    AuditVerify {
        earlier: Option<PathBuf>,
    },
    /// The same of the ledger.
    LedgerVerify {
        earlier: Option<PathBuf>,
    },
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
            Some((_, check)) => (Task::ConfigCheck(role(check.get_one("role"))), check),
            None => (Task::ConfigCheck(Role::Serve), config),
        },
        Some(("migrate", migrate)) => (Task::KeepUp(Upkeep::Migrate), migrate),
        Some(("backup", backup)) => (Task::KeepUp(Upkeep::BackUp(file(backup))), backup),
        Some(("restore", restore)) => (Task::KeepUp(Upkeep::Restore(file(restore))), restore),
        Some(("audit", audit)) => {
            let verify = audit.subcommand_matches("verify").unwrap_or(audit);
            let earlier = verify.get_one::<String>("since").map(PathBuf::from);
            (Task::AuditVerify { earlier }, verify)
        }
        Some(("ledger", ledger)) => {
            let verify = ledger.subcommand_matches("verify").unwrap_or(ledger);
            let earlier = verify.get_one::<String>("since").map(PathBuf::from);
            (Task::LedgerVerify { earlier }, verify)
        }
        Some((name, run)) => (Task::Run(role(Some(&name.to_owned()))), run),
        None => (Task::Run(Role::Serve), root),
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let flags =
        flag_names().into_iter().filter_map(|name| Some((name.clone(), text(&name)?))).collect();
    CommandLine { task, flags, config: text("config").map(PathBuf::from) }
}

/// The role of that name; `serve` when none is given.
fn role(name: Option<&String>) -> Role {
    let named = |role: &Role| name.is_some_and(|name| name == role.name());
    Role::ALL.into_iter().find(named).unwrap_or(Role::Serve)
}

/// The file that a backup goes to or comes from.
fn file(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<String>("backup_file").map(PathBuf::from).unwrap_or_default()
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
    let role = Arg::new("role")
        .value_name("COMMAND")
        .value_parser(Role::ALL.map(Role::name))
        .default_value(Role::Serve.name())
        .help("the command whose settings are checked");
    let check = Command::new("check")
        .about("Print what is in force, or everything that is wrong (status 2); starts nothing")
        .arg(role);
    Command::new("ringfence")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Decides, before a call starts, whether it may: slots and prepaid money per tenant")
        .after_help("Without a subcommand: serve. Settings: flag, then environment, then file.")
        .subcommands(Role::ALL.map(|role| Command::new(role.name()).about(role.about())))
        .subcommand(
            Command::new("config")
                .about("Check or print settings")
                .subcommand_required(true)
                .subcommand(check)
                .subcommand(Command::new("sample").about("Print a commented file of settings")),
        )
        .subcommands(upkeep())
        .subcommand(
            Command::new("audit")
                .about("Check the audit trail")
                .subcommand_required(true)
                .subcommand(audit_verify()),
        )
        .subcommand(
            Command::new("ledger")
                .about("Check the ledger")
                .subcommand_required(true)
                .subcommand(ledger_verify()),
        )
        .arg(config)
        .args(settings().map(argument))
}

/// The commands on the database that `database_url` names, else on the one in `data_dir`.
fn upkeep() -> [Command; 3] {
    let file =
        |help: &'static str| Arg::new("backup_file").value_name("BACKUP").required(true).help(help);
    let migrate = Command::new("migrate").about(
        "Bring the schema of the database up to date, as each start of a control plane does",
    );
    let backup = Command::new("backup")
        .about(
            "Write everything in the database, as it stands now, to one new SQLite file; control \
             planes go on meanwhile",
        )
        .after_help(
            "Of a SQLite database and of PostgreSQL alike. It has accounts, people, hashes of keys and \
             passwords, ledger and call records, not the calls that are live: those are the hub's.",
        )
        .arg(file("the file to be written; one that exists is never replaced"));
    let restore = Command::new("restore")
        .about("Fill an empty database, of either kind, from a backup")
        .after_help(
            "A backup of SQLite restored into PostgreSQL, or the reverse, moves an installation from one \
             to the other. All of it is restored or nothing.",
        )
        .arg(file("what ringfence backup has written"));
    [migrate, backup, restore]
}

fn audit_verify() -> Command {
    let since = Arg::new("since")
        .long("since")
        .value_name("FILE")
        .help("what an earlier check printed: each chain must still contain what it had then");
    Command::new("verify")
        .about("Check that no entry of the audit was changed, removed, added or moved (status 1)")
        .long_about(
            "Checks the audit in the database of the control plane (database_url, else the file in \
             data_dir), while control planes run or while none does; changes nothing.\n\n\
             Prints a line per chain: its organization (or 'installation'), how many entries are \
             sealed, the seal of the last one. Names on standard error, for each chain that does not \
             hold, the first entry that does not fit.\n\n\
             Who can write to the whole database could write a chain anew from some entry on. Keep what \
             this command prints where they cannot reach it, and give it to a later check by --since: \
             then that shows too.\n\n\
             Status: 0, all of it fits; 1, something does not; 2, the settings or the command line are \
             wrong; 3, it could not be checked.",
        )
        .arg(since)
}

fn ledger_verify() -> Command {
    let since = Arg::new("since")
        .long("since")
        .value_name("FILE")
        .help("what earlier checks printed: the ledger must still contain what it had then");
    Command::new("verify")
        .about("Check that the ledger agrees with itself and that nothing posted was changed (status 1)")
        .long_about(
            "Checks the ledger in the database of the control plane (database_url, else the file in \
             data_dir), while control planes run or while none does; changes nothing. It reads all of it: \
             transactions sum to zero and none is missing, balances are what their entries come to, wallets \
             and calls say the same, and everything is what was sealed.\n\n\
             Prints a line with the last transaction that is sealed and the seal there. Names on standard \
             error what does not fit; and, without harm to the status, debt and charges of closed accounts \
             that nobody has settled, with the time since when.\n\n\
             Who can write to the whole database could write the ledger anew from some transaction on. Keep \
             what this command prints where they cannot reach it, and give it to a later check by --since: \
             then that shows too. What gateways hold is not looked at: that is the hub's.\n\n\
             Status: 0, all of it fits; 1, something does not; 2, the settings or the command line are \
             wrong; 3, it could not be checked.",
        )
        .arg(since)
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
            assert_eq!(line.task, Task::Run(Role::Serve));
            assert_eq!(line.flags, [("data_dir".to_owned(), "d".to_owned())], "{arguments:?}");
        }
        let check = parsed(&["ringfence", "config", "check", "--file", "f.toml"]);
        assert_eq!(check.task, Task::ConfigCheck(Role::Serve));
        assert_eq!(check.config, Some(PathBuf::from("f.toml")));
    }

    #[test]
    fn every_role_is_a_subcommand_and_can_be_checked() {
        for role in Role::ALL {
            assert_eq!(parsed(&["ringfence", role.name()]).task, Task::Run(role));
            let check = parsed(&["ringfence", "config", "check", role.name()]);
            assert_eq!(check.task, Task::ConfigCheck(role));
        }
        assert!(command().try_get_matches_from(["ringfence", "config", "check", "hub"]).is_err());
    }

    #[test]
    fn a_backup_is_named_by_its_file_and_never_goes_without() {
        let line = parsed(&["ringfence", "backup", "b.db", "--data-dir", "d"]);
        assert_eq!(line.task, Task::KeepUp(Upkeep::BackUp(PathBuf::from("b.db"))));
        assert_eq!(line.flags, [("data_dir".to_owned(), "d".to_owned())]);
        assert_eq!(parsed(&["ringfence", "migrate"]).task, Task::KeepUp(Upkeep::Migrate));
        assert!(command().try_get_matches_from(["ringfence", "restore"]).is_err());
    }

    #[test]
    fn the_audit_is_verified_with_the_settings_of_the_database() {
        let line = parsed(&["ringfence", "audit", "verify", "--since", "f", "--data-dir", "d"]);
        assert_eq!(line.task, Task::AuditVerify { earlier: Some(PathBuf::from("f")) });
        assert_eq!(line.flags, [("data_dir".to_owned(), "d".to_owned())]);
        assert!(command().try_get_matches_from(["ringfence", "audit"]).is_err());
        let line = parsed(&["ringfence", "ledger", "verify", "--data-dir", "d"]);
        assert_eq!(line.task, Task::LedgerVerify { earlier: None });
    }

    #[test]
    fn a_secret_is_never_a_flag() {
        assert!(command().try_get_matches_from(["ringfence", "--operator-key", "x"]).is_err());
        let line = parsed(&["ringfence", "--operator-key-file", "f"]);
        assert_eq!(line.flags, [("operator_key_file".to_owned(), "f".to_owned())]);
    }
}
