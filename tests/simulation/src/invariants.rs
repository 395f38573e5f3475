//! What must hold after every event, and when everything has come to rest. Numbers are those of the
//! lease protocol.

use hub::denial::Scope;
use hub::id::AccountId;
use hub::money::Amount;
use hub::state::exchange::{Exchange, Reply};
use hub::state::request::{Event, Wanted};

use crate::installation::{accounts, cap, organization};
use crate::stacks::Stacks;
use crate::world::World;

pub fn check(world: &mut World) -> Result<(), String> {
    let control = &world.control;
    let [first, second] = world.stacks.live;
    let overshoot = u32::try_from(world.hub.shard.overshoot()).unwrap_or(u32::MAX);
    if overshoot > 0 {
        return Err(format!("I1: {overshoot} calls were adopted without a unit"));
    }
    for (index, live) in [first, second].into_iter().enumerate() {
        if live > control.caps[index] {
            return Err(format!("I1: {live} live calls, the cap is {}", control.caps[index]));
        }
    }
    if first + second > control.total {
        return Err(format!("I1: {} live calls, the total is {}", first + second, control.total));
    }
    let (from_number, most) = (world.stacks.from_number, control.from_number);
    if from_number > most {
        return Err(format!("I1: {from_number} live calls from the number, its cap is {most}"));
    }
    check_hub(world)?;
    (0..world.machines.len()).try_for_each(|gateway| check_gateway(world, gateway))
}

fn check_hub(world: &mut World) -> Result<(), String> {
    let hub = &mut world.hub;
    if hub.shard.take_changed() {
        hub.shard.check()?;
    }
    let within = hub.shard.is_within_limits();
    // An older memory may say more of a holder than that still has: nothing is granted until all have
    // reported, and until what is too much is gone.
    hub.may_exceed = hub.is_unsealed || hub.shard.is_learning() || (hub.may_exceed && !within);
    if !within && !hub.may_exceed {
        return Err("I2: more is leased than a limit allows".to_owned());
    }
    Ok(())
}

fn check_gateway(world: &World, gateway: usize) -> Result<(), String> {
    let Some(node) = &world.machines[gateway].node else {
        return Ok(());
    };
    let shard = &world.hub.shard;
    let current = !world.hub.is_unsealed
        && node.link.incarnation() == shard.incarnation()
        && node.link.is_member()
        && shard.has_holder(node.holder());
    for (account, stock) in &node.stocks {
        let at_hub = shard.held(node.holder(), *account);
        if current && u64::from(stock.lease) > at_hub {
            let lease = stock.lease;
            return Err(format!("I4: gateway {gateway} has {lease}, the hub knows of {at_hub}"));
        }
        let live = node.live.keys().filter(|key| key.0 == *account).count();
        if live > stock.used as usize {
            return Err(format!("I6: gateway {gateway} has {live} calls on {} slots", stock.used));
        }
    }
    if node.till.free < Amount::ZERO {
        return Err(format!("I10: gateway {gateway} has {:?} free", node.till.free));
    }
    Ok(())
}

/// What a refusal was decided on.
pub struct Before {
    /// The account of each, and how much of it was leased.
    wanted: Vec<(AccountId, u32)>,
}

impl Before {
    pub fn of(world: &World, exchange: &Exchange) -> Self {
        let leased = |account| world.hub.shard.counters().leased(account);
        let wanted = exchange.sync.events.iter().filter_map(|event| match event {
            Event::Wanted { call, .. } => Some((call.account(), leased(call.account()))),
            _ => None,
        });
        Self { wanted: wanted.collect() }
    }

    /// I14: at the instant of a refusal for the cap no slot is free at the hub or idle at a gateway.
    pub fn judge(self, world: &World, reply: &Reply) {
        for ((account, before), wanted) in self.wanted.into_iter().zip(&reply.answer.decided) {
            let Wanted::Refused { scope: Scope::Account, limit } = wanted else {
                continue;
            };
            let shard = &world.hub.shard;
            let members = world.machines.iter().filter_map(|machine| machine.node.as_ref());
            let members = members.filter(|node| {
                node.link.incarnation() == shard.incarnation() && shard.has_holder(node.holder())
            });
            let idle: u32 = members.map(|node| node.stocks[&account].idle()).sum();
            let leased = shard.counters().leased(account).max(before);
            assert!(
                leased >= *limit && idle == 0,
                "I14: seed {}: refused with {leased} of {limit} leased and {idle} idle",
                world.seed
            );
        }
    }
}

pub fn check_at_rest(world: &mut World) -> Result<(), String> {
    check(world)?;
    let shard = &world.hub.shard;
    for account in accounts() {
        if shard.counters().live(account) > 0 {
            return Err(format!("{} calls never ended", shard.counters().live(account)));
        }
        if shard.caps().live(cap()) > 0 {
            return Err(format!("{} calls count for ever", shard.caps().live(cap())));
        }
        let members = world.machines.iter().filter_map(|machine| machine.node.as_ref());
        let idle: u32 = members.map(|node| node.stocks[&account].idle()).sum();
        let leased = shard.counters().leased(account);
        if leased != idle {
            return Err(format!("{leased} units are leased, {idle} are idle at gateways"));
        }
    }
    if shard.wallets().used(organization()).held != Amount::ZERO {
        return Err("money is held when no call is live".to_owned());
    }
    if world.control.spent() > world.control.escrow() {
        return Err("I10: more was spent than there was".to_owned());
    }
    for (account, call) in world.stacks.with_receipt() {
        let may_be_lost = world.summary.double_faults > 0;
        if !may_be_lost && !world.control.has_posted(accounts()[account], &Stacks::call_id(call)) {
            return Err(format!("I11: call {call} has a receipt and is not in the ledger"));
        }
    }
    for (gateway, machine) in world.machines.iter().enumerate() {
        if let Some(node) = &machine.node
            && node.link.unposted() > 0
        {
            let count = node.link.unposted();
            return Err(format!("gateway {gateway} still keeps {count} records"));
        }
    }
    Ok(())
}
