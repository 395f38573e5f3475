//! Per-account series in the Prometheus text format, made from the counters themselves when they are
//! asked for; nothing of it is touched by an admission.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

use hub::embedded::EmbeddedHub;
use hub::money::{Amount, Currency};

use crate::accounts::Account;
use crate::counts::DurationCounts;
use crate::engine::Engine;

/// Accounts of an ordinary scrape: those with most live calls.
pub const ACCOUNTS_MAX: usize = 1_000;

impl Engine {
    /// The series of the busiest accounts, or of all.
    pub fn write_account_series(&self, all: bool, text: &mut String) {
        let mut accounts = Vec::new();
        self.directory().visit_accounts(|account| {
            if !account.id.is_shadow() {
                accounts.push((account.slots.now().used, Arc::clone(account)));
            }
        });
        if !all && accounts.len() > ACCOUNTS_MAX {
            accounts.select_nth_unstable_by(ACCOUNTS_MAX, |(a, _), (b, _)| b.cmp(a));
            accounts.truncate(ACCOUNTS_MAX);
        }
        let mut accounts: Vec<_> = accounts.into_iter().map(|(_, account)| account).collect();
        accounts.sort_by_key(|account| account.id);
        write_series(&accounts, self.embedded(), text);
    }

    /// The series of one account: what its own key may scrape.
    pub fn write_own_series(&self, account: &Arc<Account>, text: &mut String) {
        write_series(std::slice::from_ref(account), self.embedded(), text);
    }
}

/// Opens a family of series.
pub fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a string");
}

/// A family of one histogram, in seconds.
pub fn histogram(text: &mut String, name: &str, help: &str, durations: &DurationCounts) {
    family(text, name, "histogram", help);
    let bucket_name = format!("{name}_bucket");
    let mut count = 0;
    let (last, bounded) = durations.buckets.split_last().unwrap_or((&0, &[]));
    for (bucket, in_bucket) in bounded.iter().enumerate() {
        count += in_bucket;
        let below = seconds(1 << bucket);
        sample(text, &bucket_name, format_args!("le=\"{below}\""), count);
    }
    count += last;
    sample(text, &bucket_name, format_args!("le=\"+Inf\""), count);
    let sum = seconds(durations.sum_us);
    sample(text, &format!("{name}_sum"), format_args!(""), sum);
    sample(text, &format!("{name}_count"), format_args!(""), count);
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// One series of a family; labels as they stand between the braces.
pub fn sample(text: &mut String, name: &str, labels: fmt::Arguments<'_>, value: impl Display) {
    let written = match labels.as_str() {
        Some("") => writeln!(text, "{name} {value}"),
        _ => writeln!(text, "{name}{{{labels}}} {value}"),
    };
    written.expect("writing to a string");
}

/// Balances are known where the hub is; elsewhere the control plane has them.
fn write_series(accounts: &[Arc<Account>], hub: Option<&EmbeddedHub>, text: &mut String) {
    let name = "ringfence_account_calls_live";
    family(text, name, "gauge", "Live calls of an account.");
    for account in accounts {
        let live = account.slots.now().used;
        sample(text, name, format_args!("account=\"{}\"", account.id), live);
    }
    let name = "ringfence_account_limit";
    family(text, name, "gauge", "The most live calls an account may have.");
    for account in accounts {
        let total = account.organization.terms().total;
        let limit = account.terms().cap.unwrap_or(total);
        sample(text, name, format_args!("account=\"{}\"", account.id), limit);
    }
    let name = "ringfence_account_denials_total";
    family(text, name, "counter", "Refused admits of an account.");
    for account in accounts {
        for (reason, count) in account.denials() {
            let labels = (account.id, reason.label());
            let labels = format_args!("account=\"{}\",reason=\"{}\"", labels.0, labels.1);
            sample(text, name, labels, count);
        }
    }
    let name = "ringfence_account_wallet_balance";
    let help = "Money of a wallet in major units, holds of live calls included.";
    family(text, name, "gauge", help);
    for account in accounts {
        if let Some((balance, currency)) = hub.and_then(|hub| balance(account, hub)) {
            let labels = format_args!("account=\"{}\",currency=\"{currency}\"", account.id);
            sample(text, name, labels, balance.in_currency(currency));
        }
    }
}

/// The balance of the account's own wallet, if it has one that was ever filled.
fn balance(account: &Account, hub: &EmbeddedHub) -> Option<(Amount, Currency)> {
    let terms = account.terms();
    let wallet = terms.wallet.as_ref().filter(|wallet| wallet.owner == account.id)?;
    let counted = (*wallet.counted.lock())?;
    let spent = hub.wallet_use(counted.organization, counted.owner).spent;
    Some((counted.escrow.saturating_sub(spent), counted.currency))
}
