//! Which server of a cluster has which shard: asked of the servers again and again, corrected by what
//! a server answers to a call.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use redis::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::id::SHARDS;
use crate::redis::connect::dial::Dialer;
use crate::redis::connect::news::Shards;
use crate::redis::connect::script::{SLOTS, slot};
use crate::redis::connect::server::{Opening, Server};
use crate::redis::connect::setting::Address;
use crate::redis::connect::trouble::{Lost, Trouble};

pub(in crate::redis::connect) struct Cluster {
    /// Those of the setting; they are asked when no other answers.
    seeds: Vec<Address>,
    dialer: Dialer,
    opening: Opening,
    map: Mutex<Map>,
    /// Something does not fit the map any more.
    outdated: Arc<Notify>,
    /// Whom to ask next: not always the same, it may be the one that is cut off.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Map {
    servers: HashMap<Address, Arc<Server>>,
    by_shard: HashMap<u8, Address>,
    /// Servers that were asked by redirection since the last look: they may have no slot yet.
    redirected: HashSet<Address>,
}

impl Cluster {
    pub(in crate::redis::connect) fn new(
        seeds: Vec<Address>,
        dialer: Dialer,
        opening: Opening,
        outdated: Arc<Notify>,
    ) -> Self {
        let (map, turn) = (Mutex::default(), AtomicUsize::new(0));
        Self { seeds, dialer, opening, map, outdated, turn }
    }

    /// The server that has a shard, as far as known.
    pub(in crate::redis::connect) fn server(&self, shard: u8) -> Result<Arc<Server>, Lost> {
        let map = self.map.lock();
        let server = map.by_shard.get(&shard).and_then(|address| map.servers.get(address));
        if server.is_none() {
            self.outdated.notify_one();
        }
        server.cloned().ok_or(Lost::NotSent(Trouble::NoRoute))
    }

    /// All servers that have shards, and whether all shards have one.
    pub(in crate::redis::connect) fn servers(&self) -> (Vec<Arc<Server>>, bool) {
        let map = self.map.lock();
        let routed: HashSet<&Address> = map.by_shard.values().collect();
        let servers = routed.iter().filter_map(|address| map.servers.get(address).cloned());
        (servers.collect(), map.by_shard.len() == SHARDS)
    }

    /// A server said that the shard is at that address for good.
    pub(in crate::redis::connect) fn moved(&self, shard: u8, address: Address) {
        let mut map = self.map.lock();
        self.open(&mut map, &address);
        map.by_shard.insert(shard, address);
        self.outdated.notify_one();
    }

    /// The server to which one call was redirected.
    pub(in crate::redis::connect) fn redirected(&self, address: Address) -> Arc<Server> {
        let mut map = self.map.lock();
        let server = self.open(&mut map, &address);
        map.redirected.insert(address);
        server
    }

    fn open(&self, map: &mut Map, address: &Address) -> Arc<Server> {
        let opened = || Arc::new(self.opening.open(address.clone(), Shards::default()));
        Arc::clone(map.servers.entry(address.clone()).or_insert_with(opened))
    }

    /// Keeps the map true, for as long as the cluster is used.
    pub(in crate::redis::connect) async fn watch(&self) {
        let timing = self.dialer.timing;
        let mut said = None;
        loop {
            match self.look().await {
                Ok(map) => {
                    self.adopt(map);
                    said = None;
                }
                Err(trouble) => {
                    if said.as_ref() != Some(&trouble) {
                        warn!(%trouble, "no server of the cluster says who has which slots");
                    }
                    said = Some(trouble);
                }
            }
            // Whatever is told meanwhile is seen by the next look.
            sleep(timing.pause_min).await;
            let _told_or_time = timeout(timing.poll, self.outdated.notified()).await;
        }
    }

    /// Asks one server after the other until one answers.
    async fn look(&self) -> Result<HashMap<u8, Address>, Trouble> {
        let mut addresses: Vec<Address> = self.map.lock().servers.keys().cloned().collect();
        addresses.extend(self.seeds.iter().cloned());
        // Only spreads the questions.
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(first);
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let mut trouble = Trouble::NoRoute;
        for address in addresses {
            match self
                .dialer
                .ask(&address, &question)
                .await
                .as_ref()
                .map(|said| owners(said, &address))
            {
                Ok(Some(owners)) => return Ok(owners),
                Ok(None) => trouble = Trouble::Unexpected,
                Err(other) => trouble = other.clone(),
            }
        }
        Err(trouble)
    }

    fn adopt(&self, by_shard: HashMap<u8, Address>) {
        let mut map = self.map.lock();
        let mut shards: HashMap<&Address, Shards> = HashMap::new();
        for (&shard, address) in &by_shard {
            shards.entry(address).or_default().insert(shard);
        }
        for (address, shards) in &shards {
            self.open(&mut map, address).cover(*shards);
        }
        let redirected = std::mem::take(&mut map.redirected);
        map.servers
            .retain(|address, _| shards.contains_key(address) || redirected.contains(address));
        for (address, server) in &map.servers {
            if !shards.contains_key(address) {
                server.cover(Shards::default());
            }
        }
        if map.by_shard != by_shard {
            info!(servers = shards.len(), shards = by_shard.len(), "the cluster's slots are known");
        }
        map.by_shard = by_shard;
    }
}

/// Who has each shard, by an answer to `CLUSTER SLOTS`: `[first, last, [host, port, …], …]` for each
/// range; the first server of a range is its master.
fn owners(answer: &Value, asked: &Address) -> Option<HashMap<u8, Address>> {
    let Value::Array(ranges) = answer else { return None };
    let mut by_slot = HashMap::new();
    for shard in 0..=u8::MAX {
        by_slot.entry(slot(shard)).or_insert_with(Vec::new).push(shard);
    }
    let mut owners = HashMap::new();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else { return None };
        let address = Address::tcp(&host_of(host, asked)?, u16::try_from(*port).ok()?);
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        for slot in first..=last.min(SLOTS - 1) {
            for &shard in by_slot.get(&slot).map_or(&[][..], Vec::as_slice) {
                owners.insert(shard, address.clone());
            }
        }
    }
    Some(owners)
}

/// A server that does not know its own host leaves it to whoever asked.
fn host_of(said: &Value, asked: &Address) -> Option<String> {
    match (said, asked) {
        (Value::BulkString(host), _) if !host.is_empty() && host != b"?" => {
            String::from_utf8(host.clone()).ok()
        }
        (_, Address::Tcp { host, .. }) => Some(host.clone()),
        _ => None,
    }
}
