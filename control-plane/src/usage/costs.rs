//! The cost breakdowns that stacks send with a release (`hub::costs`), added up.

use std::collections::BTreeMap;

use hub::costs::{CostKind, amounts};
use hub::id::AccountId;
use hub::money::Amount;
use serde_json::value::RawValue;
use sqlx::{AnyConnection, Row as _};

use super::Window;
use crate::problem::Problem;

/// Records read at a time.
const ROWS_PER_READ: i64 = if cfg!(test) { 2 } else { 2_000 };
/// The longest name of a provider or model, in characters; longer ones are cut.
const NAME_CHARACTERS_MAX: usize = 64;
/// Names kept apart in one sum; what comes after them is added up under [`OTHER`].
const NAMES_MAX: usize = 100;
const OTHER: &str = "other";
/// Amounts by provider or model.
pub(crate) type Named = BTreeMap<String, Amount>;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Breakdown {
    pub(crate) synthesizer: Named,
    pub(crate) transcriber: Named,
    pub(crate) llm: Named,
    pub(crate) platform: Amount,
    pub(crate) telephony: Amount,
}

impl Breakdown {
    /// Of all calls of an account. Reads the records in pieces: there is no limit to them but the time
    /// that a request may take.
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        account: AccountId,
        window: Window,
    ) -> Result<Self, Problem> {
        let mut sum = Self::default();
        let (mut from_us, mut after) = (window.from_us, String::new());
        loop {
            let rows = sqlx::query(
                "SELECT admitted_us, call_id, costs FROM calls WHERE account_id = $1 \
                 AND admitted_us >= $2 AND admitted_us < $3 AND (admitted_us > $2 OR call_id > $4) \
                 AND costs IS NOT NULL ORDER BY admitted_us, call_id LIMIT $5",
            )
            .bind(account.to_string())
            .bind(from_us)
            .bind(window.to_us)
            .bind(after.as_str())
            .bind(ROWS_PER_READ)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else { return Ok(sum) };
            for row in &rows {
                sum.add(row.try_get("costs")?);
            }
            (from_us, after) = (last.try_get("admitted_us")?, last.try_get("call_id")?);
        }
    }

    /// Adds what one call carried, as far as it can be read.
    fn add(&mut self, costs: &str) {
        let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(costs) else {
            return;
        };
        for (member, value) in members {
            let kept = match CostKind::of_member(&member) {
                Some(CostKind::Synthesizer) => &mut self.synthesizer,
                Some(CostKind::Transcriber) => &mut self.transcriber,
                Some(CostKind::Llm) => &mut self.llm,
                Some(CostKind::Platform) => {
                    add_all(&mut self.platform, value);
                    continue;
                }
                Some(CostKind::Telephony) => {
                    add_all(&mut self.telephony, value);
                    continue;
                }
                None => continue,
            };
            for (name, amount) in amounts(value) {
                let name = name.chars().take(NAME_CHARACTERS_MAX).collect();
                let is_room = kept.len() < NAMES_MAX || kept.contains_key(&name);
                let name = if is_room { name } else { OTHER.to_owned() };
                let sum = kept.entry(name).or_default();
                *sum = sum.saturating_add(amount);
            }
        }
    }
}

/// What counts of one call's breakdown, and nothing else that its stack has written there.
pub(crate) fn amounts_only(costs: &str) -> String {
    let mut one = Breakdown::default();
    one.add(costs);
    let number = |amount: Amount| format!("{}e-6", amount.micros());
    let named = |member: &str, amounts: &Named| {
        let name = |name: &String| serde_json::Value::String(name.clone());
        let amounts: Vec<String> = (amounts.iter())
            .map(|(named, amount)| format!("{}:{}", name(named), number(*amount)))
            .collect();
        format!("\"{member}\":{{{}}}", amounts.join(","))
    };
    let plain = |member: &str, amount: Amount| format!("\"{member}\":{}", number(amount));
    let members = [
        named("synthesizer", &one.synthesizer),
        named("transcriber", &one.transcriber),
        named("llm", &one.llm),
        plain("platform", one.platform),
        plain("telephony", one.telephony),
    ];
    format!("{{{}}}", members.join(","))
}

fn add_all(sum: &mut Amount, value: &RawValue) {
    for (_, amount) in amounts(value) {
        *sum = sum.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    fn micros(named: &Named) -> Vec<(&str, i64)> {
        named.iter().map(|(name, amount)| (name.as_str(), amount.micros())).collect()
    }

    #[test]
    fn what_is_left_of_a_purged_breakdown_adds_up_to_the_same_and_says_nothing_else() {
        for costs in [
            r#"{"llm":{"gpt \"4\"":0.5,"mini":"0.25"},"synthesizer":1,"platform":0.02,"caller":"+9111"}"#,
            r#"{"transcriber":{"deepgram":2e-6},"network":{"plivo":0.1,"x":0.2},"llm":{"a":"Ana"}}"#,
            r#"{"llm":"+9111"}"#,
            "no JSON of +9111",
        ] {
            let sum = |costs: &str| {
                let mut sum = Breakdown::default();
                sum.add(costs);
                sum
            };
            let left = amounts_only(costs);
            assert!(!left.contains("9111") && !left.contains("Ana"), "{left}");
            serde_json::from_str::<serde_json::Value>(&left).expect("JSON");
            assert_eq!(sum(&left), sum(costs), "{left}");
        }
    }

    #[test]
    fn breakdowns_add_up_by_part_and_name() {
        let mut sum = Breakdown::default();
        sum.add(r#"{"llm":{"gpt-4o":0.5,"mini":"0.25"},"synthesizer":1,"platform":0.02,"telephony":"0.1"}"#);
        sum.add(r#"{"llm":{"gpt-4o":1e-1},"transcriber":{"deepgram":2},"network":{"plivo":0.1,"x":0.2}}"#);
        assert_eq!(micros(&sum.llm), [("gpt-4o", 600_000), ("mini", 250_000)]);
        assert_eq!(micros(&sum.synthesizer), [("unknown", 1_000_000)]);
        assert_eq!(micros(&sum.transcriber), [("deepgram", 2_000_000)]);
        assert_eq!((sum.platform.micros(), sum.telephony.micros()), (20_000, 400_000));
    }

    #[tokio::test]
    async fn calls_are_read_piece_by_piece_and_each_once() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let account: AccountId = id.parse().expect("an id");
        let mut writing = harness.plane.app.store.write().await.expect("a turn");
        for (admitted_us, call_id) in
            [(9_i64, "x"), (10, "a"), (10, "b"), (10, "c"), (11, "a"), (12, "x")]
        {
            sqlx::query(
                "INSERT INTO calls (account_id, admitted_us, call_id, ended_us, direction, caller, callee, \
                 agent_id, source, outcome, cause, billable_s, cost, debt, revision, costs) \
                 VALUES ($1, $2, $3, 0, '', '', '', '', '', 'completed', '', 0, 0, 0, 0, $4)",
            )
            .bind(account.to_string())
            .bind(admitted_us)
            .bind(call_id)
            .bind(r#"{"llm":1}"#)
            .execute(writing.connection())
            .await
            .expect("written");
        }
        let window = Window { from_us: 10, to_us: 12 };
        let sum = Breakdown::load(writing.connection(), account, window).await.expect("readable");
        assert_eq!(micros(&sum.llm), [("unknown", 4_000_000)]);
    }

    #[test]
    fn what_is_no_breakdown_counts_nothing() {
        let mut sum = Breakdown::default();
        for costs in [
            "",
            "x",
            "null",
            "[1,2]",
            "7",
            r#""{}""#,
            r#"{"llm":null,"platform":"free","telephony":-1,"transcriber":[1.5],"synthesizer":true}"#,
            r#"{"llm":{"nested":{"a":1}},"total":5,"LLM":1}"#,
        ] {
            sum.add(costs);
        }
        assert_eq!(sum, Breakdown::default());
    }

    #[test]
    fn names_have_a_length_and_a_number_that_they_do_not_exceed() {
        let mut sum = Breakdown::default();
        for index in 0..NAMES_MAX + 50 {
            let name = format!("{index:03}{}", "n".repeat(NAME_CHARACTERS_MAX));
            sum.add(&format!(r#"{{"llm":{{"{name}":1}}}}"#));
        }
        assert_eq!(sum.llm.len(), NAMES_MAX + 1);
        assert_eq!(sum.llm[OTHER].micros(), 50_000_000);
        assert!(sum.llm.keys().all(|name| name.chars().count() <= NAME_CHARACTERS_MAX));
    }
}
