//! The calls of one connection: which to admit next and which to release, so that a given number is
//! live. A call that was refused is never released.

use std::collections::VecDeque;

use benches::request::Operation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Admitted, or not answered yet.
    Started,
    Refused,
}

/// Calls count up from 0 and are released in the order of their admission.
#[derive(Debug, Default)]
pub struct Calls {
    oldest: u64,
    /// Calls from `oldest` on.
    states: VecDeque<State>,
    /// Calls kept live before the oldest is released.
    live: usize,
    started: usize,
    /// Refused after their release had been sent: that release finds nothing.
    released_in_vain: Vec<u64>,
}

impl Calls {
    pub fn new(live: usize) -> Self {
        Self { live, ..Self::default() }
    }

    /// What comes next.
    pub fn next(&mut self) -> (Operation, u64) {
        if self.started > self.live
            && let Some(call) = self.take_oldest()
        {
            return (Operation::Release, call);
        }
        self.states.push_back(State::Started);
        self.started += 1;
        (Operation::Admit, self.oldest + self.states.len() as u64 - 1)
    }

    /// The next call to release when nothing more is admitted.
    pub fn next_release(&mut self) -> Option<u64> {
        self.take_oldest()
    }

    pub fn refused(&mut self, call: u64) {
        let index = call.checked_sub(self.oldest).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.states.get_mut(index)) {
            Some(state) => {
                *state = State::Refused;
                self.started -= 1;
            }
            None => self.released_in_vain.push(call),
        }
    }

    /// Whether a release that found nothing was for a call refused meanwhile.
    pub fn was_refused(&mut self, call: u64) -> bool {
        let found = self.released_in_vain.iter().position(|refused| *refused == call);
        found.map(|index| self.released_in_vain.swap_remove(index)).is_some()
    }

    fn take_oldest(&mut self) -> Option<u64> {
        while let Some(state) = self.states.pop_front() {
            let call = self.oldest;
            self.oldest += 1;
            if state == State::Started {
                self.started -= 1;
                return Some(call);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{Admit, Release};

    #[test]
    fn pairs_follow_each_other_when_none_is_kept_live() {
        let mut calls = Calls::new(0);
        let four: Vec<_> = (0..4).map(|_| calls.next()).collect();
        assert_eq!(four, [(Admit, 0), (Release, 0), (Admit, 1), (Release, 1)]);
    }

    #[test]
    fn as_many_calls_stay_live_as_were_asked_for() {
        let mut calls = Calls::new(2);
        let some: Vec<_> = (0..6).map(|_| calls.next()).collect();
        let expected = [(Admit, 0), (Admit, 1), (Admit, 2), (Release, 0), (Admit, 3), (Release, 1)];
        assert_eq!(some, expected);
        assert_eq!(
            [calls.next_release(), calls.next_release(), calls.next_release()],
            [Some(2), Some(3), None]
        );
    }

    #[test]
    fn a_refused_call_is_not_released() {
        let mut calls = Calls::new(0);
        assert_eq!(calls.next(), (Admit, 0));
        calls.refused(0);
        assert_eq!(calls.next(), (Admit, 1));
        assert_eq!(calls.next(), (Release, 1));
        calls.refused(1);
        assert!(calls.was_refused(1) && !calls.was_refused(1));
    }
}
