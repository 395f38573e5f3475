//! Where the programs of this workspace stand.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

/// The path of a program: in `directory`, or beside the one that runs.
pub fn find(directory: Option<&Path>, name: &str) -> io::Result<PathBuf> {
    let beside = || Some(env::current_exe().ok()?.parent()?.to_owned());
    let path = directory.map(Path::to_owned).or_else(beside).unwrap_or_default().join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(io::Error::other(format!("{} is missing: make builds what it needs", path.display())))
}
