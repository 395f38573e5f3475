//! Every charge is on exactly one invoice, whatever comes when: drawn at random, counted call by call.

use super::super::charges;
use super::*;

/// How many stories are drawn; the seed is their number.
const STORIES: u64 = 12;
const STEPS: usize = 60;

/// Calls of some months, their records early and late, in any order, corrections, and invoices of periods that
/// lie apart or side by side.
struct Story<'a> {
    harness: &'a Harness,
    seed: u64,
    random: StdRng,
    isolated: AccountId,
    /// Who has calls, and who pays for them.
    callers: Vec<(AccountId, Billing)>,
    /// Whose invoices are asked for.
    subjects: Vec<AccountId>,
    began_us: i64,
    posted_us: i64,
    calls: Vec<Told>,
    /// Where the last invoice of each ends.
    ends: BTreeMap<AccountId, i64>,
}

impl Story<'_> {
    async fn step(&mut self) {
        self.posted_us += self.random.random_range(0..4 * DAY_US);
        match self.random.random_range(0..10) {
            0..=5 => self.calls_end().await,
            6..=7 if !self.calls.is_empty() => self.correction_comes().await,
            _ => self.issue().await,
        }
    }

    async fn calls_end(&mut self) {
        let (random, mut batch) = (&mut self.random, Vec::new());
        for _ in 0..random.random_range(1..5) {
            let (account, billing) = self.callers[random.random_range(0..self.callers.len())];
            let oldest_us = if random.random_bool(0.3) { 55 * DAY_US } else { DAY_US };
            let admitted_us = self.posted_us - random.random_range(0..oldest_us);
            let cost = if random.random_bool(0.1) { 0 } else { random.random_range(1..9_999_999) };
            let number = self.calls.len() + batch.len();
            batch.push(Told { account, billing, admitted_us, number, cost, revision: 0 });
        }
        self.harness.post(&batch, self.posted_us).await;
        self.calls.extend(batch);
    }

    async fn correction_comes(&mut self) {
        let index = self.random.random_range(0..self.calls.len());
        let told = &mut self.calls[index];
        told.revision += 1;
        told.cost = self.random.random_range(0..9_999_999);
        self.harness.post(&[*told], self.posted_us).await;
    }

    async fn issue(&mut self) {
        for subject in self.subjects.clone() {
            let random = &mut self.random;
            let gap_us =
                if random.random_bool(0.5) { 0 } else { random.random_range(0..5 * DAY_US) };
            let from_us = self.end_us(subject) + gap_us;
            let to_us = from_us + self.random.random_range(1..30 * DAY_US);
            if self.harness.issue(subject, from_us, to_us).await.is_some() {
                self.ends.insert(subject, to_us);
            }
            self.assert_covered(subject).await;
        }
    }

    fn end_us(&self, subject: AccountId) -> i64 {
        self.ends.get(&subject).copied().unwrap_or(self.began_us - 40 * DAY_US)
    }

    /// One more invoice of everything since; then all is invoiced.
    async fn end(&self) {
        let far_us = self.posted_us + 1_000 * DAY_US;
        for subject in [self.isolated, self.harness.organization()] {
            self.harness.issue(subject, self.end_us(subject), far_us).await;
            self.assert_covered(subject).await;
        }
        let all: i64 = self.calls.iter().map(|told| told.cost).sum();
        let sql = format!(
            "SELECT CAST(COALESCE(SUM(charged), 0) AS BIGINT) FROM invoices WHERE account_id IN ('{}', '{}')",
            self.isolated,
            self.harness.organization()
        );
        assert_eq!(self.harness.number(&sql).await, all, "seed {}: of all there was", self.seed);
    }

    /// What the invoices of an account charge is what its calls cost that they cover: those of their
    /// rectangle, counted call by call.
    async fn assert_covered(&self, subject: AccountId) {
        let sql = format!(
            "SELECT CAST(COALESCE(SUM(charged), 0) AS BIGINT) FROM invoices WHERE account_id = '{subject}'"
        );
        let invoiced = self.harness.number(&sql).await;
        let mut connection = self.harness.plane.app.store.read().await.expect("a connection");
        let covered = charges::covered(&mut connection, subject).await.expect("readable");
        drop(connection);
        let Some(covered) = covered else {
            assert_eq!(invoiced, 0);
            return;
        };
        let (to, through) = (covered.to_us, covered.through_us);
        let whose = if subject == self.harness.organization() {
            format!(
                "organization_id = '{subject}' AND (billing_mode = 'consolidated' OR account_id = '{subject}')"
            )
        } else {
            format!("account_id = '{subject}' AND billing_mode = 'isolated'")
        };
        let sum = |table: &str, posted: &str| {
            format!(
                "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM {table} \
                 WHERE {whose} AND admitted_us < {to} AND {posted}"
            )
        };
        let cost = sum("calls", &format!("posted_us <= {through}"));
        let since = format!("call_posted_us <= {through} AND posted_us > {through}");
        let (cost, later) = (
            self.harness.number(&cost).await,
            self.harness.number(&sum("call_corrections", &since)).await,
        );
        assert_eq!(invoiced, cost - later, "seed {}", self.seed);
    }
}

#[tokio::test]
async fn every_charge_is_on_exactly_one_invoice_whatever_comes_when() {
    let harness = Harness::new().await;
    harness.invoicing().await;
    let mut posted_us = MARCH_US;
    for seed in 0..STORIES {
        let isolated: AccountId = harness.isolated(1).await.0.parse().expect("an id");
        let organization = harness.organization();
        let mut callers = vec![(isolated, Billing::Isolated)];
        let mut subjects = vec![isolated];
        // All stories share the organization, whose invoices are the last one's alone.
        if seed == STORIES - 1 {
            callers.push((isolated, Billing::Consolidated));
            callers.push((organization, Billing::Isolated));
            subjects.push(organization);
        }
        let mut story = Story {
            harness: &harness,
            seed,
            random: StdRng::seed_from_u64(seed),
            isolated,
            callers,
            subjects,
            began_us: posted_us,
            posted_us,
            calls: Vec::new(),
            ends: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            story.step().await;
        }
        story.end().await;
        posted_us = story.posted_us;
    }
    harness.assert_invoices_agree().await;
}
