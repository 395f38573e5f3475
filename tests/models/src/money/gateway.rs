//! A gateway's side of the money: what it has leased, what its calls hold and cost, and what it tells.

use super::hub::{AtHub, Decision};
use super::{CALLS, HOLD, Rules, TRIES};

/// Unflushed admits of a gateway, `b`.
pub(super) const UNFLUSHED_MAX: usize = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Health {
    #[default]
    Up,
    Fenced,
    Crashed,
}

/// A call as its client and its gateway know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Life {
    #[default]
    New,
    Asked {
        tries: u8,
        /// The money was nowhere at some instant since it was asked for.
        seen_empty: bool,
    },
    Live,
    Ended {
        cost: i8,
        /// Before a request that waits here.
        before: bool,
    },
    Refused {
        truly: bool,
    },
    Unavailable,
}

/// An exchange on its way to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) granted: i8,
    pub(super) returned: i8,
    /// What of it is new since the last exchange that was acknowledged.
    pub(super) newly_returned: i8,
    pub(super) calls: [AtHub; CALLS],
    /// So much more is of use.
    pub(super) fund: Option<i8>,
    /// The call that waits for it.
    pub(super) wish: Option<usize>,
}

/// The hub's answer on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) granted: i8,
    pub(super) returned: i8,
    pub(super) calls: [AtHub; CALLS],
    pub(super) decision: Option<(usize, Decision)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Node {
    health: Health,
    pub(super) granted: i8,
    pub(super) returned: i8,
    /// What the hub is known to know of that.
    reported: i8,
    pub(super) calls: [Life; CALLS],
    acknowledged: [AtHub; CALLS],
    pub(super) request: Option<Request>,
    /// One that was taken and will come again.
    pub(super) again: Option<Request>,
    pub(super) reply: Option<Reply>,
    /// Something has been given back that the hub was not told.
    pub(super) due: bool,
}

impl Node {
    pub(super) fn serves(&self) -> bool {
        self.health == Health::Up
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.health == Health::Fenced
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.health == Health::Crashed
    }

    pub(super) const fn fence(&mut self) {
        self.health = Health::Fenced;
        (self.request, self.reply) = (None, None);
    }

    pub(super) const fn crash(&mut self) {
        self.health = Health::Crashed;
        (self.reply, self.due) = (None, false);
    }

    pub(super) fn live(&self) -> usize {
        self.calls.iter().filter(|life| **life == Life::Live).count()
    }

    pub(super) fn asked(&self) -> usize {
        self.calls.iter().filter(|life| **life != Life::New).count()
    }

    pub(super) fn waiting(&self) -> Option<usize> {
        self.calls.iter().position(|life| matches!(life, Life::Asked { .. }))
    }

    /// Money that neither a call holds nor an ended one cost, nor is in quarantine.
    pub(super) fn idle(&self, rules: Rules) -> i8 {
        let calls = self.calls.iter().zip(self.acknowledged);
        let taken = calls.map(|(life, at_hub)| match life {
            Life::Live => HOLD,
            Life::Ended { cost, .. } => {
                let recorded = matches!(at_hub, AtHub::Ended { .. });
                if recorded || !rules.quarantine { *cost } else { HOLD }
            }
            _ => 0,
        });
        self.granted - self.returned - taken.sum::<i8>()
    }

    fn may_admit(&self, rules: Rules) -> bool {
        let told = |life: Life| matches!(life, Life::Live | Life::Ended { .. });
        let calls = self.calls.iter().zip(self.acknowledged);
        let unflushed = calls.filter(|(life, at)| told(**life) && *at == AtHub::Unknown).count();
        self.idle(rules) >= HOLD && unflushed < UNFLUSHED_MAX
    }

    fn told(&self, call: usize) -> AtHub {
        match self.calls[call] {
            Life::Live => AtHub::Live,
            Life::Ended { cost, .. } => AtHub::Ended { cost },
            _ => AtHub::Unknown,
        }
    }

    pub(super) fn has_untold(&self) -> bool {
        (0..CALLS).any(|call| self.told(call) != self.acknowledged[call])
    }

    pub(super) fn ask(&mut self, rules: Rules) {
        let Some(call) = self.calls.iter().position(|life| *life == Life::New) else { return };
        if self.may_admit(rules) {
            self.calls[call] = Life::Live;
            return;
        }
        self.calls[call] = Life::Asked { tries: 0, seen_empty: false };
        for life in &mut self.calls {
            if let Life::Ended { before, .. } = life {
                *before = true;
            }
        }
    }

    pub(super) fn send(&mut self, want: bool, rules: Rules) {
        let wish = self.waiting();
        let lacking = (HOLD - self.idle(rules)).max(0);
        self.due = false;
        self.request = Some(Request {
            granted: self.granted,
            returned: self.returned,
            newly_returned: self.returned - self.reported,
            calls: std::array::from_fn(|call| self.told(call)),
            fund: if wish.is_some() && lacking > 0 { Some(lacking) } else { want.then_some(HOLD) },
            wish: wish.filter(|_| lacking > 0),
        });
    }

    pub(super) fn lose(&mut self) {
        if self.request.is_some() {
            self.again = self.request;
        }
        (self.request, self.reply, self.due) = (None, None, true);
    }

    pub(super) fn deliver(&mut self, rules: Rules) {
        let Some(reply) = self.reply.take() else { return };
        self.granted = self.granted.max(reply.granted);
        self.reported = if rules.cumulative { 0 } else { reply.returned };
        self.acknowledged = reply.calls;
        let Some(call) = self.waiting() else { return };
        if self.may_admit(rules) {
            self.calls[call] = Life::Live;
        } else if let Some((wish, decision)) = reply.decision
            && wish == call
            && let Life::Asked { tries, seen_empty } = self.calls[call]
        {
            self.calls[call] = match decision {
                Decision::Empty => Life::Refused { truly: seen_empty },
                _ if tries + 1 == TRIES => Life::Unavailable,
                _ => Life::Asked { tries: tries + 1, seen_empty },
            };
        }
        if self.waiting().is_none() {
            for life in &mut self.calls {
                if let Life::Ended { before, .. } = life {
                    *before = false;
                }
            }
        }
    }

    pub(super) fn give_back_idle(&mut self, rules: Rules) {
        self.returned += self.idle(rules).max(0);
        self.due = true;
    }

    pub(super) const fn end(&mut self, call: usize, cost: i8) {
        self.calls[call] = Life::Ended { cost, before: false };
    }
}
