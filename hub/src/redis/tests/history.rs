//! One list of operations: what it means step by step on the state machine, which is checked there, and
//! the comparison with the scripts.

use std::collections::BTreeSet;

use proptest::test_runner::TestCaseError;
use redis::{Connection, Pipeline, Value};

use super::memory;
use super::node::{Node, Seen};
use super::operation::{Fate, Operation};
use super::world::{
    Answered, CALL_LEASE_S, Deed, SHARD, START_MS, account, call, cap, configuration, dump_script,
    lease, organization, record, wallet,
};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::redis::connect::Script;
use crate::redis::encode::Beginning;
use crate::state::Shard;
use crate::state::canonical::Canonical;
use crate::state::exchange::{Begin, CallKey, Claim, Exchange, Mail, Reply, Standstill};
use crate::state::request::{Event, Fund, Holding, Purse, Request, Sync, Want};

const NODES: u128 = 4;
const TOTAL: u32 = 11;
const ESCROW: i64 = 300;

/// A deed with what the state machine answered and was after it; `None`: it only makes an older memory
/// again.
type Step = (Deed, Option<(Answered, Canonical)>);

pub(super) struct History {
    shard: Shard,
    steps: Vec<Step>,
    /// What made the memory that there is.
    memory: Vec<Deed>,
    nodes: Vec<Node>,
    ids: u128,
    /// Holders that stand in the database.
    standing: BTreeSet<HolderId>,
    delayed: Vec<Exchange>,
    version: u64,
    incarnation: u64,
    learn_min_ms: u64,
    /// The latest of the hub's clock that memory was lost with.
    clock_seen_ms: u64,
    /// Accounts that are gone for good.
    removed: BTreeSet<AccountId>,
    /// Limits hold: nothing lowered them, and every gateway keeps to the protocol.
    is_bounded: bool,
    seen: Seen,
    fault: Option<String>,
}

impl History {
    pub(super) fn new() -> Self {
        let mut history = Self {
            shard: Shard::default(),
            steps: Vec::new(),
            memory: Vec::new(),
            nodes: (1..=NODES).map(Node::new).collect(),
            ids: NODES,
            standing: BTreeSet::new(),
            delayed: Vec::new(),
            version: 1,
            incarnation: 0,
            learn_min_ms: 0,
            clock_seen_ms: 0,
            removed: BTreeSet::new(),
            is_bounded: true,
            seen: Seen::default(),
            fault: None,
        };
        history.begin(0, None);
        // Most lists are about gateways that take part.
        for node in 0..2 {
            let join = Operation::Step { node, acts: vec![], elapsed_ms: 0, fate: Fate::Answered };
            history.add(&join);
            history.add(&Operation::Confirm(node));
        }
        history
    }

    fn done(&mut self, deed: Deed) -> Option<Reply> {
        let answered = deed.on_machine(&mut self.shard);
        self.check(&deed);
        let reply = match &answered {
            Answered::Reply(reply) => Some((**reply).clone()),
            _ => None,
        };
        if let (Deed::Exchange(exchange), Some(reply)) = (&deed, &reply) {
            self.seen.note(exchange, reply);
        }
        self.memory.push(deed.clone());
        self.steps.push((deed, Some((answered, self.shard.canonical()))));
        reply
    }

    /// The invariants that stand in the protocol.
    fn check(&mut self, deed: &Deed) {
        let checked = self.shard.check();
        let is_kept =
            !self.is_bounded || self.shard.overshoot() > 0 || self.shard.is_within_limits();
        let fault = checked.err().or_else(|| (!is_kept).then(|| "a limit is passed".to_owned()));
        if let Some(fault) = fault
            && self.fault.is_none()
        {
            let state = self.shard.canonical();
            self.fault = Some(format!("{fault}\nafter {deed:?}\n{state:?}"));
        }
    }

    pub(super) fn add(&mut self, operation: &Operation) {
        match operation {
            Operation::Step { node, acts, elapsed_ms, fate } => {
                let position = usize::from(*node);
                let others: Vec<HolderId> = self.nodes.iter().map(|node| node.id).collect();
                let exchange = self.nodes[position].exchange(acts, *elapsed_ms, &others);
                self.exchange(position, exchange, *fate);
            }
            Operation::Wait { node, exchanges } => {
                let (node, acts) = (*node, vec![]);
                let step = Operation::Step { node, acts, elapsed_ms: 2_000, fate: Fate::Answered };
                (0..*exchanges).for_each(|_| self.add(&step));
            }
            Operation::Late(which) if !self.delayed.is_empty() => {
                let which = usize::from(*which) % self.delayed.len();
                let exchange = Box::new(self.delayed.swap_remove(which));
                self.done(Deed::Exchange(exchange));
            }
            Operation::Confirm(node) => {
                let id = self.nodes[usize::from(*node)].id;
                self.standing.insert(id);
                self.done(Deed::Confirm(id));
            }
            Operation::Bury => {
                for id in self.shard.dying() {
                    self.standing.remove(&id);
                    self.done(Deed::Bury(id));
                }
            }
            Operation::Members => drop(self.done(Deed::Standing)),
            Operation::Begin { without, learn_min_ms, learn_ms } => {
                self.learn_min_ms = *learn_min_ms;
                self.begin(*learn_ms, self.nodes.get(usize::from(*without)).map(|node| node.id));
            }
            Operation::BeginOnNothing { learn_ms } => {
                self.forget_memory();
                self.begin(*learn_ms, None);
            }
            Operation::BeginOnOlder { position, learn_ms } => {
                let mut older = std::mem::take(&mut self.memory);
                older.truncate(usize::from(*position) % older.len().max(1));
                self.forget_memory();
                for deed in older {
                    drop(deed.on_machine(&mut self.shard));
                    self.steps.push((deed.clone(), None));
                    self.memory.push(deed);
                }
                self.begin(*learn_ms, None);
            }
            Operation::Wild { .. } => {
                self.is_bounded = false;
                let exchange = Box::new(self.wild(operation));
                self.done(Deed::Exchange(exchange));
            }
            _ => self.administer(operation),
        }
    }

    fn administer(&mut self, operation: &Operation) {
        self.version += 1;
        let version = self.version;
        let deed = match *operation {
            Operation::Reconfigure { of, floor, cap, total }
                if !self.removed.contains(&account(of)) =>
            {
                self.is_bounded = false;
                let (floor, cap) = (u32::from(floor.min(cap)), u32::from(cap));
                let of_other = organization(u8::from(of == 4));
                let mut requests = vec![Request::Organization {
                    id: of_other,
                    version: version / 2,
                    total: total.into(),
                }];
                requests.push(Request::Counter {
                    id: account(of),
                    organization: of_other,
                    version: version / 2,
                    floor,
                    cap,
                    outbound_cap: (cap % 3 == 1).then_some(1),
                });
                Deed::Configure(requests)
            }
            Operation::Recap { which, most, is_gone } => {
                self.is_bounded = false;
                let (id, version) = (cap(which), version / 2);
                Deed::Configure(vec![if is_gone {
                    Request::CapGone { id }
                } else {
                    Request::Cap { id, version, most: most.map(u32::from) }
                }])
            }
            Operation::Remove { of } => {
                self.is_bounded = false;
                self.removed.insert(account(of));
                Deed::Configure(vec![Request::CounterGone { id: account(of) }])
            }
            Operation::Recharge { own, escrow } => {
                // More is reserved than there is: whatever was used is beyond that.
                self.is_bounded &= escrow >= 0;
                Deed::Configure(vec![wallet(u8::from(own), version / 2, escrow.into())])
            }
            Operation::RecallMoney { own } => {
                Deed::RecallMoney(if own { account(1) } else { organization(0) })
            }
            Operation::Acknowledge { records, is_late } => {
                let waiting = self.shard.backlog() as u64;
                let through = self.shard.last_record() - waiting + u64::from(records);
                Deed::Acknowledge(self.incarnation.saturating_sub(is_late.into()), through)
            }
            Operation::Forget(count) => Deed::Forget(count.into()),
            Operation::Read { after, count } => Deed::Records(after.into(), count.into()),
            _ => return,
        };
        self.done(deed);
    }

    fn exchange(&mut self, position: usize, exchange: Exchange, fate: Fate) {
        if fate == Fate::Delayed {
            self.delayed.push(exchange);
            return;
        }
        let deed = Deed::Exchange(Box::new(exchange.clone()));
        let reply = self.done(deed.clone()).expect("an exchange has a reply");
        if fate == Fate::Twice {
            self.done(deed);
        }
        if !reply.beats.is_empty() {
            self.standing.retain(|id| reply.beats.iter().any(|(holder, _)| holder == id));
        }
        if fate == Fate::ReplyLost {
            return;
        }
        let needs_id = self.nodes[position].take(&exchange, &reply);
        if needs_id || self.nodes[position].is_leaving {
            self.ids += 1;
            if self.nodes[position].is_leaving {
                self.standing.remove(&self.nodes[position].id);
                self.nodes[position] = Node::new(self.ids);
            } else {
                self.nodes[position].reborn(self.ids);
            }
        }
    }

    fn forget_memory(&mut self) {
        self.clock_seen_ms = self.clock_seen_ms.max(self.shard.clock_ms());
        self.shard = Shard::default();
        self.memory.clear();
        self.steps.push((Deed::Flush, None));
    }

    fn begin(&mut self, learn_ms: u64, without: Option<HolderId>) {
        self.incarnation += 1;
        self.standing.retain(|id| Some(*id) != without);
        let begin = Begin {
            incarnation: self.incarnation,
            holders: self.standing.iter().copied().collect(),
            learn_min_ms: std::mem::take(&mut self.learn_min_ms),
            learn_max_ms: learn_ms,
            call_lease_s: CALL_LEASE_S,
            clock_ms: START_MS,
            clock_seen_ms: self.clock_seen_ms,
        };
        let mut configuration = configuration(1, TOTAL, ESCROW);
        configuration.retain(
            |request| !matches!(request, Request::Counter { id, .. } if self.removed.contains(id)),
        );
        self.done(Deed::Begin(Beginning { begin, configuration }));
    }

    fn wild(&self, operation: &Operation) -> Exchange {
        let Operation::Wild { node, incarnation, number, flags, events, numbers } = operation
        else {
            return Exchange::default();
        };
        let state = self.shard.canonical();
        let id = self.nodes.get(usize::from(*node)).map_or(HolderId(99), |node| node.id);
        let known = state.holders.get(&id).map_or(0, |holder| holder.numbers[2]);
        let number_of = |position: usize| u64::from(numbers[position]);
        let amount = |position: usize| Amount::from_micros(i64::from(numbers[position]));
        let one = account(numbers[0] % 7);
        let owner = if numbers[1] % 2 == 0 { organization(0) } else { account(1) };
        let is = |bit: u8| flags & (1 << bit) != 0;
        let sync = Sync {
            holder: id,
            events: events.iter().map(|event| wild_event(*event, state.clock_ms)).collect(),
            holdings: is(0)
                .then(|| Holding {
                    counter: one,
                    granted: number_of(2) % 9,
                    returned: number_of(3) % 9,
                    unflushed_max: 2,
                })
                .into_iter()
                .collect(),
            wants: vec![Want { counter: one, units: u32::from(numbers[4] % 4), recalled: is(1) }],
            purses: is(2)
                .then(|| Purse {
                    owner,
                    granted: amount(2),
                    returned: amount(3),
                    unflushed_max: amount(4),
                })
                .into_iter()
                .collect(),
            funds: vec![Fund { owner, least: amount(4), most: amount(5) }],
        };
        let other = self.nodes[usize::from(numbers[5]) % self.nodes.len()].id;
        let beat = state.holders.get(&other).map_or(0, |holder| holder.numbers[0]);
        Exchange {
            incarnation: (self.incarnation + 1).saturating_sub(1 + u64::from(incarnation / 3)),
            number: (known + u64::from(*number)).saturating_sub(u64::from(is(3))).max(1),
            claim: is(4).then_some(Claim { saw_ms: state.clock_ms, elapsed_ms: number_of(5) * 20 }),
            mail_seen: number_of(1) % 5,
            complete: is(5),
            leaving: flags % 32 == 7,
            sync,
            first_record: number_of(2) % 4,
            mail: vec![(other, Mail::Recall(one)), (id, Mail::RecallMoney(owner))],
            reap: is(6).then_some(Standstill { holder: other, beat }).into_iter().collect(),
            find: vec![CallKey { account: one, call_id: b"call-1".as_slice().into() }],
        }
    }
}

fn wild_event((kind, of, name, money): (u8, u8, u8, u8), now_ms: u64) -> Event {
    let call = call(of, name, u64::from(money % 3));
    let lease = lease(now_ms.max(START_MS), money.into());
    match kind {
        0 => Event::Admitted { call, lease },
        1 => Event::Wanted { call, lease, has_unit: money % 2 == 1 },
        2 => Event::Renewed { call, lease },
        3 => Event::Adopted { call, lease },
        4 => Event::Withdrawn(call),
        _ => Event::Ended(record(call, now_ms.max(START_MS), money.into(), u32::from(kind - 5))),
    }
}

/// Compares histories with the scripts, on one connection.
pub(super) struct Proof {
    connection: Connection,
    dump: Script,
    pub(super) compared: u64,
    pub(super) seen: Seen,
}

impl Proof {
    pub(super) fn new(mut connection: Connection) -> Self {
        let dump = dump_script();
        let scripts = &crate::redis::scripts::SCRIPTS;
        for script in [
            &dump,
            &scripts.exchange,
            &scripts.begin,
            &scripts.publish,
            &scripts.confirm,
            &scripts.acknowledge,
            &scripts.forget,
            &scripts.records,
            &scripts.recall_money,
            &scripts.bury,
            &scripts.standing,
        ] {
            script.load().query::<()>(&mut connection).expect("a script");
        }
        Self { connection, dump, compared: 0, seen: Seen::default() }
    }

    /// One round trip for all: what the scripts are to answer is known.
    pub(super) fn compare(&mut self, history: History) -> Result<(), TestCaseError> {
        if let Some(fault) = history.fault {
            return Err(TestCaseError::fail(fault));
        }
        let mut pipeline = Pipeline::new();
        pipeline.cmd("FLUSHALL");
        for (deed, expected) in &history.steps {
            pipeline.add_command(deed.command());
            if expected.is_some() {
                pipeline.add_command(self.dump.call(SHARD, &[""; 0]));
            }
        }
        let answers: Vec<Value> = pipeline
            .query(&mut self.connection)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut answers = answers.into_iter().skip(1);
        let mut next = || answers.next().expect("an answer");
        for (position, (deed, expected)) in history.steps.into_iter().enumerate() {
            let answer = next();
            let Some((expected_answer, expected_state)) = expected else { continue };
            let answered = deed.answered(answer).expect("an answer of this version");
            let state = memory::canonical(next());
            if answered != expected_answer || state != expected_state {
                let difference = format!(
                    "step {position}: {deed:#?}\nanswered {answered:#?}\nnot {expected_answer:#?}\n{}",
                    first_difference(&state, &expected_state)
                );
                return Err(TestCaseError::fail(difference));
            }
            self.compared += 1;
        }
        self.seen.0.extend(history.seen.0);
        Ok(())
    }
}

fn first_difference(one: &Canonical, other: &Canonical) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let differ = one.lines().zip(other.lines()).position(|(one, other)| one != other);
    let Some(line) = differ else { return "equal states".to_owned() };
    let around = |text: &str| {
        text.lines().skip(line.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n")
    };
    format!("state in Redis:\n{}\nstate of the machine:\n{}", around(&one), around(&other))
}
