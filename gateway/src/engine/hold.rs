//! The money and the lease of a new call: what is granted on what is here, and what is missing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::Pins;
use hub::clock::{EpochSeconds, second_after};
use hub::denial::Denial;
use hub::directory::Billing;
use hub::money::Amount;
use hub::state::request::{Granted, Lease};

use super::admit::Stop;
use super::{Engine, Hub};
use crate::accounts::{Account, Terms, Wallet};
use crate::admission::funds::{Held, Shortage};
use crate::admission::grant::Bounds;
use crate::admission::share::Share;
use crate::request::Admit;

/// Money that is missing here.
pub(super) struct Short {
    pub(super) wallet: Arc<Wallet>,
    /// What the call asks for in whole, beyond what it holds already.
    pub(super) wanted: Amount,
    /// The answer if there is no more.
    pub(super) denial: Denial,
}

impl Engine {
    /// The lease of a new call, its money held. `raised`: no more money can be fetched.
    pub(super) fn hold(
        &self,
        account: &Account,
        terms: &Terms,
        (call, pins): (&Admit<'_>, Option<&Pins>),
        now_us: i64,
        raised: bool,
    ) -> Result<Lease, Stop> {
        let lease_s = call.lease_s.or(terms.lease_s);
        let lives_s = lease_s.unwrap_or(self.settings.call_lease_s);
        let bounds = Bounds {
            requested_s: call.requested_s,
            usual_s: lease_s.unwrap_or(self.settings.grant_max_s),
            duration_max_s: terms.duration_max_s,
        };
        let deadline = second_after(now_us).saturating_add(lives_s);
        let mut lease = Lease {
            deadline: self.deadline(account, deadline, lease_s.is_some()),
            granted: Granted::new(terms.duration_max_s.unwrap_or(0), false),
            hold: Amount::ZERO,
            answered: None,
            renewed_us: now_us,
        };
        if let (Some(pins), Some(wallet)) = (pins, &terms.wallet) {
            if terms.is_spent_for(pins) {
                return Err(Denial::BudgetSpent.into());
            }
            let wanted_s = bounds.first_grant_s();
            let share = lease_s.is_none().then(|| self.share(account, pins, 0));
            let held = wallet.funds.hold_first(&pins.rate, wanted_s, share);
            let more_may_come = match &self.hub {
                Hub::Embedded { .. } => matches!(held, Err(Shortage::Quarantine)),
                Hub::Shared(_) => !raised && !matches!(&held, Ok(held) if held.most_s >= wanted_s),
            };
            let short = || Short {
                wallet: Arc::clone(wallet),
                wanted: pins.rate.charge(wanted_s),
                denial: Denial::InsufficientBalance {
                    available: wallet.funds.free().max(Amount::ZERO),
                    required: pins.rate.charge(1),
                    currency: pins.currency,
                },
            };
            match held {
                Ok(Held { funded, most_s }) if !more_may_come => {
                    let is_all = funded.seconds < wanted_s && funded.seconds == most_s;
                    lease.granted = Granted::new(funded.seconds, is_all);
                    lease.hold = funded.hold;
                }
                Ok(Held { funded, .. }) => {
                    wallet.funds.add(funded.hold);
                    return Err(Stop::Money(Box::new(short())));
                }
                Err(_) if more_may_come => return Err(Stop::Money(Box::new(short()))),
                Err(_) => return Err(short().denial.into()),
            }
        }
        Ok(lease)
    }

    /// How a call shares money that does not suffice for all: with the live calls that may use it here.
    /// Who cannot renew shares nothing: it would get no more later.
    pub(super) fn share(&self, account: &Account, pins: &Pins, elapsed_s: u32) -> Share {
        let live = match pins.billing {
            Billing::Isolated => account.slots.now().used,
            Billing::Consolidated => account.organization.in_use.load(Ordering::Relaxed),
        };
        Share {
            parts: live.saturating_add(1),
            least_s: self.settings.renew_every_s.saturating_mul(2),
            elapsed_s,
        }
    }

    /// A deadline as it may be told: with a shared hub never so late that the hub could have given the
    /// call to somebody else, but where it has recorded the deadline first.
    pub(super) fn deadline(
        &self,
        account: &Account,
        deadline: EpochSeconds,
        is_recorded: bool,
    ) -> EpochSeconds {
        match &self.hub {
            Hub::Shared(_) if self.is_open_without_hub(account, &account.terms()) => deadline,
            Hub::Shared(sharing) if !is_recorded => {
                deadline.min(sharing.deadline_max(account.organization.shard))
            }
            Hub::Embedded { .. } | Hub::Shared(_) => deadline,
        }
    }
}
