//! The database of this installation: whose it is, and the commands that work on it and serve nothing:
//! `ringfence migrate`, `backup` and `restore`.

mod sole;

use std::path::PathBuf;
use std::process::ExitCode;

use control_plane::database::{Copied, back_up, migrate, restore};

pub use sole::Sole;

/// What is to be done with the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upkeep {
    Migrate,
    BackUp(PathBuf),
    Restore(PathBuf),
}

/// Does it, and says what was done.
pub fn keep_up(upkeep: &Upkeep, url: &str) -> ExitCode {
    match crate::complete(carry_out(upkeep, url)) {
        Ok(text) => crate::say(&text),
        Err(failure) => crate::fail(&failure),
    }
}

async fn carry_out(upkeep: &Upkeep, url: &str) -> Result<String, String> {
    match upkeep {
        Upkeep::Migrate => {
            let _sole = Sole::take(url)?;
            let migrated = migrate(url).await.map_err(|error| error.to_string())?;
            Ok(if migrated.from == migrated.to {
                format!("the schema is up to date: version {}\n", migrated.to)
            } else {
                format!(
                    "the schema was brought from version {} to {}\n",
                    migrated.from, migrated.to
                )
            })
        }
        Upkeep::BackUp(file) => {
            let copied = back_up(url, file).await.map_err(|error| error.to_string())?;
            Ok(format!("{} holds a backup: {}\n", file.display(), shown(&copied)))
        }
        Upkeep::Restore(file) => {
            let _sole = Sole::take(url)?;
            let copied = restore(file, url).await.map_err(|error| error.to_string())?;
            Ok(format!("{} is restored: {}\n", file.display(), shown(&copied)))
        }
    }
}

/// `version 8 of the schema, 33 rows (2 accounts, 0 calls), and its ledger agrees with itself`
fn shown(copied: &Copied) -> String {
    let rows =
        |of: &str| copied.tables.iter().find(|(table, _)| *table == of).map_or(0, |(_, n)| *n);
    format!(
        "version {} of the schema, {} rows ({} accounts, {} calls), and its ledger agrees with itself",
        copied.version,
        copied.rows(),
        rows("accounts"),
        rows("calls"),
    )
}
