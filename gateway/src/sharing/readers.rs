//! Turns of those who read the hub about many calls: one organization's questions do not slow the calls
//! of another.

use std::future::Future;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hub::clock::{SECOND_US, boot_us};
use hub::denial::Reason;
use hub::id::AccountId;
use hub::shared::NoAnswer;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::Patience;

/// How long one read may take.
const READ_US: i64 = SECOND_US;
/// After a read its organization waits so many times as long as it took: a tenth of the hub at most is
/// an organization's readers'.
const REST: i64 = 9;
/// Organizations remembered before those that may read again are forgotten.
const REMEMBERED: usize = 1_000;

/// Until when the next read of an organization waits, on the clock since boot.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<HashMap<AccountId, i64, RandomState>>);

impl Readers {
    /// What the hub answers in this organization's turn.
    pub(crate) async fn read<T>(
        &self,
        organization: AccountId,
        answer: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, Reason> {
        let mut patience = Patience::of_us(READ_US);
        while !self.begins(organization) {
            patience.pause().await?;
        }
        let began_us = boot_us();
        let answer = timeout(Duration::from_micros(READ_US.unsigned_abs()), answer).await;
        let took_us = boot_us() - began_us;
        self.0.lock().insert(organization, boot_us() + (REST * took_us).min(READ_US));
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "live calls could not be read");
                Err(Reason::HubUnavailable)
            }
            Err(_) => Err(Reason::HubUnavailable),
        }
    }

    fn begins(&self, organization: AccountId) -> bool {
        let now_us = boot_us();
        let turns = &mut *self.0.lock();
        if turns.get(&organization).is_some_and(|until_us| now_us < *until_us) {
            return false;
        }
        if turns.len() >= REMEMBERED {
            turns.retain(|_, until_us| now_us < *until_us);
        }
        // Whoever is gone before the answer leaves no more than this.
        turns.insert(organization, now_us + READ_US);
        true
    }
}

#[cfg(test)]
mod tests {
    use hub::id::{AccountKind, Ulid};

    use super::*;

    fn organization(number: u8) -> AccountId {
        AccountId::new(AccountKind::Organization, Ulid(number.into()))
    }

    #[test]
    fn an_organization_reads_once_at_a_time_and_another_beside_it() {
        let readers = Readers::default();
        assert!(readers.begins(organization(1)));
        assert!(!readers.begins(organization(1)));
        assert!(readers.begins(organization(2)));
    }

    #[tokio::test]
    async fn the_next_turn_comes_after_a_rest() {
        let readers = Readers::default();
        for _ in 0..2 {
            let answer = readers.read(organization(1), async { Ok(7) }).await;
            assert_eq!(answer, Ok(7));
        }
        let lost = async { Err::<(), _>(NoAnswer::Unsealed) };
        assert_eq!(readers.read(organization(1), lost).await, Err(Reason::HubUnavailable));
    }
}
