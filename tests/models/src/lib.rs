//! Models of the lease protocol, explored state by state. Each rule of the protocol is a switch: with
//! all of them the invariants hold in every reachable state; without any one of those that a run leaves
//! out, the checker finds the sequence of events that breaks one. A change of the protocol changes its
//! model first, and the runs that must be violated stay so.

pub mod composed;
pub mod deadlines;
pub mod exact;
pub mod money;
pub mod names;
pub mod release;
pub mod slots;
pub mod tick;

use stateright::{Checker, HasDiscoveries, Model};

/// What a run must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Every reachable state keeps the invariants.
    Holds,
    /// A rule is left out, and a counterexample to the invariant with this name is found.
    Breaks(&'static str),
}

/// One exploration of a model.
#[derive(Clone, Copy, Debug)]
pub struct Run<C> {
    /// What distinguishes it, in words; unique within its model.
    pub name: &'static str,
    pub expected: Expected,
    /// Explored by `make test` as well, not by `make models` alone.
    pub small: bool,
    pub config: C,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub states: usize,
    pub depth: usize,
    /// The invariant that was broken first, and the events that led there.
    pub violation: Option<(&'static str, String)>,
    /// What should be possible and was seen nowhere; not told of a run that broke an invariant.
    pub unreached: Vec<&'static str>,
}

impl Outcome {
    /// Whether this is what was expected: a run that holds must also reach what it should.
    pub fn is(&self, expected: Expected) -> bool {
        match expected {
            Expected::Holds => self.violation.is_none() && self.unreached.is_empty(),
            Expected::Breaks(invariant) => self.broke(invariant),
        }
    }

    fn broke(&self, invariant: &str) -> bool {
        let name = self.violation.as_ref().and_then(|(broken, _)| broken.split_once(':'));
        name.is_some_and(|(name, _)| name == invariant)
    }
}

/// Explores every reachable state, or up to the first broken invariant.
fn explore<M>(model: M, invariants: &[&'static str], possible: &[&'static str]) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Send + Sync + std::hash::Hash + std::fmt::Debug + Clone + PartialEq,
    M::Action: Send + Sync + std::fmt::Debug + Clone + PartialEq,
{
    let checker =
        model.checker().threads(THREADS).finish_when(HasDiscoveries::AnyFailures).spawn_bfs();
    let checker = checker.join();
    let violation = invariants.iter().find_map(|name| {
        let path = checker.discovery(name)?;
        Some((*name, format!("{:?}", path.into_actions())))
    });
    let mut unreached = possible.to_vec();
    unreached.retain(|name| violation.is_none() && checker.discovery(name).is_none());
    Outcome {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        violation,
        unreached,
    }
}

const THREADS: usize = 2;
