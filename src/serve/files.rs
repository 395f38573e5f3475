//! The limit on open files: every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: journal, database, listeners, timers.
const OTHER_FILES: u64 = 512;

/// Raises the limit as far as this process may. Says so in the log when `connections_max` does not
/// fit.
pub fn raise_limit(connections_max: usize) {
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(reachable), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    if reachable < wanted {
        tracing::warn!(
            open_files_max = reachable,
            connections_max,
            "fewer files may be open than connections_max asks for; raise the hard limit \
             (LimitNOFILE= under systemd)"
        );
    }
}
