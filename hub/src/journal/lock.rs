//! The lock of a data directory. It belongs to an open file, so it ends with the process however
//! that dies, and taking it is the takeover.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use super::error::OpenError;

const FILE: &str = "lock";
/// A child that the former holder was just starting may have the lock for an instant longer.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);
/// Enough for any process id.
const PID_BYTES_MAX: u64 = 20;

pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(FILE);
        let error = |source| OpenError::io("lock", &path, source);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(error)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => {
                    std::thread::sleep(BETWEEN_ATTEMPTS);
                }
                Err(TryLockError::WouldBlock) => {
                    let directory = directory.to_path_buf();
                    return Err(OpenError::Locked { directory, pid: holder(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
        }
        if let Err(error) = sign(&mut file) {
            // The id only serves the message to a second process; a full disk must not matter here.
            tracing::warn!(path = %path.display(), %error, "cannot note the process id in the lock");
        }
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
