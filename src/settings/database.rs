//! Where the control plane's database is: as it was set, else a file in the data directory.

use std::path::Path;

use super::problem::Problem;
use super::reader::{DatabaseUrl, Reader};
use super::source::Sources;

/// Within the data directory.
const DATABASE_FILE: &str = "ringfence.db";

/// For a command that looks at the database and needs nothing else; the values of other settings are
/// not looked at.
pub fn database_url(sources: &Sources, mut problems: Vec<Problem>) -> Result<String, Vec<Problem>> {
    let mut reader = Reader::new(sources, &mut problems);
    let data_dir = reader.directory("data_dir");
    let set: Option<DatabaseUrl> = reader.parsed("database_url");
    if problems.is_empty() { Ok(url(&data_dir, set.as_ref())) } else { Err(problems) }
}

pub(super) fn url(data_dir: &Path, set: Option<&DatabaseUrl>) -> String {
    match set {
        Some(url) => url.reveal().to_owned(),
        None => format!("sqlite://{}", data_dir.join(DATABASE_FILE).display()),
    }
}
