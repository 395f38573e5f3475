//! Damage that no crash explains: the journal refuses to start, names the place, changes nothing.

use std::collections::BTreeMap;

use super::*;

/// A crashed journal of several segments; the last one is unsealed.
fn several_segments() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 200);
    crash_copy(&journal)
}

/// A journal of a snapshot and one segment.
fn with_snapshot() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 100);
    journal.compact_now(Log::default()).unwrap();
    append_numbered(&journal, 20);
    crash_copy(&journal)
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files(directory, "").into_iter().filter(|path| !path.ends_with("lock"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The directory is refused and left as it is.
fn refusal(directory: &Path) -> OpenError {
    let before = contents(directory);
    let Err(error) = try_open(directory) else { panic!("the journal opened") };
    assert!(contents(directory) == before, "a refused start changes nothing");
    error
}

fn assert_damage(directory: &Path, file: &Path, flipped: usize) {
    let error = refusal(directory);
    let OpenError::Damaged { path, offset, .. } = &error else { panic!("{error}") };
    assert_eq!(path, file);
    assert!(*offset <= flipped as u64, "{error} is behind byte {flipped}");
    assert!(flipped as u64 - offset < 2_000, "{error} is far from byte {flipped}");
    let message = error.to_string();
    assert!(message.contains(file.to_str().unwrap()) && message.contains("backup"), "{message}");
}

#[test]
fn a_flipped_bit_in_an_earlier_segment_is_refused_with_file_and_offset() {
    let directory = several_segments();
    let segments = files(directory.path(), ".log");
    assert!(segments.len() >= 3);
    let bytes = usize::try_from(fs::metadata(&segments[1]).unwrap().len()).unwrap();
    let offsets = (0..8).chain(12..64).chain((64..bytes).step_by(1_013));
    for offset in offsets {
        for segment in &segments[..2] {
            flip(segment, offset);
            assert_damage(directory.path(), segment, offset);
            flip(segment, offset);
        }
    }
    assert_numbered(&open(directory.path()).1, 200);
}

#[test]
fn a_segment_closed_by_a_clean_stop_is_as_strict_as_an_earlier_one() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 5);
    drop(journal);
    let segment = files(directory.path(), ".log").pop().unwrap();
    let mut zeroed = fs::read(&segment).unwrap();
    zeroed[64 + 1_016..64 + 2_032].fill(0);
    flip(&segment, 64 + 1_016 + 500);
    assert_damage(directory.path(), &segment, 64 + 1_016 + 500);
    fs::write(&segment, zeroed).unwrap();
    assert_damage(directory.path(), &segment, 64 + 1_016);
}

#[test]
fn a_lost_seal_before_the_open_segment_costs_nothing() {
    let directory = several_segments();
    let segments = files(directory.path(), ".log");
    let last_sealed = &segments[segments.len() - 2];
    let bytes = fs::metadata(last_sealed).unwrap().len();
    flip(last_sealed, usize::try_from(bytes).unwrap() - 3);
    assert_numbered(&open(directory.path()).1, 200);
}

#[test]
fn a_power_cut_at_a_rotation_keeps_the_synced_prefix_and_drops_the_rest() {
    let directory = several_segments();
    let segments = files(directory.path(), ".log");
    let torn = &segments[segments.len() - 2];
    let mut bytes = fs::read(torn).unwrap();
    let unsynced = bytes.len() - 16 - 2 * 1_016;
    bytes[unsynced..].fill(0);
    fs::write(torn, bytes).unwrap();
    let (journal, log, recovered) = open(directory.path());
    let kept = log.entries.len() as u64;
    assert_numbered(&log, kept);
    assert_eq!(recovered.last, Position(kept));
    assert!((100..198).contains(&kept) && recovered.lost_bytes > 0, "{recovered:?}");
    append_numbered(&journal, 300 - kept);
    drop(journal);
    assert_numbered(&open(directory.path()).1, 300);
}

#[test]
fn a_lost_header_of_the_newest_segment_costs_only_that_segment() {
    let directory = several_segments();
    let segments = files(directory.path(), ".log");
    let newest = segments.last().unwrap();
    fs::write(newest, vec![0; 70_000]).unwrap();
    let (journal, log, _) = open(directory.path());
    let kept = log.entries.len() as u64;
    assert_numbered(&log, kept);
    append_numbered(&journal, 200 - kept);
    drop(journal);
    assert_numbered(&open(directory.path()).1, 200);
}

#[test]
fn a_missing_segment_is_refused_with_the_records_that_are_gone() {
    let directory = several_segments();
    let segments = files(directory.path(), ".log");
    fs::remove_file(&segments[1]).unwrap();
    let message = refusal(directory.path()).to_string();
    assert!(message.contains("lacks the records 65 to 128"), "{message}");
    fs::remove_file(&segments[0]).unwrap();
    let message = refusal(directory.path()).to_string();
    assert!(message.contains("lacks the records 1 to 128"), "{message}");
}

#[test]
fn a_missing_segment_after_the_snapshot_is_refused() {
    let directory = with_snapshot();
    let segment = files(directory.path(), ".log").pop().unwrap();
    let name = "journal-00000000000000000110.log";
    fs::rename(&segment, directory.path().join(name)).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }));
    fs::remove_file(directory.path().join(name)).unwrap();
    let (journal, log, _) = open(directory.path());
    assert_numbered(&log, 100);
    append_numbered(&journal, 200);
    drop(journal);
    fs::remove_file(&files(directory.path(), ".log")[0]).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Gap { from: Position(101), .. }));
}

#[test]
fn a_missing_snapshot_is_refused() {
    let directory = with_snapshot();
    fs::remove_file(&files(directory.path(), ".snap")[0]).unwrap();
    let (from, to) = (Position(1), Position(100));
    let error = refusal(directory.path());
    assert!(
        matches!(error, OpenError::Gap { from: f, to: t, .. } if (f, t) == (from, to)),
        "{error}"
    );
}

#[test]
fn a_flipped_bit_in_the_only_snapshot_is_refused() {
    let directory = with_snapshot();
    let snapshot = files(directory.path(), ".snap").pop().unwrap();
    let bytes = usize::try_from(fs::metadata(&snapshot).unwrap().len()).unwrap();
    let seal = bytes - 16;
    for offset in (0..8).chain(12..64).chain((64..bytes).step_by(997)).chain(seal..bytes) {
        flip(&snapshot, offset);
        assert_damage(directory.path(), &snapshot, offset);
        flip(&snapshot, offset);
    }
    assert_numbered(&open(directory.path()).1, 120);
}

#[test]
fn a_snapshot_cut_short_is_never_taken_for_whole() {
    let directory = with_snapshot();
    let snapshot = files(directory.path(), ".snap").pop().unwrap();
    let whole = fs::read(&snapshot).unwrap();
    let cuts = (0..64).step_by(9).chain((64..whole.len()).step_by(1_021)).chain([
        whole.len() - 16,
        whole.len() - 1,
        64 + 10 * (16 + 8 + 1_000),
    ]);
    for cut in cuts {
        fs::write(&snapshot, &whole[..cut]).unwrap();
        assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }), "cut at {cut}");
    }
    let longer = [&whole[..], b"x"].concat();
    fs::write(&snapshot, longer).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }));
}

#[test]
fn files_of_a_newer_version_are_refused_with_both_versions() {
    for suffix in [".log", ".snap"] {
        let directory = with_snapshot();
        let file = files(directory.path(), suffix).pop().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
        fs::write(&file, bytes).unwrap();
        let message = refusal(directory.path()).to_string();
        assert!(message.contains("format 7, this version reads up to 1"), "{message}");
        assert!(message.contains(file.to_str().unwrap()), "{message}");
        assert!(message.contains("start that version"), "{message}");
    }
}

#[test]
fn a_file_of_another_journal_is_refused() {
    let (directory, other) = (several_segments(), several_segments());
    let segments = files(directory.path(), ".log");
    fs::copy(&files(other.path(), ".log")[1], &segments[1]).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(&error, OpenError::ForeignFile { path } if *path == segments[1]), "{error}");
}

#[test]
fn a_payload_that_the_image_refuses_is_named_with_its_place() {
    struct Picky;
    impl Image for Picky {
        fn load(&mut self, _: &[u8]) -> Result<(), Refusal> {
            Ok(())
        }
        fn apply(&mut self, position: Position, _: &[u8]) -> Result<(), Refusal> {
            if position == Position(3) { Err(Refusal("unknown request".into())) } else { Ok(()) }
        }
        fn save(self, _: &mut dyn FnMut(&[u8])) {}
    }
    let directory = several_segments();
    let recovery = Journal::open(directory.path(), small()).unwrap();
    let message = recovery.replay(&mut Picky).err().unwrap().to_string();
    let offset = 64 + 2 * 1_016;
    assert!(message.contains(&format!("at byte {offset} is intact")), "{message}");
    assert!(message.contains("unknown request"), "{message}");
}

#[test]
fn a_damaged_newer_snapshot_does_not_matter_while_everything_older_stands() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ..) = open(directory.path());
    append_numbered(&journal, 100);
    journal.compact_now(Log::default()).unwrap();
    append_numbered(&journal, 100);
    let before = crash_copy(&journal);
    journal.compact_now(Log::default()).unwrap();
    let newer = files(directory.path(), ".snap").pop().unwrap();
    let copied = before.path().join(newer.file_name().unwrap());
    fs::copy(&newer, &copied).unwrap();
    flip(&copied, 5_000);
    let (journal, log, recovered) = open(before.path());
    assert_eq!(recovered.snapshot, Position(100));
    assert_numbered(&log, 200);
    drop(journal);
    assert_eq!(files(before.path(), ".snap").len(), 1, "the damaged one is gone");
    assert_numbered(&open(before.path()).1, 200);
}
