//! Disk space for a segment before it is needed, so that a full disk shows ahead of time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::directory::Directory;
use super::error::is_full;
use super::settings::FILE_MODE;

/// With less than this a new segment is not worth beginning.
const RESERVE_BYTES_MIN: u64 = 64 << 10;

/// An empty file under a temporary name.
pub(super) struct Reserved {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// What the segment may hold.
    pub(super) bytes: u64,
    /// Whether the space is really set aside, or was only seen to be free.
    pub(super) set_aside: bool,
}

/// Fails as a full disk does when there is not as much room as `bytes`.
pub(super) fn reserve(
    directory: &Directory,
    purpose: &str,
    bytes: u64,
    preallocate: bool,
) -> io::Result<Reserved> {
    let path = directory.temporary(purpose);
    let file =
        File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(&path)?;
    match allocate(&file, bytes, preallocate) {
        Ok(set_aside) => Ok(Reserved { file, path, bytes, set_aside }),
        Err(error) => {
            fs::remove_file(&path)?;
            Err(error)
        }
    }
}

/// As [`reserve`], but takes less rather than nothing on a disk that is nearly full.
pub(super) fn reserve_what_there_is(
    directory: &Directory,
    purpose: &str,
    bytes: u64,
    preallocate: bool,
) -> io::Result<Reserved> {
    let mut bytes = bytes;
    loop {
        match reserve(directory, purpose, bytes, preallocate) {
            Err(error) if is_full(&error) && bytes > RESERVE_BYTES_MIN => {
                bytes = (bytes / 2).max(RESERVE_BYTES_MIN);
            }
            outcome => return outcome,
        }
    }
}

/// Whether the disk has this much room, as far as can be seen without taking it.
pub(super) fn has_room(file: &File, bytes: u64) -> io::Result<bool> {
    let space = fstatvfs(file)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize) >= bytes)
}

/// Sets the rest of a segment aside again after it was cut. Without it, appends take their chance.
pub(super) fn reserve_again(file: &File, from: u64, to: u64) {
    if let Err(error) = fallocate(file, FallocateFlags::empty(), from, to.saturating_sub(from)) {
        tracing::debug!(%error, "cannot reserve the rest of a segment again");
    }
}

fn allocate(file: &File, bytes: u64, preallocate: bool) -> io::Result<bool> {
    if preallocate {
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, bytes) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    if has_room(file, bytes)? { Ok(false) } else { Err(io::ErrorKind::StorageFull.into()) }
}
