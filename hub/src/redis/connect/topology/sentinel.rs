//! Which server is master, by what the sentinels say. All are asked at once, and the one that knows of
//! the latest failover is believed; that the server itself agrees is checked by who connects to it.

use redis::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::redis::connect::dial::Dialer;
use crate::redis::connect::setting::Address;
use crate::redis::connect::trouble::Trouble;

/// A master as a sentinel names it. The configuration epoch grows with each failover.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    epoch: u64,
    address: Address,
}

pub(in crate::redis::connect) struct Sentinels {
    addresses: Vec<Address>,
    name: String,
    /// With the login of the sentinels, not of the servers.
    dialer: Dialer,
    named: watch::Sender<Option<Named>>,
}

impl Sentinels {
    pub(in crate::redis::connect) fn new(
        addresses: Vec<Address>,
        name: String,
        dialer: Dialer,
    ) -> Self {
        Self { addresses, name, dialer, named: watch::Sender::new(None) }
    }

    /// The master by what is said now.
    pub(in crate::redis::connect) async fn master(&self) -> Result<Address, Trouble> {
        let named = self.ask().await?;
        let address = named.address.clone();
        self.named.send_replace(Some(named));
        Ok(address)
    }

    /// Returns when the sentinels have replaced that master.
    pub(in crate::redis::connect) async fn left(&self, address: &Address) {
        let mut named = self.named.subscribe();
        let other = |named: &Option<Named>| named.as_ref().is_some_and(|by| by.address != *address);
        // Cannot fail: `self` keeps the sender.
        let _found = named.wait_for(other).await;
    }

    /// Asks again and again, for [`Self::left`].
    pub(in crate::redis::connect) async fn watch(&self) {
        loop {
            sleep(self.dialer.timing.poll).await;
            let Ok(named) = self.ask().await else { continue };
            // A sentinel that has missed a failover is not believed against one that has seen it.
            self.named.send_if_modified(|known| {
                let newer = known.as_ref().is_none_or(|known| known.epoch < named.epoch);
                if newer {
                    *known = Some(named);
                }
                newer
            });
        }
    }

    async fn ask(&self) -> Result<Named, Trouble> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("MASTER").arg(&self.name);
        let mut asked = JoinSet::new();
        for sentinel in self.addresses.clone() {
            let (dialer, question) = (self.dialer.clone(), question.clone());
            asked.spawn(async move { dialer.ask(&sentinel, &question).await });
        }
        let mut trouble = Trouble::NoMaster;
        let mut all = Vec::new();
        for answer in asked.join_all().await {
            match answer {
                Ok(answer) => all.extend(named(&answer)),
                // What stops all sentinels at once is worth more than that none named a master.
                Err(other @ (Trouble::Unauthenticated | Trouble::NotPermitted(_))) => {
                    trouble = other;
                }
                Err(_) => {}
            }
        }
        latest(all).ok_or(trouble)
    }
}

/// Of several opinions the one that has seen the latest failover.
fn latest(named: Vec<Named>) -> Option<Named> {
    named.into_iter().max_by_key(|named| named.epoch)
}

/// The master in an answer to `SENTINEL MASTER`: pairs, as a map or a flat list.
fn named(answer: &Value) -> Option<Named> {
    let field = |name: &str| -> Option<&str> {
        let text =
            |value: &'_ Value| matches!(value, Value::BulkString(text) if text == name.as_bytes());
        let value = match answer {
            Value::Map(pairs) => pairs.iter().find(|(key, _)| text(key)).map(|(_, value)| value),
            Value::Array(flat) => {
                flat.chunks_exact(2).find(|pair| text(&pair[0])).map(|pair| &pair[1])
            }
            _ => None,
        };
        match value? {
            Value::BulkString(value) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    };
    let address = Address::tcp(field("ip")?, field("port")?.parse().ok()?);
    Some(Named { epoch: field("config-epoch")?.parse().ok()?, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(epoch: &str, port: &str) -> Vec<Value> {
        ["name", "hub", "ip", "10.0.0.1", "port", port, "config-epoch", epoch]
            .map(|text| Value::BulkString(text.into()))
            .to_vec()
    }

    #[test]
    fn the_latest_failover_is_believed_however_many_have_missed_it() {
        let answer = |epoch, port| named(&Value::Array(said(epoch, port)));
        let all = [answer("4", "1"), answer("5", "2"), answer("4", "1")];
        let named = latest(all.into_iter().flatten().collect()).unwrap();
        assert_eq!(named.address, Address::tcp("10.0.0.1", 2));
        assert_eq!(latest(vec![]), None);
    }

    #[test]
    fn an_answer_is_a_map_or_a_list_and_anything_else_names_nobody() {
        let flat = said("7", "6379");
        let pairs = flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        let map = named(&Value::Map(pairs.collect()));
        assert_eq!(map, named(&Value::Array(flat)));
        assert_eq!(map.unwrap().epoch, 7);
        assert_eq!(named(&Value::Array(said("7", "x"))), None);
        assert_eq!(named(&Value::Nil), None);
    }
}
