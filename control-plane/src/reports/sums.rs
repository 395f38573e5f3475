//! What reports say, added up by account and minute, so that each row is written once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub::denial::Scope;
use hub::id::AccountId;
use hub::report::{EpochMinutes, Report, SLICES, minute_us};
use sqlx::AnyConnection;

use crate::account::owners;
use crate::problem::Problem;
use crate::store::rows::{self, Value};

/// Columns of `refused_calls`, in the order of the minute.
pub(crate) const SLICE_COLUMNS: [&str; SLICES] = [
    "slice_0", "slice_1", "slice_2", "slice_3", "slice_4", "slice_5", "slice_6", "slice_7",
    "slice_8", "slice_9", "slice_10", "slice_11",
];

/// Of an account, in a minute, for a reason or by whose limit.
type Place = (AccountId, EpochMinutes, &'static str);
/// The same of a subject, as it is stored.
type Row = (String, EpochMinutes, &'static str);

#[derive(Debug, Default)]
pub(super) struct Sums {
    denials: BTreeMap<Place, i64>,
    calls: BTreeMap<Place, [i64; SLICES]>,
}

impl Sums {
    pub(super) fn add(&mut self, report: &Report) {
        // Test calls are in no usage.
        for refused in report.refused.iter().filter(|refused| !refused.account.is_shadow()) {
            let (account, minute) = (refused.account, refused.minute);
            for (reason, count) in &refused.denials {
                let sum = self.denials.entry((account, minute, reason.label())).or_default();
                *sum = sum.saturating_add(i64::from(*count));
            }
            for scope in [Scope::Account, Scope::Organization] {
                let calls = refused.calls(scope);
                if calls.iter().all(|calls| *calls == 0) {
                    continue;
                }
                let sums = self.calls.entry((account, minute, scope.label())).or_default();
                add(sums, &calls.map(i64::from));
            }
        }
    }

    /// Refused admits for a reason, by account and minute, in that order.
    pub(super) fn of(
        &self,
        reason: &'static str,
    ) -> impl Iterator<Item = (AccountId, EpochMinutes, i64)> {
        let denials = self.denials.iter().filter(move |((_, _, why), _)| *why == reason);
        denials.map(|((account, minute, _), count)| (*account, *minute, *count))
    }

    /// Of each account that is named and known, its organization.
    pub(super) async fn owners(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<HashMap<AccountId, AccountId>, Problem> {
        let accounts: BTreeSet<AccountId> = self.denials.keys().map(|(id, _, _)| *id).collect();
        owners::of(connection, &accounts.into_iter().collect::<Vec<_>>()).await
    }

    /// Adds everything to what is there, of each account and of its organization, and says how many
    /// denials are of accounts that nobody knows.
    pub(super) async fn write(
        &self,
        connection: &mut AnyConnection,
        owners: &HashMap<AccountId, AccountId>,
    ) -> Result<u64, Problem> {
        let (mut denials, mut unknown) = (BTreeMap::<Row, i64>::new(), 0_u64);
        for ((account, minute, reason), count) in &self.denials {
            let Some(owner) = owners.get(account) else {
                unknown = unknown.saturating_add(count.unsigned_abs());
                continue;
            };
            for subject in [account.to_string(), together(*owner)] {
                let sum = denials.entry((subject, *minute, reason)).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        let rows = denials.iter().map(|(place, count)| {
            let mut row = columns(place);
            row.push(Value::Int(*count));
            row
        });
        rows::write(
            connection,
            "INSERT INTO denials (subject, minute_us, reason, denials)",
            &rows.collect::<Vec<_>>(),
            " ON CONFLICT (subject, minute_us, reason) \
             DO UPDATE SET denials = denials.denials + excluded.denials",
        )
        .await?;
        let mut calls = BTreeMap::<Row, [i64; SLICES]>::new();
        for ((account, minute, scope), slices) in &self.calls {
            let Some(owner) = owners.get(account) else { continue };
            for subject in [account.to_string(), together(*owner)] {
                add(calls.entry((subject, *minute, scope)).or_default(), slices);
            }
        }
        let rows = calls.iter().map(|(place, slices)| {
            let mut row = columns(place);
            row.extend(slices.iter().map(|calls| Value::Int(*calls)));
            row
        });
        let names = SLICE_COLUMNS.join(", ");
        let before = format!("INSERT INTO refused_calls (subject, minute_us, scope, {names})");
        let added =
            SLICE_COLUMNS.map(|name| format!("{name} = refused_calls.{name} + excluded.{name}"));
        let after =
            format!(" ON CONFLICT (subject, minute_us, scope) DO UPDATE SET {}", added.join(", "));
        rows::write(connection, &before, &rows.collect::<Vec<_>>(), &after).await?;
        Ok(unknown)
    }
}

fn columns((subject, minute, word): &Row) -> Vec<Value<'_>> {
    vec![Value::Text(subject), Value::Int(minute_us(*minute)), Value::Text(word)]
}

fn add(sums: &mut [i64; SLICES], slices: &[i64; SLICES]) {
    for (sum, calls) in sums.iter_mut().zip(slices) {
        *sum = sum.saturating_add(*calls);
    }
}

/// The subject that all accounts of an organization are together.
pub(crate) fn together(organization: AccountId) -> String {
    format!("*{organization}")
}
