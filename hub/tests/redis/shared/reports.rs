//! Reports of statistics: each waits for a control plane, one of a reporter at a time, whatever becomes
//! of the shard's memory beside it.

use hub::report::Report;
use support::redis::Redis;

use super::*;

fn report(reporter: u128, sequence: u64) -> Report {
    Report {
        reporter: HolderId(reporter),
        sequence,
        refused: Vec::new(),
        keys: Vec::new(),
        unattributed: sequence,
    }
}

impl Process {
    fn report(&self, reporter: u128, sequence: u64) -> bool {
        self.wait(self.hub.report(&report(reporter, sequence))).unwrap()
    }

    fn waiting(&self) -> Vec<Report> {
        let reports = self.wait(self.hub.waiting_reports()).unwrap();
        let mut reports: Vec<_> =
            reports.iter().map(|bytes| Report::read(bytes).unwrap()).collect();
        reports.sort_by_key(|report| report.reporter);
        reports
    }

    fn forget(&self, reporter: u128, sequence: u64) {
        let bytes = report(reporter, sequence).to_bytes();
        self.wait(self.hub.forget_report(&bytes)).unwrap();
    }
}

#[test]
fn a_report_waits_until_it_is_forgotten_and_the_next_until_then() {
    let redis = Redis::start(&[]);
    let process = Process::at(&redis.url());
    assert!(process.waiting().is_empty());
    assert!(process.report(1, 1));
    assert!(process.report(1, 1), "it may be told again");
    assert!(!process.report(1, 2), "the one before waits");
    assert!(process.report(2, 1), "another's");
    assert_eq!(process.waiting(), [report(1, 1), report(2, 1)]);
    process.forget(1, 1);
    assert!(process.report(1, 2));
    process.forget(1, 1);
    assert_eq!(process.waiting(), [report(1, 2), report(2, 1)], "no longer the one that was meant");
}

#[test]
fn reports_are_no_part_of_a_shards_memory() {
    let redis = Redis::start(&[]);
    let process = Process::at(&redis.url());
    assert!(process.report(1, 1), "before any control plane has begun the shard");
    assert!(process.begin(1, &[]));
    assert_eq!(process.waiting(), [report(1, 1)]);
}
