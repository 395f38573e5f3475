//! The scripts and the state machine do the same: random lists of operations on both, on a real
//! redis-server, answers and states compared after each. `RINGFENCE_DIFFERENTIAL_LISTS` sets how many
//! lists each test runs, `RINGFENCE_DIFFERENTIAL_SEED` which.

mod cost;
mod history;
mod memory;
mod node;
mod operation;
mod safety;
mod server;
mod unpack;
mod world;

use std::cell::RefCell;
use std::str::FromStr;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use history::{History, Proof};
use operation::Operation;
use server::Server;

/// Lists of one test when nothing else is asked for.
const LISTS: u32 = 5_000;

/// What every large number of lists reaches.
const REACHED: [&str; 26] = [
    "member",
    "other incarnation",
    "unreported",
    "outdated",
    "gone",
    "complete",
    "another call of the name",
    "granted",
    "recall",
    "refused for the cap",
    "capped",
    "capped by the second",
    "refused for the total",
    "unknown counter",
    "learning",
    "funded",
    "money recalled",
    "empty",
    "rejected",
    "deferred",
    "fast",
    "mail",
    "due",
    "records acknowledged",
    "found an orphan",
    "found a tombstone",
];

#[expect(clippy::disallowed_methods, reason = "how long to look is asked of the test alone")]
fn asked<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn both_do_the_same(strategy: impl Strategy<Value = Vec<Operation>>) {
    let lists = asked("RINGFENCE_DIFFERENTIAL_LISTS").unwrap_or(LISTS);
    let seed: u64 = asked("RINGFENCE_DIFFERENTIAL_SEED").unwrap_or_else(rand::random);
    let server = Server::start();
    let proof = RefCell::new(Proof::new(server.connect()));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(lists) };
    let seeds = [seed.to_le_bytes(); 4].concat();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seeds);
    let run = TestRunner::new_with_rng(config, rng).run(&strategy, |operations| {
        let mut history = History::new();
        for operation in &operations {
            history.add(operation);
        }
        proof.borrow_mut().compare(history)
    });
    run.unwrap_or_else(|failure| panic!("RINGFENCE_DIFFERENTIAL_SEED={seed}: {failure}"));
    let proof = proof.into_inner();
    println!("{lists} lists, {} operations compared", proof.compared);
    let missing: Vec<_> = REACHED.iter().filter(|what| !proof.seen.0.contains(*what)).collect();
    assert!(missing.is_empty() || lists < LISTS, "never reached: {missing:?}");
}

#[test]
fn the_scripts_equal_the_state_machine_with_well_behaved_gateways_1() {
    both_do_the_same(operation::lists(0));
}

#[test]
fn the_scripts_equal_the_state_machine_with_well_behaved_gateways_2() {
    both_do_the_same(operation::lists(0));
}

#[test]
fn the_scripts_equal_the_state_machine_with_some_arbitrary_exchanges() {
    both_do_the_same(operation::lists(3));
}

#[test]
fn the_scripts_equal_the_state_machine_with_many_arbitrary_exchanges() {
    both_do_the_same(operation::lists(10));
}
