//! What comes from the hub: a reply is taken apart into effects for whoever keeps calls and leases.

use super::outgoing::{shifted, shifted_record};
use super::{Beat, Bond, HubClock, Link, Now, Queued, Sent};
use std::collections::VecDeque;

use hub::call::Call;
use hub::id::AccountId;
use hub::money::Amount;
use hub::state::calls::Live;
use hub::state::exchange::{CallKey, Found, Funding, Mail, Message, Reply, Standing, Terms};
use hub::state::request::{Event, Funded, Wanted};

/// What has to be done about a reply, or about its absence.
#[derive(Debug)]
pub enum Effect<F> {
    /// The hub has the event: this is free now.
    Freed(F),
    /// The admission is not this holder's: another one of the same name came first.
    Rejected(Call),
    /// The adoption is not: another holder has the call, or it has ended.
    NotAdopted(Call),
    /// The call did not end: it is another holder's, which must be asked.
    Elsewhere(Call),
    /// The adoption, which somebody waits for, cannot be decided now: it is given up.
    Deferred(Call, F),
    /// A `Wanted` call's answer. Its unit, if it has one here, is not freed otherwise.
    Decided(Call, Wanted),
    /// No answer to a `Wanted` call: it is being withdrawn, and its unit freed when the hub has that.
    Undecided(Call),
    /// The call is this holder's now, unit and hold of the adoption included.
    Adopted(Call, Amount),
    /// The answer to a want.
    Answered(AccountId, Wanted),
    /// There is none.
    NoAnswer(AccountId),
    /// The answer to a fund.
    Funded(AccountId, Funded),
    NoMoneyAnswer(AccountId),
    /// What this holder has been granted in total: may be more than it knew.
    Granted(Terms),
    GrantedMoney(Funding),
    /// Report this counter, or wallet, again: something may have been granted unheard.
    Recount(AccountId),
    RecountMoney(AccountId),
    /// Others want what is idle of this.
    Recall(AccountId),
    RecallMoney(AccountId),
    /// The answer to a look-up.
    Found(CallKey, Found),
    NotFound(CallKey),
    /// A call without a holder that nobody renewed: it is to be ended.
    Due(Live),
    Message(Message),
    /// The holder is gone: it needs a new id, its idle units are no longer its own, and it must adopt
    /// its calls.
    Gone,
}

impl<F> Link<F> {
    /// Takes the answer to the exchange under way. Effects are to be carried out in order.
    pub fn take(&mut self, reply: Reply, now: Now, effects: &mut Vec<Effect<F>>) {
        match reply.standing {
            Standing::Member => self.take_member(reply, now, effects),
            Standing::OtherIncarnation => {
                self.incarnation = reply.incarnation;
                // Numbers of letters and beats begin anew.
                self.mail_seen = 0;
                self.beats.clear();
                let is_new = self.bond == Bond::New;
                self.report_again(reply.clock_ms, now, effects);
                self.bond = if is_new { Bond::New } else { Bond::Unreported };
            }
            Standing::Unreported => self.report_again(reply.clock_ms, now, effects),
            Standing::Outdated => self.lost(now, effects),
            Standing::Gone => {
                self.lost(now, effects);
                self.bond = Bond::Gone;
                effects.push(Effect::Gone);
            }
        }
    }

    fn report_again(&mut self, clock_ms: u64, now: Now, effects: &mut Vec<Effect<F>>) {
        self.lost(now, effects);
        self.bond = Bond::Unreported;
        self.sees_clock(clock_ms, now);
        self.hurry(now);
    }

    fn sees_clock(&mut self, ms: u64, now: Now) {
        if self.clock.is_none_or(|known| known.ms != ms) {
            self.clock = Some(HubClock { ms, seen: now });
        }
    }

    fn take_member(&mut self, reply: Reply, now: Now, effects: &mut Vec<Effect<F>>) {
        let Some(sent) = self.sent.take() else {
            return;
        };
        self.bond = Bond::Member;
        self.learning = reply.learning;
        let kept_up = self.keeps_up(sent.at);
        self.acknowledged = Some(sent.at);
        self.sees_clock(reply.clock_ms, now);
        self.sees_beats(&reply, kept_up, now);
        let ahead_s = self.ahead_s();
        let Sent { inventory, told, records_before, .. } = sent;
        self.records = records_before;
        let mut decided = reply.answer.decided.into_iter();
        let (rejected, deferred) = (reply.answer.rejected, reply.answer.deferred);
        let complete = inventory.is_some();
        let mut position = 0;
        for call in inventory.into_iter().flatten() {
            if rejected.contains(&position) {
                effects.push(Effect::Rejected(call));
            }
            position += 1;
        }
        position += if complete { self.unposted.len() } else { 0 };
        let mut again = VecDeque::new();
        for queued in told.events {
            let is_told = queued.is_told(complete);
            if is_told && deferred.contains(&position) {
                match queued {
                    Queued { event: Event::Adopted { call, .. }, freed: Some(waits) } => {
                        effects.push(Effect::Deferred(call, waits));
                    }
                    own => again.push_back(own),
                }
            } else {
                let rejected = is_told && rejected.contains(&position);
                if let Event::Ended(record) = &queued.event {
                    give_up_adoption(&mut again, &record.call, effects);
                }
                self.told(queued, complete, rejected, &mut decided, effects);
            }
            position += usize::from(is_told);
        }
        again.append(&mut self.unsent.events);
        self.unsent.events = again;
        while self.unposted.front().is_some_and(|first| first.0 <= reply.records_acknowledged) {
            self.unposted.pop_front();
        }
        effects.extend(reply.terms.into_iter().map(Effect::Granted));
        effects.extend(reply.funding.into_iter().map(Effect::GrantedMoney));
        let wanted = told.wants.iter().zip(reply.answer.wanted);
        effects.extend(wanted.map(|(want, wanted)| Effect::Answered(want.counter, wanted)));
        let funded = told.funds.iter().zip(reply.answer.funded);
        effects.extend(funded.map(|(fund, funded)| Effect::Funded(fund.owner, funded)));
        for (key, found) in told.find.into_iter().zip(reply.found) {
            effects.push(Effect::Found(key, found_here(found, -ahead_s)));
        }
        for mail in reply.mail {
            self.mail_seen += 1;
            effects.push(match mail {
                Mail::Recall(counter) => Effect::Recall(counter),
                Mail::RecallMoney(owner) => Effect::RecallMoney(owner),
                Mail::Message(message) => Effect::Message(message),
            });
        }
        effects.extend(reply.due.into_iter().map(|live| Effect::Due(live_here(live, -ahead_s))));
    }

    /// The hub has one event.
    fn told(
        &mut self,
        Queued { event, freed }: Queued<F>,
        complete: bool,
        rejected: bool,
        decided: &mut impl Iterator<Item = Wanted>,
        effects: &mut Vec<Effect<F>>,
    ) {
        match event {
            // A complete report says what is live by its inventory.
            Event::Wanted { call, .. } if complete => effects.push(Effect::Undecided(call)),
            // Whoever hears of the decision knows what becomes of the unit.
            Event::Wanted { call, .. } => {
                let wanted = decided.next().unwrap_or(Wanted::Learning);
                effects.push(if rejected {
                    Effect::Rejected(call)
                } else {
                    Effect::Decided(call, wanted)
                });
                return;
            }
            Event::Admitted { call, .. } if rejected => effects.push(Effect::Rejected(call)),
            Event::Adopted { call, .. } if rejected => effects.push(Effect::NotAdopted(call)),
            Event::Adopted { call, lease } => effects.push(Effect::Adopted(call, lease.hold)),
            Event::Ended(record) => {
                let counts = !record.call.account().is_shadow();
                self.records += u64::from(counts);
                if rejected {
                    effects.push(Effect::Elsewhere(record.call.clone()));
                } else if counts {
                    self.unposted.push_back((self.records, record));
                }
            }
            Event::Admitted { .. } | Event::Renewed { .. } | Event::Withdrawn(_) => {}
        }
        effects.extend(freed.map(Effect::Freed));
    }

    /// `kept_up`: what was seen before tells how long a beat stands still. While the hub was away from this
    /// holder it was away from others as well.
    fn sees_beats(&mut self, reply: &Reply, kept_up: bool, now: Now) {
        let mut known = std::mem::take(&mut self.beats);
        if !kept_up {
            known.clear();
        }
        let since = |holder, beat| {
            let same = known.iter().find(|old| (old.holder, old.count) == (holder, beat));
            same.map_or(now.boot_us, |old| old.since_us)
        };
        let beats = reply.beats.iter();
        self.beats = beats
            .map(|(holder, beat)| Beat {
                holder: *holder,
                count: *beat,
                since_us: since(*holder, *beat),
            })
            .collect();
    }
}

/// A call that has ended here is not adopted any more.
fn give_up_adoption<F>(
    deferred: &mut VecDeque<Queued<F>>,
    call: &Call,
    effects: &mut Vec<Effect<F>>,
) {
    let before = deferred.len();
    deferred.retain(
        |queued| !matches!(&queued.event, Event::Adopted { call: adopted, .. } if adopted == call),
    );
    if deferred.len() < before {
        effects.push(Effect::NotAdopted(call.clone()));
    }
}

fn live_here(live: Live, by_s: i64) -> Live {
    Live { lease: shifted(live.lease, by_s), ..live }
}

/// What the hub found, by the clock here.
fn found_here(found: Found, by_s: i64) -> Found {
    match found {
        Found::Live(holder, live) => Found::Live(holder, live_here(live, by_s)),
        Found::Ended(record) => Found::Ended(shifted_record(&record, by_s)),
        Found::Nothing => Found::Nothing,
    }
}
