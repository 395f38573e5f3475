//! A full disk, on a real one of 4 MiB: refused and visible, nothing lost, over when there is room.

use std::process::Command;

use super::*;

/// A file system in memory. Needs the right to mount.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(directory.path())
            .output()
            .expect("this test needs the command mount");
        let reason = String::from_utf8_lossy(&mounted.stderr).into_owned();
        assert!(mounted.status.success(), "this test needs the right to mount: {reason}");
        Self { directory }
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    /// Takes all but `left` bytes.
    fn fill(&self, left: u64) {
        let ballast = fs::File::create(self.ballast()).unwrap();
        let space = rustix::fs::fstatvfs(&ballast).unwrap();
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(left);
        if bytes > 0 {
            rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes).unwrap();
        }
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.directory.path()).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

fn appends_until_full(journal: &Journal) -> u64 {
    for count in 0..100_000 {
        match append(journal, &numbered(journal.last().0 + 1)) {
            Ok(_) => {}
            Err(AppendError::Full) => return count,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk never became full");
}

fn settings(preallocate: bool) -> Settings {
    Settings { segment_bytes: 512 << 10, preallocate, ..small() }
}

/// Fills the disk, sees the refusal, frees it, goes on, and finds everything again.
fn fill_and_free(preallocate: bool) {
    let disk = SmallDisk::mount();
    let (journal, ..) = open_with(&disk.journal(), settings(preallocate));
    append_numbered(&journal, 10);
    settle(&journal);
    disk.fill(100_000);
    let before = appends_until_full(&journal);
    assert!(before > 0);
    assert!(journal.is_full());
    assert_eq!(append(&journal, &numbered(0)), Err(AppendError::Full), "it stays refused");
    wait_durable(&journal);
    disk.free();
    wait_until("the room is noticed", || !journal.is_full());
    append_numbered(&journal, 100);
    let last = journal.last().0;
    assert_eq!(last, 10 + before + 100);
    let crashed = crash_copy(&journal);
    drop(journal);
    for directory in [disk.journal(), crashed.path().to_path_buf()] {
        assert_numbered(&open(&directory).1, last);
    }
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room_and_loses_nothing() {
    fill_and_free(true);
}

#[test]
fn the_same_holds_where_space_cannot_be_reserved() {
    fill_and_free(false);
}

#[test]
fn a_full_disk_is_noticed_while_there_is_still_reserved_room() {
    let disk = SmallDisk::mount();
    let (journal, ..) = open_with(&disk.journal(), settings(true));
    settle(&journal);
    disk.fill(0);
    // Fills the first segment; the second was reserved, a third cannot be.
    while journal.last() < Position(520) {
        append_numbered(&journal, 1);
    }
    wait_until("the full disk is noticed", || journal.is_full());
    append_numbered(&journal, 400);
    disk.free();
    wait_until("the room is noticed", || !journal.is_full());
    append_numbered(&journal, 80);
    drop(journal);
    assert_numbered(&open(&disk.journal()).1, 1_000);
}

#[test]
fn a_payload_too_large_for_the_disk_leaves_room_for_smaller_ones() {
    for preallocate in [true, false] {
        let disk = SmallDisk::mount();
        let (journal, ..) = open_with(&disk.journal(), settings(preallocate));
        append_numbered(&journal, 3);
        for _ in 0..3 {
            assert_eq!(append(&journal, &vec![9; 5 << 20]), Err(AppendError::Full));
            append_numbered(&journal, 1);
        }
        let crashed = crash_copy(&journal);
        drop(journal);
        assert_numbered(&open(&disk.journal()).1, 6);
        let (_, log, recovered) = open(crashed.path());
        assert_numbered(&log, 6);
        assert_eq!(recovered.lost_bytes, 0, "no half of a refused payload is left");
    }
}

#[test]
fn a_start_on_a_full_disk_replays_and_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount();
    let (journal, ..) = open_with(&disk.journal(), settings(true));
    append_numbered(&journal, 100);
    settle(&journal);
    disk.fill(0);
    drop(journal);
    // What the closed segment gave back is enough for a small one.
    let (journal, log, _) = open_with(&disk.journal(), settings(true));
    assert_numbered(&log, 100);
    append_numbered(&journal, 20);
    appends_until_full(&journal);
    assert!(journal.is_full());
    disk.free();
    wait_until("the room is noticed", || !journal.is_full());
    append_numbered(&journal, 100);
    let last = journal.last().0;
    drop(journal);
    assert_numbered(&open(&disk.journal()).1, last);
}

#[test]
fn a_disk_without_any_room_refuses_a_start_and_keeps_the_records() {
    let disk = SmallDisk::mount();
    let (journal, ..) = open_with(&disk.journal(), settings(true));
    append_numbered(&journal, 100);
    drop(journal);
    disk.fill(0);
    let message = try_open_with(&disk.journal(), settings(true)).err().unwrap().to_string();
    assert!(message.contains("no room on the disk of"), "{message}");
    assert!(message.contains("free some space"), "{message}");
    disk.free();
    assert_numbered(&open_with(&disk.journal(), settings(true)).1, 100);
}

#[test]
fn a_compaction_without_room_leaves_the_journal_whole() {
    let disk = SmallDisk::mount();
    let (journal, ..) = open_with(&disk.journal(), settings(true));
    append_numbered(&journal, 1_500);
    settle(&journal);
    disk.fill(600_000);
    let refused = journal.compact_now(Log::default());
    assert!(matches!(refused, Err(crate::journal::CompactError::Full)), "{refused:?}");
    assert!(!disk.journal().join("snapshot.tmp").exists());
    disk.free();
    wait_until("the room is noticed", || !journal.is_full());
    append_numbered(&journal, 100);
    drop(journal);
    assert_numbered(&open(&disk.journal()).1, 1_600);
}
