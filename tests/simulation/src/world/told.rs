//! What a world tells of itself: lines for who watches, and a digest that two runs of a seed share.

use hub::state::exchange::Exchange;
use hub::state::request::Event;

use super::{GATEWAYS, Happening, World};

impl World {
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(teller) = &mut self.teller {
            let at_ms = self.now_us / 1_000;
            teller(&format!("{at_ms} ms: {}", line()));
        }
    }

    /// Who has what, when a promise was broken.
    pub(super) fn tell_state(&mut self) {
        for gateway in 0..GATEWAYS {
            if let Some(node) = &self.machines[gateway].node {
                let (stocks, till) = (node.stocks.clone(), node.till);
                let held = node.stocks.keys().map(|id| self.hub.shard.held(node.holder(), *id));
                let held: Vec<u64> = held.collect();
                let holder = node.holder();
                self.tell(|| {
                    format!("{gateway} is {holder}: {stocks:?} {till:?}, the hub says {held:?}")
                });
            }
        }
        let shard = &self.hub.shard;
        let learning = shard.is_learning();
        let leased = crate::installation::accounts().map(|id| shard.counters().leased(id));
        let live = crate::installation::accounts().map(|id| shard.counters().live(id));
        let counted = self.stacks.live;
        self.tell(|| {
            format!("leased {leased:?}, live {live:?}, counted {counted:?}, learning {learning}")
        });
    }

    pub(super) fn trace(&mut self, happening: &Happening) {
        match happening {
            Happening::Ask { gateway, client, asked } => {
                self.tell(|| format!("{gateway} is asked by {client} {asked:?}"));
            }
            Happening::Fault(fault) => self.tell(|| format!("fault {fault:?}")),
            _ => {}
        }
        let kind = match happening {
            Happening::Ask { gateway, client, .. } => *client << 8 | *gateway as u64,
            Happening::Hear { client, .. } => *client << 8 | 0x10,
            Happening::AtHub { gateway, exchange, .. } => exchange.number << 8 | *gateway as u64,
            Happening::Back { number, .. } => *number << 8 | 0x20,
            Happening::Timeout { number, .. } => *number << 8 | 0x30,
            Happening::Wake { gateway, .. } => 0x40 | *gateway as u64,
            Happening::Tick { gateway, .. } => 0x50 | *gateway as u64,
            Happening::Stack(_) => 0x60,
            Happening::Control => 0x70,
            Happening::Fault(_) => 0x80,
        };
        let mixed = self.summary.trace ^ kind ^ self.now_us.cast_unsigned().rotate_left(32);
        self.summary.trace = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
}

pub(super) fn summary_of(exchange: &Exchange) -> String {
    let name = |call: &hub::call::Call| call.texts().call_id.to_owned();
    let events = exchange.sync.events.iter().map(|event| match event {
        Event::Admitted { call, .. } => format!("admitted {}", name(call)),
        Event::Wanted { call, .. } => format!("wanted {}", name(call)),
        Event::Renewed { call, .. } => format!("renewed {}", name(call)),
        Event::Adopted { call, .. } => format!("adopted {}", name(call)),
        Event::Withdrawn(call) => format!("withdrawn {}", name(call)),
        Event::Ended(record) => format!("ended {} {:?}", name(&record.call), record.cause),
    });
    let events: Vec<String> = events.collect();
    format!(
        "{} incarnation {} complete {} holder {} events {events:?} holdings {:?} wants {:?} reap {:?}",
        exchange.number,
        exchange.incarnation,
        exchange.complete,
        exchange.sync.holder,
        exchange.sync.holdings,
        exchange.sync.wants,
        exchange.reap,
    )
}
