//! Allocation arithmetic: how floors, caps and one organization's total divide its slots
//! (design, section 3). Pure; the hub and the control plane decide by the same functions.

use crate::denial::Scope;

/// What one account is allowed and has leased out to holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub floor: u32,
    /// `u32::MAX` when elastic.
    pub cap: u32,
    pub leased: u32,
}

impl Share {
    /// What the account takes of the total, leased or kept free for it.
    pub const fn committed(self) -> u64 {
        (if self.leased > self.floor { self.leased } else { self.floor }) as u64
    }
}

/// Sums over all accounts of one organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Σ leased
    pub leased: u64,
    /// Σ max(leased, floor)
    pub committed: u64,
}

/// How many of `wanted` units may be leased to the account, and which limit said so when fewer.
pub fn grantable(share: Share, sums: Sums, total: u32, wanted: u32) -> (u32, Option<Scope>) {
    let by_cap = share.cap.saturating_sub(share.leased);
    let granted_by_cap = wanted.min(by_cap);
    // Within the floor only what is really leased may not pass the total; beyond it, what is
    // promised to others counts as well.
    let total = u64::from(total);
    let to_floor = u64::from(share.floor.saturating_sub(share.leased));
    let within = to_floor.min(total.saturating_sub(sums.leased));
    let beyond = if within == to_floor { total.saturating_sub(sums.committed) } else { 0 };
    let by_total = u32::try_from(within.saturating_add(beyond)).unwrap_or(u32::MAX);
    let granted = granted_by_cap.min(by_total);
    let scope = match granted {
        enough if enough == wanted => None,
        at_cap if at_cap == by_cap => Some(Scope::Account),
        _ => Some(Scope::Organization),
    };
    (granted, scope)
}

/// Why an allocation cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverAllocation {
    #[error("the floor ({floor}) is above the cap ({cap})")]
    FloorAboveCap { floor: u32, cap: u32 },
    #[error("the floors of all accounts would be {floors}, {} above the organization's total of {total}", floors - u64::from(*total))]
    FloorsAboveTotal { floors: u64, total: u32 },
}

/// Checks an allocation before it is written: `floor ≤ cap` and `Σ floors ≤ total`.
/// `floors_of_others` is the sum over every other account of the organization, its reserve included.
pub const fn check(
    floor: u32,
    cap: Option<u32>,
    floors_of_others: u64,
    total: u32,
) -> Result<(), OverAllocation> {
    if let Some(cap) = cap
        && floor > cap
    {
        return Err(OverAllocation::FloorAboveCap { floor, cap });
    }
    let floors = floors_of_others.saturating_add(floor as u64);
    if floors > total as u64 {
        return Err(OverAllocation::FloorsAboveTotal { floors, total });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_over_allocation_is_refused_with_the_numbers() {
        assert_eq!(
            check(5, Some(4), 0, 10),
            Err(OverAllocation::FloorAboveCap { floor: 5, cap: 4 })
        );
        let refused = check(20, None, 40, 50).expect_err("above the total");
        assert_eq!(
            refused.to_string(),
            "the floors of all accounts would be 60, 10 above the organization's total of 50",
        );
        assert_eq!(check(10, Some(10), 40, 50), Ok(()));
    }

    fn sums(shares: &[Share]) -> Sums {
        Sums {
            leased: shares.iter().map(|share| u64::from(share.leased)).sum(),
            committed: shares.iter().map(|share| share.committed()).sum(),
        }
    }

    proptest! {
        /// Unit by unit, by the rule as it is written in the design.
        #[test]
        fn grants_follow_the_rule_unit_by_unit(
            parts in prop::collection::vec((0u32..6, 0u32..9, 0u32..9), 1..4),
            slack in 0u32..6, wanted in 0u32..8,
        ) {
            let mut shares: Vec<Share> = parts
                .iter()
                .map(|&(floor, extra, leased)| Share { floor, cap: floor + extra, leased })
                .collect();
            let floors: u32 = shares.iter().map(|share| share.floor).sum();
            let total = floors + slack;
            let (granted, _) = grantable(shares[0], sums(&shares), total, wanted);
            let mut by_rule = 0;
            while by_rule < wanted {
                let before = sums(&shares);
                let share = &mut shares[0];
                let fits = if share.leased < share.floor {
                    before.leased < u64::from(total)
                } else {
                    before.committed < u64::from(total)
                };
                if share.leased >= share.cap || !fits {
                    break;
                }
                share.leased += 1;
                by_rule += 1;
            }
            prop_assert_eq!(granted, by_rule);
        }
    }
}
