//! What is looked at when the balance of a wallet moves, in the transaction that moves it: the balances at
//! which it is low, zero, and where it asks for money ([`attempts`]). Nothing is remembered of a line that was crossed: the balance before and
//! after is in the ledger, so each crossing is told once, whoever posts it, and a line is armed again when
//! the balance is above it.

use hub::money::Amount;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::attempts::{self, AutoRecharge};
use crate::fields::{Raw, values};
use crate::ledger::{Moved, Wallet};
use crate::problem::{FieldError, Problem};
use crate::webhooks::{Event, EventKind, event};

/// The most balances at which a wallet is low.
pub(crate) const LINES_MAX: usize = 10;

/// What is watched of a wallet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watch {
    /// Greatest first.
    pub(crate) low_balances: Vec<Amount>,
    pub(crate) recharge: Option<AutoRecharge>,
    /// False: its last attempt came to nothing, and the balance has not been above the line since.
    pub(crate) is_armed: bool,
}

impl Watch {
    pub(crate) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let lines: Option<String> = row.try_get("low_balances")?;
        let lines: Option<Vec<i64>> =
            lines.map(|text| serde_json::from_str(&text)).transpose().map_err(Problem::internal)?;
        let lines = lines.unwrap_or_default().into_iter().map(Amount::from_micros);
        let amount = |column| -> Result<Option<Amount>, sqlx::Error> {
            Ok(row.try_get::<Option<i64>, _>(column)?.map(Amount::from_micros))
        };
        let recharge = amount("recharge_below")?.zip(amount("recharge_amount")?);
        Ok(Self {
            low_balances: lines.collect(),
            recharge: recharge.map(|(below, amount)| AutoRecharge { below, amount }),
            is_armed: row.try_get::<i64, _>("recharge_armed")? != 0,
        })
    }

    /// As the column holds them.
    pub(super) fn low_balances_text(&self) -> Option<String> {
        let lines: Vec<i64> = self.low_balances.iter().map(|line| line.micros()).collect();
        (!lines.is_empty()).then(|| json!(lines).to_string())
    }
}

impl Wallet {
    /// Refuses lines that the balance never sinks to: beyond the credit.
    pub(super) fn refuse_out_of_reach(&self, field: &str, lines: &[Amount]) -> Result<(), Problem> {
        let least = self.credit_limit.negated();
        let Some(line) = lines.iter().find(|line| **line < least) else { return Ok(()) };
        let shown = |amount: Amount| amount.in_currency(self.currency).to_string();
        let problem = format!("expected no less than {}, where the credit ends", shown(least));
        Err(Problem::fields(&[FieldError {
            field: field.to_owned(),
            value: Some(shown(*line)),
            problem,
        }]))
    }
}

/// Reads balances, all different, and puts the greatest first.
pub(super) fn lines(raw: &Raw) -> Result<Vec<Amount>, String> {
    let expected = || format!("expected a list of at most {LINES_MAX} different amounts");
    let listed: Vec<Box<RawValue>> = raw.listed().ok_or_else(expected)?;
    if listed.len() > LINES_MAX {
        return Err(expected());
    }
    let read = listed.into_iter().map(|raw| values::signed_amount(&Raw::Json(raw)));
    let mut lines = read.collect::<Result<Vec<Amount>, String>>()?;
    lines.sort_unstable_by(|a, b| b.cmp(a));
    if lines.windows(2).any(|pair| pair[0] == pair[1]) { Err(expected()) } else { Ok(lines) }
}

/// Balances have moved by one posting.
pub(super) async fn all_moved(
    connection: &mut AnyConnection,
    all: &[Moved],
    now_us: i64,
) -> Result<(), Problem> {
    for one in all {
        moved(connection, one, now_us).await?;
    }
    Ok(())
}

/// A balance has moved. Where it sank, events: one for each line that it crossed, and one when it reached
/// zero. Where it is at its line it asks for money.
pub(crate) async fn moved(
    connection: &mut AnyConnection,
    moved: &Moved,
    now_us: i64,
) -> Result<(), Problem> {
    let wallet = Wallet::load(connection, moved.owner).await?;
    let crossed = |line: Amount| moved.before > line && moved.after <= line;
    let shown = |amount: Amount| amount.in_currency(wallet.currency).to_string();
    let event = |kind, line: Option<Amount>| {
        let data = json!({
            "balance": shown(moved.after),
            "low_balance": line.map(shown),
            "currency": wallet.currency.code(),
        });
        Event::new(kind, moved.owner, wallet.organization, &data)
    };
    let mut events = Vec::new();
    for line in wallet.watch.low_balances.iter().copied().filter(|line| crossed(*line)) {
        events.push(event(EventKind::BalanceLow, Some(line))?);
    }
    if crossed(Amount::ZERO) {
        events.push(event(EventKind::BalanceEmpty, None)?);
    }
    event::store(connection, &events, now_us).await?;
    attempts::look(connection, &wallet, now_us).await
}
