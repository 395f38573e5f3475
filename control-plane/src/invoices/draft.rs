//! What an invoice says in numbers: lines, rounding, net, taxes, total. Pure.
//!
//! Each line is rounded to the minor unit; the net is what the calls were charged, exactly, rounded once; what
//! lies between the sum of the lines and the net stands as the rounding. So lines and rounding are the net,
//! net and taxes are the total, to the last unit.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

use std::collections::{BTreeMap, HashMap};

use hub::id::AccountId;
use hub::money::{Amount, Currency};
use serde::{Deserialize, Serialize};

use super::charges::{Charges, Kind};
use super::minor;
use super::terms::Tax;

/// Charges of one account, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) calls: i64,
    pub(crate) billable_s: i64,
    /// Exactly.
    pub(crate) charged: Amount,
    /// In whole minor units.
    pub(crate) amount: Amount,
}

/// What a tax comes to, in micro-units of whole minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taxed {
    pub(crate) name: String,
    pub(crate) rate_bp: u32,
    pub(crate) amount_micros: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) lines: Vec<Line>,
    pub(crate) charged: Amount,
    pub(crate) rounding: Amount,
    pub(crate) net: Amount,
    pub(crate) taxes: Vec<Taxed>,
    pub(crate) tax: Amount,
    pub(crate) total: Amount,
}

impl Draft {
    /// `names` of the accounts; one that has none shows its id.
    pub(crate) fn of(
        charges: &BTreeMap<(Kind, AccountId), Charges>,
        names: &HashMap<AccountId, String>,
        taxes: &[Tax],
        currency: Currency,
    ) -> Self {
        let is_shown = |kind: Kind, sums: &Charges| {
            sums.cost != Amount::ZERO || kind == Kind::Calls && sums.calls > 0
        };
        let line = |(&(kind, account), charges): (&(Kind, AccountId), &Charges)| Line {
            kind,
            account,
            name: names.get(&account).cloned().unwrap_or_else(|| account.to_string()),
            calls: charges.calls,
            billable_s: charges.billable_s,
            charged: charges.cost,
            amount: minor::rounded(charges.cost, currency),
        };
        let shown = charges.iter().filter(|((kind, _), sums)| is_shown(*kind, sums));
        let mut lines: Vec<Line> = shown.map(line).collect();
        lines.sort_by(|a, b| (a.kind, &a.name, a.account).cmp(&(b.kind, &b.name, b.account)));
        let sum = |amounts: &mut dyn Iterator<Item = Amount>| {
            amounts.fold(Amount::ZERO, Amount::saturating_add)
        };
        let exact = sum(&mut lines.iter().map(|line| line.charged));
        let net = minor::rounded(exact, currency);
        let rounding = net.saturating_sub(sum(&mut lines.iter().map(|line| line.amount)));
        let taxes = taxes_on(taxes, net, currency);
        let tax = sum(&mut taxes.iter().map(Taxed::amount));
        Self { lines, charged: exact, rounding, net, taxes, tax, total: net.saturating_add(tax) }
    }
}

impl Taxed {
    pub(crate) const fn amount(&self) -> Amount {
        Amount::from_micros(self.amount_micros)
    }
}

/// What the taxes on a net come to.
pub(crate) fn taxes_on(taxes: &[Tax], net: Amount, currency: Currency) -> Vec<Taxed> {
    let on_net = |Tax { name, rate_bp }: &Tax| Taxed {
        name: name.clone(),
        rate_bp: *rate_bp,
        amount_micros: minor::tax(net, *rate_bp, currency).micros(),
    };
    taxes.iter().map(on_net).collect()
}

/// What is taken off each tax when `net` is credited of an invoice of which `credited` was before: the parts
/// of all credit notes add up to what the tax on their sum is, so none of them can exceed the invoice.
pub(crate) fn taxes_between(
    taxes: &[Taxed],
    credited: Amount,
    net: Amount,
    currency: Currency,
) -> Vec<Taxed> {
    let after = credited.saturating_add(net);
    let part = |taxed: &Taxed| {
        let up_to = |net| minor::tax(net, taxed.rate_bp, currency);
        let amount = up_to(after).saturating_sub(up_to(credited));
        Taxed { amount_micros: amount.micros(), ..taxed.clone() }
    };
    taxes.iter().map(part).collect()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    use hub::id::AccountKind;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn account() -> AccountId {
        crate::id::new_account_id(AccountKind::SubAccount, 1)
    }

    fn currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(vec!["INR", "EUR", "JPY", "KWD"])
            .prop_map(|code| code.parse().expect("a currency"))
    }

    fn taxes() -> impl Strategy<Value = Vec<Tax>> {
        let tax = (0_u32..=10_000).prop_map(|rate_bp| Tax { name: "T".to_owned(), rate_bp });
        vec(tax, 0..4)
    }

    fn sum(amounts: impl Iterator<Item = Amount>) -> i64 {
        amounts.map(Amount::micros).sum()
    }

    proptest! {
        #[test]
        fn lines_and_rounding_are_the_net_and_net_and_taxes_the_total(
            costs in vec(-5_000_000_i64..2_000_000_000, 1..60), taxes in taxes(), currency in currency(),
        ) {
            let charges: BTreeMap<_, _> = costs.iter().enumerate().map(|(index, cost)| {
                let cost = Amount::from_micros(*cost);
                ((Kind::ALL[index % 3], account()), Charges { calls: 1, billable_s: 60, cost })
            }).collect();
            let draft = Draft::of(&charges, &HashMap::new(), &taxes, currency);
            let exact: i64 = costs.iter().sum();
            prop_assert_eq!(draft.charged.micros(), exact);
            prop_assert!((draft.net.micros() - exact).abs() * 2 <= minor::unit(currency));
            let lines = sum(draft.lines.iter().map(|line| line.amount));
            prop_assert_eq!(lines + draft.rounding.micros(), draft.net.micros());
            let taxed = sum(draft.taxes.iter().map(Taxed::amount));
            prop_assert_eq!(taxed, draft.tax.micros());
            prop_assert_eq!(draft.net.micros() + taxed, draft.total.micros());
            for amount in draft.lines.iter().map(|line| line.amount).chain([draft.rounding, draft.total]) {
                prop_assert!(minor::is_whole(amount, currency));
            }
        }

        #[test]
        fn credit_notes_of_the_whole_take_off_exactly_what_the_taxes_were(
            parts in vec(1_i64..5_000_000, 1..20), taxes in taxes(), currency in currency(),
        ) {
            let unit = minor::unit(currency);
            let net = Amount::from_micros(parts.iter().sum::<i64>() * unit);
            let invoiced = taxes_on(&taxes, net, currency);
            let mut credited = Amount::ZERO;
            let mut taken = vec![0; taxes.len()];
            for part in parts {
                let part = Amount::from_micros(part * unit);
                for (taken, taxed) in taken.iter_mut().zip(taxes_between(&invoiced, credited, part, currency)) {
                    prop_assert!(taxed.amount() >= Amount::ZERO);
                    *taken += taxed.amount_micros;
                }
                credited = credited.saturating_add(part);
            }
            let invoiced: Vec<i64> = invoiced.iter().map(|taxed| taxed.amount_micros).collect();
            prop_assert_eq!(taken, invoiced);
        }
    }
}
