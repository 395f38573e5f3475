//! The end that a crash leaves: whatever it looks like, exactly the intact records before it remain.

use proptest::prelude::*;

use super::*;

const HEADER: usize = 64;
const FRAME_HEADER: usize = 16;

/// A crashed journal of one segment, and where its payloads end in the file.
struct Crashed {
    directory: tempfile::TempDir,
    segment: PathBuf,
    original: Vec<u8>,
    payloads: Vec<Vec<u8>>,
    ends: Vec<usize>,
}

impl Crashed {
    fn with(payloads: Vec<Vec<u8>>) -> Self {
        let origin = tempfile::tempdir().unwrap();
        let (journal, ..) = open(origin.path());
        for payload in &payloads {
            append(&journal, payload).unwrap();
        }
        let directory = crash_copy(&journal);
        let segment = files(directory.path(), ".log").pop().unwrap();
        let ends = payloads.iter().scan(HEADER, |end, payload| {
            *end += FRAME_HEADER + payload.len();
            Some(*end)
        });
        let (original, ends) = (fs::read(&segment).unwrap(), ends.collect());
        Self { directory, segment, original, payloads, ends }
    }

    /// Where the last payload ends.
    fn end(&self) -> usize {
        self.ends.last().copied().unwrap_or(HEADER)
    }

    /// Starts on `damaged` bytes in place of the segment: the payloads before the first difference
    /// are recovered, and the journal goes on behind them.
    fn check(&self, damaged: &[u8]) {
        for path in files(self.directory.path(), "") {
            fs::remove_file(path).unwrap();
        }
        fs::write(&self.segment, damaged).unwrap();
        let same = self.original.iter().zip(damaged).take_while(|(a, b)| a == b).count();
        let intact = self.ends.iter().filter(|end| **end <= same).count();
        let end = if intact == 0 { HEADER } else { self.ends[intact - 1] };
        let written = damaged.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let lost_bytes = written.saturating_sub(end) as u64;

        let (journal, log, recovered) = open(self.directory.path());
        assert_eq!(log.payloads(), self.payloads[..intact]);
        let last = Position(intact as u64);
        let payloads = intact as u64;
        assert_eq!(recovered, Recovered { snapshot: Position(0), payloads, last, lost_bytes });
        append(&journal, b"after the crash").unwrap();
        drop(journal);
        let (_, log, recovered) = open(self.directory.path());
        assert_eq!(log.entries.len(), intact + 1);
        assert_eq!(log.entries[intact].1, b"after the crash");
        assert_eq!(recovered.lost_bytes, 0, "a loss is reported once");
    }
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index % 255 + 1).unwrap()).collect()
}

#[test]
fn a_tail_cut_at_any_byte_leaves_exactly_the_whole_records() {
    let crashed = Crashed::with([1, 16, 5, 40, 17].map(payload).to_vec());
    for end in HEADER..=crashed.end() + FRAME_HEADER + 1 {
        crashed.check(&crashed.original[..end]);
    }
}

#[test]
fn a_tail_with_any_byte_flipped_leaves_exactly_the_records_before_it() {
    let crashed = Crashed::with([1, 16, 5, 40, 17].map(payload).to_vec());
    for offset in HEADER..=crashed.end() + FRAME_HEADER {
        let mut damaged = crashed.original.clone();
        damaged[offset] ^= 1 << (offset % 8);
        crashed.check(&damaged);
    }
}

#[test]
fn a_record_behind_a_hole_never_comes_back() {
    // A power cut may lose a record and keep its successor; a new record of the same length must
    // not make that one reachable again.
    let crashed = Crashed::with(vec![payload(15); 3]);
    let mut damaged = crashed.original.clone();
    damaged[crashed.ends[0]..crashed.ends[1]].fill(0);
    crashed.check(&damaged);
    let (_, log, _) = open(crashed.directory.path());
    assert_eq!(log.payloads(), [payload(15), b"after the crash".to_vec()]);
}

#[test]
fn a_lost_header_of_the_only_segment_is_refused() {
    let crashed = Crashed::with(vec![payload(3)]);
    fs::write(&crashed.segment, vec![0; crashed.original.len()]).unwrap();
    assert!(matches!(try_open(crashed.directory.path()), Err(OpenError::Damaged { .. })));
}

#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Fill { byte: u8, bytes: usize },
}

fn damages() -> impl Strategy<Value = Damage> {
    let fill = (any::<u8>(), 1..3_000_usize).prop_map(|(byte, bytes)| Damage::Fill { byte, bytes });
    prop_oneof![Just(Damage::Cut), fill]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_tail_damaged_anyhow_leaves_exactly_the_records_before_it(
        sizes in prop::collection::vec(1..2_000_usize, 0..20),
        at in any::<prop::sample::Index>(),
        damage in damages(),
    ) {
        let crashed = Crashed::with(sizes.into_iter().map(payload).collect());
        let at = HEADER + at.index(crashed.end() + 100 - HEADER);
        let mut damaged = crashed.original.clone();
        match damage {
            Damage::Cut => damaged.truncate(at),
            Damage::Fill { byte, bytes } => {
                let end = (at + bytes).min(damaged.len());
                damaged[at..end].fill(byte);
            }
        }
        crashed.check(&damaged);
    }
}
