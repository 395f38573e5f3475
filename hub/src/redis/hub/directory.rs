//! The directory of a shard: what control planes publish there, and how a gateway reads what changed, or
//! all of it in pages that are short for the server. Never says less than was published up to the number
//! that it tells.

use std::collections::HashMap;

use super::RedisHub;
use crate::codec::Writer;
use crate::deck::DeckVersion;
use crate::directory::codec::{read_change, write_change};
use crate::directory::{Change, DeckConfig, DeckPart, ResourceConfig};
use crate::redis::decode::{self, Malformed, Recent};
use crate::redis::encode::{self, Entry, Part};
use crate::redis::scripts::SCRIPTS;
use crate::shared::{NoAnswer, Published};
use crate::state::request::Request;

/// How often the whole is read before more than is remembered has changed each time.
const ATTEMPTS_MAX: u32 = 5;
/// Before the bytes of a change: the number of its publication.
const NUMBER_BYTES: usize = 8;
/// The cursor of the first page, and after the last.
const NO_CURSOR: &[u8] = b"0";

/// First byte of an entry's name. Values are part of what is stored; never reuse one.
mod name {
    pub(super) const ORGANIZATION: u8 = b'o';
    pub(super) const ACCOUNT: u8 = b'a';
    pub(super) const KEY: u8 = b'k';
    pub(super) const TOKEN_KEY: u8 = b't';
    /// Then organization, kind, and the resource's own name.
    pub(super) const RESOURCE: u8 = b'r';
    pub(super) const DECK: u8 = b'd';
    /// Then deck, version, and the part's place.
    pub(super) const DECK_PART: u8 = b'p';
}

/// Entries by their names, as they lie in the hash.
type Entries = HashMap<Vec<u8>, Vec<u8>>;

/// What readers are told in place of a revision: each incarnation counts from 1, above the one before. Both
/// are below 2^32 by far; a greater incarnation would only be read whole each time.
pub(super) fn number(incarnation: u64, revision: u64) -> u64 {
    if revision == 0 { 0 } else { (incarnation << u32::BITS) | revision }
}

impl RedisHub {
    /// Publishes changes of one shard, at most a thousand, under a number that grows with each publication
    /// of the installation: limits and wallets for the state machine, entries for the directory. One that
    /// comes late replaces nothing newer.
    pub async fn publish(
        &self,
        shard: u8,
        number: u64,
        changes: &[Change],
    ) -> Result<(), NoAnswer> {
        self.publish_part(shard, number, Part::Whole, changes).await
    }

    /// Publishes a part of all there is in the shard. Readers get nothing of it before its last part, and
    /// then nothing that came with a lower number.
    pub async fn republish(
        &self,
        shard: u8,
        number: u64,
        changes: &[Change],
        is_last: bool,
    ) -> Result<(), NoAnswer> {
        let part = if is_last { Part::LastAnew } else { Part::Anew };
        self.publish_part(shard, number, part, changes).await?;
        if is_last { self.sweep(shard).await } else { Ok(()) }
    }

    async fn publish_part(
        &self,
        shard: u8,
        number: u64,
        part: Part,
        changes: &[Change],
    ) -> Result<(), NoAnswer> {
        debug_assert!(changes.iter().all(|change| change.shard() == shard));
        let requests: Vec<_> = changes.iter().filter_map(Request::of).collect();
        let entries: Vec<_> = changes.iter().filter_map(entry).collect();
        let argument = encode::publish(number, part, &requests, &entries);
        self.tell(shard, &SCRIPTS.publish, argument).await
    }

    /// Drops what does not count any more. If it is cut short the next one does it.
    async fn sweep(&self, shard: u8) -> Result<(), NoAnswer> {
        let mut cursor = NO_CURSOR.to_vec();
        loop {
            let value = self.ask(shard, &SCRIPTS.sweep, encode::page(&cursor)).await?;
            cursor = decode::swept(value)?;
            if cursor == NO_CURSOR {
                return Ok(());
            }
        }
    }

    /// What was published after the publication `after`, or everything.
    pub(super) async fn published(&self, shard: u8, after: u64) -> Result<Published, NoAnswer> {
        let (incarnation, revision) = (after >> u32::BITS, after & u64::from(u32::MAX));
        let mut recent = self.recent(shard, incarnation, revision).await?;
        if let Some(entries) = recent.entries.take().filter(|_| after > 0) {
            let number = number(recent.incarnation, recent.revision);
            let changes = entries.iter().map(|entry| change(entry)).collect::<Result<_, _>>()?;
            return Ok(Published { number, is_whole: false, changes });
        }
        for _ in 0..ATTEMPTS_MAX {
            if recent.revision == 0 {
                return Ok(Published::default());
            }
            let entries = self.pages(shard).await?;
            // Each page is as it was when it was read: what changed meanwhile is read again.
            recent = self.recent(shard, recent.incarnation, recent.revision).await?;
            let Some(news) = recent.entries.take() else { continue };
            return whole(&recent, entries, news);
        }
        Err(NoAnswer::Lost("the directory changes faster than it can be read".to_owned()))
    }

    async fn recent(&self, shard: u8, incarnation: u64, after: u64) -> Result<Recent, NoAnswer> {
        let argument = encode::recent(incarnation, after);
        Ok(decode::recent(self.ask(shard, &SCRIPTS.recent, argument).await?)?)
    }

    async fn pages(&self, shard: u8) -> Result<Entries, NoAnswer> {
        let (mut entries, mut cursor) = (Entries::new(), NO_CURSOR.to_vec());
        loop {
            let value = self.ask(shard, &SCRIPTS.page, encode::page(&cursor)).await?;
            let (next, page) = decode::page(value)?;
            let mut page = page.into_iter();
            while let (Some(name), Some(entry)) = (page.next(), page.next()) {
                entries.insert(name, entry);
            }
            cursor = next;
            if cursor == NO_CURSOR {
                return Ok(entries);
            }
        }
    }
}

/// All that counts, without what is gone.
fn whole(recent: &Recent, mut entries: Entries, news: Vec<Vec<u8>>) -> Result<Published, NoAnswer> {
    let mut changes = Vec::with_capacity(entries.len());
    for entry in news {
        if let Some(name) = name_of(&change(&entry)?) {
            entries.insert(name, entry);
        }
    }
    for entry in entries.values() {
        if publication(entry)? < recent.floor {
            continue;
        }
        match change(entry)? {
            Change::AccountGone { .. }
            | Change::KeyGone { .. }
            | Change::ResourceGone { .. }
            | Change::DeckGone { .. }
            | Change::DeckPart(DeckPart { rows: None, .. }) => {}
            change => changes.push(change),
        }
    }
    let number = number(recent.incarnation, recent.revision);
    Ok(Published { number, is_whole: true, changes })
}

fn publication(entry: &[u8]) -> Result<u64, Malformed> {
    let number = entry.first_chunk::<NUMBER_BYTES>().ok_or(Malformed("an entry"))?;
    Ok(u64::from_be_bytes(*number))
}

fn change(entry: &[u8]) -> Result<Change, Malformed> {
    Ok(read_change(entry.get(NUMBER_BYTES..).ok_or(Malformed("an entry"))?)?)
}

fn entry(change: &Change) -> Option<Entry> {
    let mut bytes = Vec::new();
    let name = name_of(change)?;
    write_change(&mut Writer(&mut bytes), change);
    Some((name, bytes))
}

/// What is gone has the name of what it was. Wallets have none: gateways get their money by leases.
fn name_of(change: &Change) -> Option<Vec<u8>> {
    let named = |tag: u8, id: &[u8]| Some([&[tag], id].concat());
    match change {
        Change::Organization(config) => named(name::ORGANIZATION, &config.id.to_bytes()),
        Change::Account(config) => named(name::ACCOUNT, &config.id.to_bytes()),
        Change::AccountGone { id, .. } => named(name::ACCOUNT, &id.to_bytes()),
        Change::Resource(ResourceConfig { organization, kind, name, .. })
        | Change::ResourceGone { organization, kind, name, .. } => {
            let whose = [&organization.to_bytes()[..], &[*kind as u8]].concat();
            named(name::RESOURCE, &[&whose, name.as_bytes()].concat())
        }
        Change::Deck(DeckConfig { id, .. }) | Change::DeckGone { id, .. } => {
            named(name::DECK, &id.to_bytes())
        }
        Change::DeckPart(DeckPart { version: DeckVersion { deck, number }, part, .. }) => {
            let place = [number.to_be_bytes(), part.to_be_bytes()].concat();
            named(name::DECK_PART, &[&deck.to_bytes()[..], &place].concat())
        }
        Change::Key { hash, .. } | Change::KeyGone { hash, .. } => {
            named(name::KEY, hash.as_bytes())
        }
        Change::TokenKey(_) => named(name::TOKEN_KEY, &[]),
        Change::Wallet(_) => None,
    }
}
