//! Everything measured, as Prometheus reads it: what was registered through handles, and series that
//! are made from the counters themselves when they are asked for.

use std::sync::OnceLock;

use metrics::{describe_counter, describe_gauge, gauge, set_global_recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of durations, in seconds: an admission takes microseconds, one that waits up to seconds.
const SECONDS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// Which accounts a scrape asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Those with the most live calls, a bounded number.
    Busiest,
    All,
}

type Series = Box<dyn Fn(Accounts, &mut String) + Send + Sync>;

/// The recorder of this process.
pub struct Metrics {
    handle: PrometheusHandle,
    at_scrape: OnceLock<Series>,
}

impl Metrics {
    /// Makes this the recorder of the process; once, before anything registers a metric.
    pub fn install() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        set_global_recorder(recorder)?;
        describe_gauge!("ringfence_build_info", "The version that runs.");
        describe_gauge!(
            "ringfence_posting_backlog",
            "Ended calls whose record is not posted to the ledger yet."
        );
        describe_gauge!(
            "ringfence_hub_shards",
            "Shards of a shared hub that are not in force, by what keeps them from it."
        );
        describe_gauge!(
            "ringfence_wallets_compared",
            "Wallets of which hub and ledger were compared in the last round."
        );
        describe_gauge!(
            "ringfence_wallets_apart",
            "Wallets of which the hub counts fewer charges than are posted (behind), or more (ahead)."
        );
        describe_counter!(
            "ringfence_record_conflicts_total",
            "Call records that came again with another charge and were not posted."
        );
        describe_counter!(
            "ringfence_invoices_issued_total",
            "Invoices issued by this process, by itself or when asked."
        );
        describe_gauge!(
            "ringfence_recharge_attempt_oldest_seconds",
            "How long the oldest recharge that a wallet asked for has been waited for; 0: none is."
        );
        describe_counter!(
            "ringfence_webhook_attempts_total",
            "Attempts to deliver an event to a webhook, by result."
        );
        describe_counter!(
            "ringfence_reported_denials_unattributed_total",
            "Refused admits that are in no account's usage, as gateways have reported."
        );
        describe_gauge!(
            "ringfence_tls_certificate_expiry_seconds",
            "When the certificate in use expires, in seconds since 1970."
        );
        gauge!("ringfence_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, at_scrape: OnceLock::new() })
    }

    /// Series that are written at each scrape.
    pub fn add_at_scrape(&self, write: impl Fn(Accounts, &mut String) + Send + Sync + 'static) {
        // Set once, at start.
        let _first = self.at_scrape.set(Box::new(write));
    }

    /// Moves what histograms collected into their buckets; to be called every few seconds, or it
    /// piles up between scrapes.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The text of one scrape.
    pub fn render(&self, accounts: Accounts) -> String {
        let mut text = self.handle.render();
        if let Some(write) = self.at_scrape.get() {
            write(accounts, &mut text);
        }
        text
    }
}
