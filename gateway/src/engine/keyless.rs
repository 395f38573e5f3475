//! The release of a deleted account's call, by who has its token: the account's keys open nothing any more.
//! While an account is there its token alone opens nothing either.

use hub::clock::second_of;
use hub::denial::{Denial, Reason};
use hub::id::{AccountId, SHARDS};

use super::{Engine, Hub};
use crate::answer::CallView;
use crate::request::Release;

impl Engine {
    /// The deleted account whose call the token is of. `None`: it opens nothing.
    pub fn departed_by_token(&self, call_id: &str, token: &str, now_us: i64) -> Option<AccountId> {
        let id = self.tokens.load().account(token, call_id, second_of(now_us))?;
        (!id.is_shadow() && self.directory.account(id).is_none()).then_some(id)
    }

    /// The receipt of a call of such an account. `None`: nobody knows the call any more, or the token is
    /// another call's.
    pub async fn release_by_token(
        &self,
        id: AccountId,
        call: &Release<'_>,
        now_us: i64,
    ) -> Option<Result<CallView, Denial>> {
        let Some(account) = self.directory.departed(id) else {
            return self.kept(id, call, now_us).map(Ok);
        };
        match self.release(&account, call, now_us).await {
            Err(denial) if matches!(denial.reason(), Reason::UnknownCall | Reason::Forbidden) => {
                None
            }
            outcome => Some(outcome),
        }
    }

    /// What an embedded hub keeps of a call whose account was deleted before this process began.
    fn kept(&self, id: AccountId, call: &Release<'_>, now_us: i64) -> Option<CallView> {
        let Hub::Embedded { hub, .. } = &self.hub else { return None };
        let place = self.calls.place(id, call.call_id.as_bytes());
        // Nobody knows any more below which organization the account was.
        let shards = (0..SHARDS).filter_map(|shard| u8::try_from(shard).ok());
        let record =
            { shards }.find_map(|shard| hub.ended(shard, place.name(), second_of(now_us)))?;
        self.check_token(call.token, &record.call).ok()?;
        Some(CallView::Ended(record))
    }
}
