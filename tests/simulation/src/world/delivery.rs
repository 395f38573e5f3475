//! What goes between gateways, hub and stacks: it takes time, gets lost, comes twice or late.

use gateway::link::Now;
use hub::clock::SECOND_US;
use hub::state::exchange::Exchange;
use rand::Rng;

use super::told::summary_of;
use super::{BUSY_US, Happening, World};
use crate::invariants;
use crate::node::Node;
use crate::stacks::Stacks;

/// How long a gateway waits for the hub's answer.
const TIMEOUT_US: i64 = 250_000;

impl World {
    /// A time on the way, and whether the message arrives at all.
    fn travel(&mut self) -> Option<i64> {
        let lost = self.now_us < BUSY_US && self.rng.random_ratio(1, 200);
        let slow = self.now_us < BUSY_US && self.rng.random_ratio(1, 100);
        let usual_us = self.rng.random_range(100..2_000);
        let delay_us = if slow { self.rng.random_range(0..2 * SECOND_US) } else { usual_us };
        (!lost).then_some(delay_us)
    }

    /// Something happens at a gateway; then it sends what is due, and its answers go out.
    pub(super) fn with_node(
        &mut self,
        gateway: usize,
        life: Option<u32>,
        act: impl FnOnce(&mut Node, Now),
    ) {
        let now = self.now_at(gateway);
        let fresh = self.new_holder();
        let machine = &mut self.machines[gateway];
        let Some(node) = machine.node.as_mut().filter(|_| life.is_none_or(|it| it == machine.life))
        else {
            return;
        };
        act(node, now);
        if node.is_gone {
            node.rejoin(fresh, now);
        }
        let said = std::mem::take(&mut node.said);
        let due_us = node.link.due_us();
        let exchange = due_us.filter(|due_us| *due_us <= now.boot_us).map(|_| node.send(now));
        let life = machine.life;
        if let Some(exchange) = exchange {
            machine.awaited = exchange.number;
            self.send(gateway, life, &exchange);
        } else if let Some(due_us) = due_us {
            self.at(due_us, Happening::Wake { gateway, life });
        }
        for (client, said) in said {
            self.tell(|| format!("{gateway} says {said:?} to {client}"));
            Stacks::is_said(self, gateway, client, &said);
            let delay_us = self.rng.random_range(100..1_000);
            self.after(delay_us, Happening::Hear { client, said });
        }
    }

    fn is_cut_off(&self, gateway: usize) -> bool {
        self.now_us < self.machines[gateway].cut_off_until_us
    }

    fn send(&mut self, gateway: usize, life: u32, exchange: &Exchange) {
        let (number, holder) = (exchange.number, exchange.sync.holder);
        self.after(TIMEOUT_US, Happening::Timeout { gateway, life, number, holder });
        if self.is_cut_off(gateway) {
            return;
        }
        let again = self.now_us < BUSY_US && self.rng.random_ratio(1, 100);
        for _ in 0..=u32::from(again) {
            if let Some(delay_us) = self.travel() {
                let exchange = Box::new(exchange.clone());
                self.after(delay_us, Happening::AtHub { gateway, life, exchange });
            }
        }
    }

    pub(super) fn at_hub(&mut self, gateway: usize, life: u32, mut exchange: Exchange) {
        if self.now_us < self.hub.down_until_us || self.hub.is_unsealed || self.is_cut_off(gateway)
        {
            return;
        }
        self.summary.exchanges += 1;
        let (number, holder) = (exchange.number, exchange.sync.holder);
        let asked = invariants::Before::of(self, &exchange);
        self.tell(|| format!("{gateway} tells {}", summary_of(&exchange)));
        let reply = self.hub.shard.exchange(&mut exchange);
        self.tell(|| {
            let (answer, terms) = (&reply.answer, &reply.terms);
            let standing = reply.standing;
            format!(
                "{gateway} gets {number}: {standing:?} {answer:?} {terms:?} due {}",
                reply.due.len()
            )
        });
        let shard = &self.hub.shard;
        let leased = crate::installation::accounts().map(|id| shard.counters().leased(id));
        self.tell(|| format!("leased {leased:?}"));
        asked.judge(self, &reply);
        if let Some(delay_us) = self.travel() {
            let reply = Box::new(reply);
            self.after(delay_us, Happening::Back { gateway, life, number, holder, reply });
        }
    }
}
