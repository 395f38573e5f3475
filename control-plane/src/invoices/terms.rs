//! How an organization issues invoices: who issues and to whom, taxes, prefixes of numbers, whose calendar,
//! by itself or when asked. And the numbers given out so far, which have no gap.

use hub::id::AccountId;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::party::Party;
use crate::problem::{Kind, Problem};

/// Digits that a number has at least.
const DIGITS: usize = 6;

/// A tax on the net of every document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tax {
    pub(crate) name: String,
    /// Hundredths of a percent.
    pub(crate) rate_bp: u32,
}

/// What can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// `None`: nothing can be issued yet.
    pub(crate) issuer: Option<Party>,
    /// To whom the organization's own invoices are made out; `None`: its name.
    pub(crate) recipient: Option<Party>,
    pub(crate) invoice_prefix: String,
    pub(crate) credit_note_prefix: String,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) time_zone: String,
    /// Days between the end of a month and its invoices.
    pub(crate) issue_after_days: u32,
    /// What stands at the end of every document.
    pub(crate) note: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: None,
            recipient: None,
            invoice_prefix: "INV-".to_owned(),
            credit_note_prefix: "CN-".to_owned(),
            taxes: Vec::new(),
            time_zone: "UTC".to_owned(),
            issue_after_days: 2,
            note: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) organization: AccountId,
    pub(crate) settings: Settings,
    /// Months are invoiced by themselves.
    pub(crate) automatic: bool,
    /// Calls admitted before this are never invoiced. `None`: nothing was configured yet.
    pub(crate) starts_us: Option<i64>,
    /// Up to here it was done by itself.
    pub(crate) done_us: i64,
    /// Numbers given out.
    pub(crate) invoices: i64,
    pub(crate) credit_notes: i64,
}

/// A document with a number of its own sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbered {
    Invoice,
    CreditNote,
}

impl Terms {
    /// As they are, or as they are before anything is configured.
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        organization: AccountId,
    ) -> Result<Self, Problem> {
        let row = sqlx::query(
            "SELECT settings, automatic, starts_us, done_us, invoices, credit_notes FROM invoicing \
             WHERE organization_id = $1",
        )
        .bind(organization.to_string())
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else {
            return Ok(Self {
                organization,
                settings: Settings::default(),
                automatic: false,
                starts_us: None,
                done_us: 0,
                invoices: 0,
                credit_notes: 0,
            });
        };
        let settings: String = row.try_get("settings")?;
        Ok(Self {
            organization,
            settings: serde_json::from_str(&settings).map_err(Problem::internal)?,
            automatic: row.try_get::<i64, _>("automatic")? != 0,
            starts_us: Some(row.try_get("starts_us")?),
            done_us: row.try_get("done_us")?,
            invoices: row.try_get("invoices")?,
            credit_notes: row.try_get("credit_notes")?,
        })
    }

    /// Writes what can be configured.
    pub(crate) async fn store(
        &self,
        connection: &mut AnyConnection,
        now_us: i64,
    ) -> Result<(), Problem> {
        let settings = serde_json::to_string(&self.settings).map_err(Problem::internal)?;
        sqlx::query(
            "INSERT INTO invoicing (organization_id, settings, automatic, starts_us, done_us, invoices, credit_notes, \
             updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (organization_id) DO UPDATE SET \
             settings = excluded.settings, automatic = excluded.automatic, starts_us = excluded.starts_us, \
             done_us = excluded.done_us, updated_us = excluded.updated_us",
        )
        .bind(self.organization.to_string())
        .bind(settings)
        .bind(i64::from(self.automatic))
        .bind(self.starts_us.unwrap_or(now_us))
        .bind(self.done_us)
        .bind(self.invoices)
        .bind(self.credit_notes)
        .bind(now_us)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Who issues and from when on, where it is configured.
    pub(crate) fn issuing(&self) -> Result<(&Party, i64), Problem> {
        match (&self.settings.issuer, self.starts_us) {
            (Some(issuer), Some(starts_us)) => Ok((issuer, starts_us)),
            _ => Err(Problem::new(
                Kind::InvoicingNotConfigured,
                "nobody is named who issues: set issuer by PATCH /v1/organization/invoicing first",
            )),
        }
    }

    /// Takes the next number of a sequence, within the transaction of the document that has it.
    pub(crate) async fn next(
        &self,
        connection: &mut AnyConnection,
        numbered: Numbered,
    ) -> Result<(i64, String), Problem> {
        let (column, prefix) = match numbered {
            Numbered::Invoice => ("invoices", &self.settings.invoice_prefix),
            Numbered::CreditNote => ("credit_notes", &self.settings.credit_note_prefix),
        };
        let sql = format!(
            "UPDATE invoicing SET {column} = {column} + 1 WHERE organization_id = $1 RETURNING {column}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.organization.to_string())
            .fetch_one(connection)
            .await?;
        let sequence: i64 = row.try_get(0)?;
        Ok((sequence, format!("{prefix}{sequence:0DIGITS$}")))
    }
}
