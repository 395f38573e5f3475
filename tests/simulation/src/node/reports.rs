//! What a gateway tells the hub: exchanges, everything at once, and all again as a new holder.

use gateway::link::{Inventory, Link, Now};
use hub::id::HolderId;
use hub::money::Amount;
use hub::state::exchange::{Exchange, Reply};

use super::{Node, Said, Stock, Till};

impl Node {
    pub fn send(&mut self, now: Now) -> Exchange {
        let inventory = self.link.must_report().then(|| self.inventory());
        self.link.send(now, inventory, false)
    }

    /// Everything here, counted anew.
    fn inventory(&mut self) -> Inventory {
        let owned = self.live.iter().filter(|(key, _)| !self.adopting.contains(*key));
        let holds =
            owned.fold(Amount::ZERO, |sum, (_, known)| sum.saturating_add(known.lease.hold));
        let waiting = self
            .undecided
            .values()
            .fold(Amount::ZERO, |sum, undecided| sum.saturating_add(undecided.lease.hold));
        let till = &mut self.till;
        till.granted =
            [till.quarantined, holds, waiting].into_iter().fold(till.free, Amount::saturating_add);
        till.returned = Amount::ZERO;
        for stock in self.stocks.values_mut() {
            stock.granted = u64::from(stock.lease);
            stock.returned = 0;
        }
        let owned = self.live.iter().filter(|(key, _)| !self.adopting.contains(*key));
        Inventory {
            calls: owned.map(|(_, known)| (known.call.clone(), known.lease)).collect(),
            holdings: self.stocks.iter().map(|(id, stock)| stock.holding(*id)).collect(),
            purses: vec![self.till.purse()],
        }
    }

    pub fn take(&mut self, reply: Reply, now: Now) {
        let mut effects = Vec::new();
        self.link.take(reply, now, &mut effects);
        self.hear(effects, now);
    }

    pub fn lost(&mut self, now: Now) {
        let mut effects = Vec::new();
        self.link.lost(now, &mut effects);
        self.hear(effects, now);
    }

    /// The holder is gone: a new one goes on with what is live.
    pub fn rejoin(&mut self, holder: HolderId, now: Now) {
        let fresh = Link::new(holder, self.rhythm);
        let link = std::mem::replace(&mut self.link, fresh);
        // Nobody was told of these.
        for key in std::mem::take(&mut self.unflushed) {
            if self.live.remove(&key).is_some() {
                self.stock(key.0).used -= 1;
            }
        }
        // Their slots are free with their withdrawals.
        for (_, undecided) in std::mem::take(&mut self.undecided) {
            self.say(undecided.waiting.client, Said::Unavailable);
        }
        let live = self.live.values().map(|known| (known.call.clone(), known.lease)).collect();
        self.link = link.rejoin(holder, live, now);
        self.adopting = self.live.keys().cloned().collect();
        // What lay idle is the hub's again; what is in use comes back with each adoption.
        for stock in self.stocks.values_mut() {
            *stock = Stock { used: stock.used, unflushed: 0, ..Stock::default() };
        }
        self.till = Till::default();
        self.is_gone = false;
    }
}
