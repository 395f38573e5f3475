//! Reports of gateways, as tests make them up.

use hub::denial::Reason;
use hub::id::{AccountId, HolderId};
use hub::report::{Refused, Report, SLICES, Slices, minute_of, slice_of};

use super::Harness;
use crate::{reports, timestamp};

/// A report of `denials`, which names nobody yet.
pub(crate) fn report(sequence: u64, refused: Vec<Refused>) -> Report {
    Report { reporter: HolderId(1), sequence, refused, keys: Vec::new(), unattributed: 0 }
}

/// Refusals of one account in the minute of `at`: by reason, and calls refused by the account's limit in
/// that slice.
pub(crate) fn refused(account: &str, at: &str, denials: &[(Reason, u32)], calls: u32) -> Refused {
    let us = timestamp::read(at).expect("a time");
    let mut by_account: Slices = [0; SLICES];
    by_account[slice_of(us)] = calls;
    let account: AccountId = account.parse().expect("an id");
    let (minute, denials) = (minute_of(us), denials.to_vec());
    Refused { account, minute, denials, by_account, by_organization: [0; SLICES] }
}

impl Harness {
    /// A gateway's report, taken.
    pub(crate) async fn reported(&self, report: &Report) {
        let app = &self.plane.app;
        assert!(app.hub.embedded().report(report), "one before it waits");
        assert_eq!(reports::take(app).await.expect("written"), 1);
    }
}
