//! The lock beside a SQLite file, which only one process may hold.

use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The one process of a SQLite file, until it ends: changes take turns within a process only.
pub struct Sole {
    _locked: File,
}

impl Sole {
    /// `None`: the database is not a file.
    pub fn take(url: &str) -> Result<Option<Self>, String> {
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Ok(None);
        };
        let path = Path::new(path.split('?').next().unwrap_or(path));
        let lock = path.with_extension("lock");
        let shown = lock.display();
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let opened = directory.map_or(Ok(()), fs::create_dir_all);
        let file = opened
            .and_then(|()| File::options().create(true).append(true).open(&lock))
            .map_err(|error| format!("{shown} cannot be made: {error}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{} is in use by another control plane: a database serves one of them",
                path.display()
            )),
            Err(TryLockError::Error(error)) => Err(format!("{shown} cannot be locked: {error}")),
        }
    }
}
