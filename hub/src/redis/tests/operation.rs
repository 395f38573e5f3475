//! Random lists of operations: what gateways, the ledger, the control plane and misfortune do to one
//! shard.

use proptest::prelude::*;

use super::world::ACCOUNTS;

/// What a gateway does before an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Admit { of: u8, name: u8, hold: u8 },
    Wanted { of: u8, name: u8, hold: u8 },
    Want { of: u8, units: u8, recalled: bool },
    GiveBack { of: u8, units: u8 },
    Fund { own: bool, least: u8, most: u8 },
    PayBack { own: bool, amount: u8 },
    Renew { call: u8, more: u8 },
    End { call: u8, cost: u8 },
    Correct { record: u8, cost: u8 },
    Withdraw { call: u8 },
    Adopt { orphan: u8, is_end: bool },
    Find { of: u8, name: u8 },
    Tell { node: u8, body: u8 },
    Reap { node: u8 },
    Leave,
}

/// What becomes of an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Answered,
    /// It was applied, but its reply did not come.
    ReplyLost,
    /// It came twice.
    Twice,
    /// It never came; it may come later.
    Delayed,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Step {
        node: u8,
        acts: Vec<Act>,
        elapsed_ms: u64,
        fate: Fate,
    },
    /// The node does nothing for a while but exchange: seconds pass.
    Wait {
        node: u8,
        exchanges: u8,
    },
    /// An exchange that was delayed comes now.
    Late(u8),
    /// An exchange of no well-behaved gateway.
    Wild {
        node: u8,
        incarnation: u8,
        number: u8,
        flags: u8,
        events: Vec<(u8, u8, u8, u8)>,
        numbers: [u8; 6],
    },
    Confirm(u8),
    /// All that were given up are struck out of the database and buried.
    Bury,
    Members,
    /// The node that `without` names does not stand in the database; 4: all do.
    Begin {
        without: u8,
        learn_min_ms: u64,
        learn_ms: u64,
    },
    BeginOnNothing {
        learn_ms: u64,
    },
    /// The memory is as it was after an earlier operation.
    BeginOnOlder {
        position: u8,
        learn_ms: u64,
    },
    Reconfigure {
        of: u8,
        floor: u8,
        cap: u8,
        total: u8,
    },
    Remove {
        of: u8,
    },
    /// A cap beside those of accounts, which may go.
    Recap {
        which: u8,
        most: Option<u8>,
        is_gone: bool,
    },
    Recharge {
        own: bool,
        /// Below zero where more is reserved than there is.
        escrow: i16,
    },
    RecallMoney {
        own: bool,
    },
    Acknowledge {
        records: u8,
        /// Read in the incarnation before.
        is_late: bool,
    },
    Forget(u8),
    Read {
        after: u8,
        count: u8,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let of = || prop_oneof![3 => 0u8..2, 2 => 2..ACCOUNTS, 2 => Just(3), 1 => Just(9)];
    let name = || 0u8..6;
    prop_oneof![
        6 => (of(), name(), 0u8..20).prop_map(|(of, name, hold)| Act::Admit { of, name, hold }),
        4 => (of(), name(), 0u8..20).prop_map(|(of, name, hold)| Act::Wanted { of, name, hold }),
        8 => (of(), 1u8..5, any::<bool>())
            .prop_map(|(of, units, recalled)| Act::Want { of, units, recalled }),
        2 => (of(), 1u8..3).prop_map(|(of, units)| Act::GiveBack { of, units }),
        4 => (any::<bool>(), 0u8..60, 0u8..90)
            .prop_map(|(own, least, most)| Act::Fund { own, least, most }),
        1 => (any::<bool>(), 0u8..30).prop_map(|(own, amount)| Act::PayBack { own, amount }),
        2 => (any::<u8>(), 0u8..9).prop_map(|(call, more)| Act::Renew { call, more }),
        5 => (any::<u8>(), 0u8..30).prop_map(|(call, cost)| Act::End { call, cost }),
        1 => (any::<u8>(), 0u8..30).prop_map(|(record, cost)| Act::Correct { record, cost }),
        1 => any::<u8>().prop_map(|call| Act::Withdraw { call }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(orphan, is_end)| Act::Adopt { orphan, is_end }),
        3 => (of(), name()).prop_map(|(of, name)| Act::Find { of, name }),
        1 => (0u8..4, any::<u8>()).prop_map(|(node, body)| Act::Tell { node, body }),
        2 => any::<u8>().prop_map(|node| Act::Reap { node }),
    ]
}

fn step() -> impl Strategy<Value = Operation> {
    let acts = prop::collection::vec(act(), 0..5);
    let leaves = prop::option::weighted(0.02, Just(Act::Leave));
    let elapsed_ms = prop_oneof![3 => 0u64..700, 1 => 700u64..60_000];
    let fate = prop_oneof![
        12 => Just(Fate::Answered), 1 => Just(Fate::ReplyLost), 1 => Just(Fate::Twice),
        1 => Just(Fate::Delayed),
    ];
    (0u8..4, acts, leaves, elapsed_ms, fate).prop_map(
        |(node, mut acts, leaves, elapsed_ms, fate)| {
            acts.extend(leaves);
            Operation::Step { node, acts, elapsed_ms, fate }
        },
    )
}

fn wild() -> impl Strategy<Value = Operation> {
    let events = prop::collection::vec((0u8..8, 0u8..7, 0u8..6, 0u8..30), 0..5);
    (0u8..5, 0u8..4, 0u8..4, any::<u8>(), events, any::<[u8; 6]>()).prop_map(
        |(node, incarnation, number, flags, events, numbers)| Operation::Wild {
            node,
            incarnation,
            number,
            flags,
            events,
            numbers,
        },
    )
}

/// What is not an exchange.
fn other() -> impl Strategy<Value = Operation> {
    let learn_ms = || prop_oneof![Just(0u64), 1_000u64..12_000];
    prop_oneof![
        6 => (0u8..4).prop_map(Operation::Confirm),
        2 => (0u8..9, learn_ms(), learn_ms()).prop_map(|(without, learn_min_ms, learn_ms)| {
            Operation::Begin { without, learn_min_ms, learn_ms }
        }),
        3 => (0u8..4, 1u8..10)
            .prop_map(|(node, exchanges)| Operation::Wait { node, exchanges }),
        2 => Just(Operation::Bury),
        1 => Just(Operation::Members),
        1 => learn_ms().prop_map(|learn_ms| Operation::BeginOnNothing { learn_ms }),
        1 => (any::<u8>(), learn_ms())
            .prop_map(|(position, learn_ms)| Operation::BeginOnOlder { position, learn_ms }),
        1 => (0u8..5, 0u8..4, 0u8..12, 2u8..20)
            .prop_map(|(of, floor, cap, total)| Operation::Reconfigure { of, floor, cap, total }),
        1 => (0u8..5).prop_map(|of| Operation::Remove { of }),
        1 => (0u8..3, prop::option::of(0u8..4), prop::bool::weighted(0.3))
            .prop_map(|(which, most, is_gone)| Operation::Recap { which, most, is_gone }),
        2 => (any::<bool>(), -50i16..400).prop_map(|(own, escrow)| Operation::Recharge { own, escrow }),
        1 => any::<bool>().prop_map(|own| Operation::RecallMoney { own }),
        3 => (0u8..5, prop::bool::weighted(0.1))
            .prop_map(|(records, is_late)| Operation::Acknowledge { records, is_late }),
        1 => (0u8..4).prop_map(Operation::Forget),
        1 => (0u8..5, 0u8..4).prop_map(|(after, count)| Operation::Read { after, count }),
        2 => any::<u8>().prop_map(Operation::Late),
    ]
}

/// Lists of what gateways that keep to the protocol meet; `wild_share` of 20 exchanges are of others.
pub(super) fn lists(wild_share: u32) -> impl Strategy<Value = Vec<Operation>> {
    let exchange = if wild_share == 0 {
        step().boxed()
    } else {
        prop_oneof![20 - wild_share => step(), wild_share => wild()].boxed()
    };
    let operation = prop_oneof![8 => exchange, 1 => other()];
    prop::collection::vec(operation, 20..26)
}
