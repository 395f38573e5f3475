//! A gateway's side of the exact regime: what it has, what it may answer by itself, what it tells.

use super::hub::{AtHub, Decision};
use super::{ACCOUNTS, CALLS, PerAccount, Rules};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Health {
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
        /// Calls that had been released here by then.
        after: [bool; CALLS],
        /// No unit was free or idle anywhere at some instant since it was asked for.
        seen_full: bool,
    },
    Live,
    Ended,
    Refused {
        truly: bool,
    },
    Unavailable,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) account: usize,
    pub(super) life: Life,
}

/// An exchange on its way to the hub: all that the gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) returned: PerAccount,
    pub(super) unflushed_max: PerAccount,
    pub(super) calls: [AtHub; CALLS],
    /// To be admitted now.
    pub(super) wish: Option<usize>,
    /// A unit ahead of calls.
    pub(super) want: Option<usize>,
}

/// The hub's answer on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) granted: PerAccount,
    pub(super) unflushed_max: PerAccount,
    pub(super) calls: [AtHub; CALLS],
    pub(super) decision: Option<(usize, Decision)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) health: Health,
    pub(super) granted: PerAccount,
    pub(super) returned: PerAccount,
    pub(super) unflushed_max: PerAccount,
    pub(super) calls: [Call; CALLS],
    /// What the hub is known to have.
    pub(super) acknowledged: [AtHub; CALLS],
    pub(super) request: Option<Request>,
    /// An abandoned request that may still arrive.
    pub(super) late: Option<Request>,
    pub(super) reply: Option<Reply>,
    /// Something has been given back that the hub was not told.
    pub(super) due: bool,
}

impl Node {
    pub(super) fn count(&self, account: usize, counts: impl Fn(Call, AtHub) -> bool) -> u8 {
        let calls = self.calls.iter().zip(self.acknowledged);
        calls.map(|(call, at)| u8::from(call.account == account && counts(*call, at))).sum()
    }

    /// Units of live calls, and of ended ones that the hub does not know to have ended.
    pub(super) fn occupied(&self, account: usize) -> u8 {
        self.count(account, |call, at| match call.life {
            Life::Live => true,
            Life::Ended => at != AtHub::Ended,
            _ => false,
        })
    }

    pub(super) fn idle(&self, account: usize) -> u8 {
        let lease = self.granted[account].saturating_sub(self.returned[account]);
        lease.saturating_sub(self.occupied(account))
    }

    /// Admits that were answered and that the hub is not known to have.
    pub(super) fn unflushed(&self, account: usize) -> u8 {
        let told = |call: Call| matches!(call.life, Life::Live | Life::Ended);
        self.count(account, |call, at| told(call) && at == AtHub::Unknown)
    }

    pub(super) fn next_call(&self) -> Option<usize> {
        self.calls.iter().position(|call| call.life == Life::New)
    }

    pub(super) fn asked(&self) -> Option<usize> {
        self.calls.iter().position(|call| matches!(call.life, Life::Asked { .. }))
    }

    /// As the next exchange tells it.
    pub(super) fn told(&self, call: usize) -> AtHub {
        match self.calls[call].life {
            Life::Live => AtHub::Live,
            Life::Ended => AtHub::Ended,
            _ => AtHub::Unknown,
        }
    }

    pub(super) fn give_back_idle(&mut self) {
        for account in 0..ACCOUNTS {
            self.returned[account] += self.idle(account);
        }
    }

    /// A client asks: answered at once where the gateway may.
    pub(super) fn ask(&mut self, account: usize, rules: Rules) {
        let Some(call) = self.next_call() else { return };
        let may_admit = !rules.credit || self.unflushed(account) < self.unflushed_max[account];
        let life = if self.idle(account) > 0 && may_admit {
            Life::Live
        } else {
            let after = self.calls.map(|call| call.life == Life::Ended);
            Life::Asked { tries: 0, after, seen_full: false }
        };
        self.calls[call] = Call { account, life };
    }

    pub(super) fn send(&mut self, want: Option<usize>) {
        let wish = self.asked();
        if wish.is_some_and(|call| self.unflushed_max[self.calls[call].account] == 0) {
            self.give_back_idle();
        }
        self.due = false;
        self.request = Some(Request {
            returned: self.returned,
            unflushed_max: self.unflushed_max,
            calls: std::array::from_fn(|call| self.told(call)),
            wish,
            want,
        });
    }

    /// The exchange is abandoned: the request is lost, or late, or the answer is lost.
    pub(super) fn lose(&mut self, rules: Rules) {
        if !rules.newest_only && self.request.is_some() {
            self.late = self.request;
        }
        (self.request, self.reply, self.due) = (None, None, true);
    }

    pub(super) fn deliver(&mut self, tries_max: u8) {
        let Some(reply) = self.reply.take() else { return };
        self.granted = reply.granted;
        self.unflushed_max = reply.unflushed_max;
        self.acknowledged = reply.calls;
        let Some((call, decision)) = reply.decision else { return };
        let Life::Asked { tries, after, seen_full } = self.calls[call].life else { return };
        self.calls[call].life = match decision {
            Decision::Granted => Life::Live,
            Decision::Refused => Life::Refused { truly: seen_full },
            Decision::Recall if tries + 1 == tries_max => Life::Unavailable,
            Decision::Recall => Life::Asked { tries: tries + 1, after, seen_full },
        };
    }

    pub(super) fn read_recall(&mut self, rules: Rules) {
        if !rules.recall_spares_unflushed {
            for account in 0..ACCOUNTS {
                self.returned[account] += self.unflushed(account);
            }
        }
        self.give_back_idle();
        self.due = true;
    }
}
