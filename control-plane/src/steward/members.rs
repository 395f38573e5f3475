//! The list of holders in the database and the hub's members, brought to agree. What the database has
//! to say first is committed before the hub hears of it: a hub that loses its memory asks the
//! database who may have something.

use std::collections::BTreeSet;

use hub::clock::now_us;
use hub::id::HolderId;
use hub::redis::hub::ShardStanding;

use super::Trouble;
use crate::hub::Shared;
use crate::{App, holders, publication};

/// What the database says of a shard, read before the hub is asked.
pub(super) struct Known {
    pub(super) holders: BTreeSet<HolderId>,
    /// The last publication.
    pub(super) publication: u64,
}

impl Known {
    pub(super) async fn read(app: &App, shard: u8) -> Result<Self, Trouble> {
        let mut connection = app.store.read().await?;
        Ok(Self {
            holders: holders::list(&mut connection, shard).await?.into_iter().collect(),
            publication: publication::last(&mut connection, shard).await?,
        })
    }
}

/// What the database has to hear.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Take part and do not stand in the database.
    joined: Vec<HolderId>,
    /// Stand in the database, or may, and take part no more.
    gone: Vec<HolderId>,
}

impl Differences {
    fn of(known: &BTreeSet<HolderId>, standing: &ShardStanding) -> Self {
        let mut differences = Self::default();
        for member in &standing.members {
            if member.dying {
                differences.gone.push(member.id);
            } else if !known.contains(&member.id) {
                differences.joined.push(member.id);
            }
        }
        // While it learns, the hub may not know yet who has something.
        if !standing.is_learning {
            let takes_part = |id: &HolderId| standing.members.iter().any(|member| member.id == *id);
            differences.gone.extend(known.iter().filter(|id| !takes_part(id)));
        }
        differences
    }
}

/// Writes joined holders and strikes out gone ones, then confirms and buries them.
pub(super) async fn reconcile(
    app: &App,
    hub: &Shared,
    shard: u8,
    known: &Known,
    standing: &ShardStanding,
) -> Result<(), Trouble> {
    let differences = Differences::of(&known.holders, standing);
    if differences != Differences::default() {
        let now_us = now_us();
        let mut writing = app.store.write().await?;
        for id in &differences.joined {
            holders::add(writing.connection(), shard, *id, now_us).await?;
        }
        for id in &differences.gone {
            holders::strike_out(writing.connection(), shard, *id, now_us).await?;
        }
        writing.commit().await?;
    }
    for member in &standing.members {
        if member.dying {
            hub.redis().bury(shard, member.id).await?;
            tracing::info!(shard, holder = %member.id, "a gateway that was silent is gone");
        } else if !member.confirmed {
            hub.redis().confirm(shard, member.id).await?;
            tracing::debug!(shard, holder = %member.id, "a gateway has joined");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hub::redis::hub::Member;

    use super::*;

    fn member(id: u128, confirmed: bool, dying: bool) -> Member {
        Member { id: HolderId(id), confirmed, dying }
    }

    fn standing(is_learning: bool, members: Vec<Member>) -> ShardStanding {
        ShardStanding {
            incarnation: 1,
            is_learning,
            members,
            directory: 0,
            last_record: 0,
            acknowledged: 0,
            clock_ms: 1,
        }
    }

    #[test]
    fn who_takes_part_is_written_also_when_it_was_confirmed_and_struck_out_since() {
        let known = BTreeSet::from([HolderId(1)]);
        let members = vec![member(1, true, false), member(2, true, false), member(3, false, false)];
        let differences = Differences::of(&known, &standing(false, members));
        assert_eq!(differences.joined, [HolderId(2), HolderId(3)]);
        assert_eq!(differences.gone, []);
    }

    #[test]
    fn who_is_unknown_to_the_hub_is_struck_out_but_not_while_it_learns() {
        let known = BTreeSet::from([HolderId(1), HolderId(2)]);
        let members = vec![member(2, true, true)];
        let learning = Differences::of(&known, &standing(true, members.clone()));
        assert_eq!(learning.gone, [HolderId(2)]);
        let learned = Differences::of(&known, &standing(false, members));
        assert_eq!(learned.gone, [HolderId(2), HolderId(1)]);
    }
}
