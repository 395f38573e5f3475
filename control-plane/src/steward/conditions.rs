//! How the shards are, for the log and the metrics: what changes is said once, whatever their number.

use std::collections::BTreeMap;

/// How a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    InForce,
    /// Its memory was lost, and holders have yet to report what they have.
    Learning,
    /// Its memory is lost, and it could not be begun.
    Unsealed,
    /// The hub or the database does not answer; why.
    OutOfReach(String),
}

/// The shards that are not in force.
#[derive(Debug, Default)]
pub(super) struct Conditions(BTreeMap<u8, Condition>);

impl Conditions {
    pub(super) fn note(&mut self, shard: u8, condition: Condition) {
        let before = (self.out_of_reach(), self.learning());
        match &condition {
            Condition::OutOfReach(why) if before.0 == 0 => {
                tracing::error!(shard, why, "a shard of the hub is out of reach");
            }
            other => tracing::debug!(shard, condition = ?other, "a shard was looked at"),
        }
        if condition == Condition::InForce {
            self.0.remove(&shard);
        } else {
            self.0.insert(shard, condition);
        }
        let now = (self.out_of_reach(), self.learning());
        if before.0 > 0 && now.0 == 0 {
            tracing::info!("all shards of the hub are in reach");
        }
        if before.1 == 0 && now.1 > 0 {
            tracing::warn!("the hub has lost memory: it learns what gateways have");
        }
        if before.1 > 0 && now.1 == 0 {
            tracing::info!("the hub has learned what gateways have");
        }
        self.measure();
    }

    /// Those that are not in force.
    pub(super) fn shards(&self) -> impl Iterator<Item = u8> {
        self.0.keys().copied()
    }

    fn count(&self, is: impl Fn(&Condition) -> bool) -> u32 {
        u32::try_from(self.0.values().filter(|condition| is(condition)).count()).unwrap_or(u32::MAX)
    }

    fn learning(&self) -> u32 {
        self.count(|condition| *condition == Condition::Learning)
    }

    fn unsealed(&self) -> u32 {
        self.count(|condition| *condition == Condition::Unsealed)
    }

    fn out_of_reach(&self) -> u32 {
        self.count(|condition| matches!(condition, Condition::OutOfReach(_)))
    }

    fn measure(&self) {
        for (state, count) in [
            ("learning", self.learning()),
            ("unsealed", self.unsealed()),
            ("out_of_reach", self.out_of_reach()),
        ] {
            metrics::gauge!("ringfence_hub_shards", "state" => state).set(f64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_counts_in_its_last_condition_only() {
        let mut conditions = Conditions::default();
        conditions.note(1, Condition::Unsealed);
        conditions.note(2, Condition::OutOfReach("away".to_owned()));
        conditions.note(1, Condition::Learning);
        let counts = |it: &Conditions| (it.learning(), it.unsealed(), it.out_of_reach());
        assert_eq!(counts(&conditions), (1, 0, 1));
        conditions.note(1, Condition::InForce);
        conditions.note(2, Condition::InForce);
        assert_eq!(counts(&conditions), (0, 0, 0));
    }
}
