//! Runs a scenario in every order, with atomics as they are or with a fault in them. Knows no scenario.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::model::Builder;

/// Switches from a thread that could go on, at most, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS_MAX: usize = 3;

/// What is wrong with all atomics of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// No operation orders any other: `Relaxed` wherever more is asked for.
    Unordered,
    /// What reads and writes in one step does so in two: a load and a store.
    Torn,
}

thread_local! {
    // The checker runs all threads of a model on the thread that asked for it.
    static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
}

pub(crate) fn fault() -> Fault {
    FAULT.get()
}

/// Runs `scenario` in every order; panics at the first in which it does not keep its promise.
pub fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.check(scenario);
}

/// Fails unless `scenario` breaks a promise that says `promise` when the atomics have `fault`.
pub fn refute(fault: Fault, promise: &str, scenario: impl Fn() + Send + Sync + 'static) {
    FAULT.set(fault);
    let result = catch_unwind(AssertUnwindSafe(|| explore(scenario)));
    FAULT.set(Fault::None);
    let broken = result.err().map(|panic| said(panic.as_ref()));
    let is_found = broken.as_deref().is_some_and(|broken| broken.contains(promise));
    assert!(is_found, "{fault:?}: {promise:?} was to be broken, found {broken:?}");
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}
