//! Issues an invoice: reads the charges that it is about without keeping anybody waiting, then writes it in one
//! transaction, unless something it rests on has changed meanwhile. Everyone who issues comes here.

use std::collections::{BTreeSet, HashMap};

use hub::id::{AccountId, AccountKind};
use hub::money::Amount;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::charges::{self, Covered, Region, Subject};
use super::draft::Draft;
use super::party::Party;
use super::shown::Shown;
use super::terms::{Numbered, Terms};
use super::{Document, Invoice, LINES_MAX, details, lines};
use crate::account::Organization;
use crate::change::Change;
use crate::id::new_id;
use crate::problem::{Kind, Problem};
use crate::store::rows;
use crate::timestamp;
use crate::webhooks::EventKind;

/// Names read by one statement; shorter last lists are filled up, so it is prepared once.
const NAMES_PER_READ: usize = 64;

/// What is to be issued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) organization: AccountId,
    /// A sub-account, or the organization itself.
    pub(super) account: AccountId,
    pub(super) from_us: i64,
    pub(super) to_us: i64,
}

/// An invoice but for its number.
pub(super) struct Prepared {
    asked: Asked,
    subject: Subject,
    through_us: i64,
    covered: Option<Covered>,
    terms: Terms,
    recipient: Party,
    draft: Draft,
}

/// Reads what an invoice would say. Nothing is written.
pub(super) async fn prepare(
    connection: &mut AnyConnection,
    asked: Asked,
) -> Result<Prepared, Problem> {
    let Asked { organization, account, from_us, to_us } = asked;
    let terms = Terms::load(connection, organization).await?;
    let (_, starts_us) = terms.issuing()?;
    let recipient = recipient(connection, &terms, account).await?;
    let covered = charges::covered(connection, account).await?;
    check_period(&asked, starts_us, covered)?;
    let currency = Organization::load(connection, organization).await?.currency;
    let subject = Subject { account, organization, currency };
    let through_us = charges::posted(connection).await?;
    let region = Region { starts_us, from_us, to_us, through_us, covered };
    let charges = charges::load(connection, &subject, &region).await?;
    let accounts: BTreeSet<AccountId> = charges.keys().map(|(_, account)| *account).collect();
    let names = names(connection, accounts.into_iter().collect()).await?;
    let draft = Draft::of(&charges, &names, &terms.settings.taxes, currency);
    if draft.lines.len() > LINES_MAX {
        return Err(Problem::field(
            "to",
            format!("expected at most {LINES_MAX} lines in one invoice"),
        ));
    }
    if draft.net <= Amount::ZERO {
        let exact = draft.charged.in_currency(currency).to_string();
        let detail =
            "the charges do not come to one unit of the currency; they are on a later invoice";
        return Err(Problem::new(Kind::NothingToInvoice, detail).with("charged", exact));
    }
    Ok(Prepared { asked, subject, through_us, covered, terms, recipient, draft })
}

fn check_period(asked: &Asked, starts_us: i64, covered: Option<Covered>) -> Result<(), Problem> {
    if asked.from_us < starts_us {
        let problem =
            format!("expected {} or later: invoicing.starts_at", timestamp::text(starts_us));
        return Err(Problem::field("from", problem));
    }
    match covered {
        Some(covered) if asked.from_us < covered.to_us => {
            let until = timestamp::text(covered.to_us);
            let detail = format!("invoices of this account go to {until}: begin there or later");
            Err(Problem::new(Kind::PeriodInvoiced, detail).with("invoiced_to", until))
        }
        _ => Ok(()),
    }
}

/// Issues what was prepared, in the change's transaction. `None`: something has changed since, prepare again.
pub(super) async fn issue(
    change: &mut Change<'_>,
    prepared: Prepared,
) -> Result<Option<Shown>, Problem> {
    let Prepared { asked, subject, through_us, covered, terms, recipient, draft } = prepared;
    let now = Terms::load(change.connection(), asked.organization).await?;
    let is_same = now.settings == terms.settings && now.starts_us == terms.starts_us;
    if !is_same || charges::covered(change.connection(), asked.account).await? != covered {
        return Ok(None);
    }
    let (issuer, _) = terms.issuing()?;
    let document = Document {
        time_zone: terms.settings.time_zone.clone(),
        issuer: issuer.clone(),
        recipient,
        taxes: draft.taxes,
        rounding_micros: draft.rounding.micros(),
        note: terms.settings.note.clone(),
    };
    let issued_us = change.now_us;
    let (sequence, number) = terms.next(change.connection(), Numbered::Invoice).await?;
    let invoice = Invoice {
        id: new_id("inv", issued_us),
        organization: asked.organization,
        account: asked.account,
        sequence,
        number,
        from_us: asked.from_us,
        to_us: asked.to_us,
        issued_us,
        currency: subject.currency,
        lines: i64::try_from(draft.lines.len()).map_err(Problem::internal)?,
        charged: draft.charged,
        net: draft.net,
        tax: draft.tax,
        total: draft.total,
        document,
        credited_net: Amount::ZERO,
        credited: Amount::ZERO,
    };
    insert(change.connection(), &invoice, through_us).await?;
    lines::store(change.connection(), &invoice.id, &draft.lines).await?;
    let shown = Shown::of(&invoice);
    change.concern(Some(asked.account));
    change
        .audit(
            Some(asked.organization),
            "invoice.issued",
            &invoice.id,
            None::<&Shown>,
            Some(&shown),
        )
        .await?;
    change.tell(EventKind::InvoiceIssued, asked.account, asked.organization, &shown)?;
    metrics::counter!("ringfence_invoices_issued_total").increment(1);
    Ok(Some(shown))
}

async fn insert(
    connection: &mut AnyConnection,
    invoice: &Invoice,
    through_us: i64,
) -> Result<(), Problem> {
    let document = serde_json::to_string(&invoice.document).map_err(Problem::internal)?;
    sqlx::query(
        "INSERT INTO invoices (id, organization_id, account_id, sequence, number, from_us, to_us, through_us, issued_us, \
         currency, lines, charged, net, tax, total, document) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(invoice.id.as_str())
    .bind(invoice.organization.to_string())
    .bind(invoice.account.to_string())
    .bind(invoice.sequence)
    .bind(invoice.number.as_str())
    .bind(invoice.from_us)
    .bind(invoice.to_us)
    .bind(through_us)
    .bind(invoice.issued_us)
    .bind(invoice.currency.code())
    .bind(invoice.lines)
    .bind(invoice.charged.micros())
    .bind(invoice.net.micros())
    .bind(invoice.tax.micros())
    .bind(invoice.total.micros())
    .bind(document)
    .execute(connection)
    .await?;
    Ok(())
}

/// To whom an account's invoice is made out. A deleted account has its last one.
async fn recipient(
    connection: &mut AnyConnection,
    terms: &Terms,
    account: AccountId,
) -> Result<Party, Problem> {
    let row = sqlx::query(
        "SELECT COALESCE(display_name, name) FROM accounts WHERE id = $1 AND organization_id = $2",
    )
    .bind(account.to_string())
    .bind(terms.organization.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let row = row.ok_or_else(Problem::unknown_account)?;
    let said = match account.kind() {
        AccountKind::Organization => terms.settings.recipient.clone(),
        AccountKind::SubAccount => details::find(connection, account).await?,
        AccountKind::Workspace => {
            let problem = "expected a sub-account: the organization pays for its workspaces";
            return Err(Problem::field("account", problem));
        }
    };
    Ok(said.unwrap_or(Party::named(row.try_get(0)?)))
}

async fn names(
    connection: &mut AnyConnection,
    accounts: Vec<AccountId>,
) -> Result<HashMap<AccountId, String>, Problem> {
    let list = rows::list(connection, NAMES_PER_READ);
    let sql = format!("SELECT id, name FROM accounts WHERE id IN ({list})");
    let mut names = HashMap::with_capacity(accounts.len());
    for chunk in accounts.chunks(NAMES_PER_READ) {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for account in chunk.iter().cycle().take(NAMES_PER_READ) {
            query = query.bind(account.to_string());
        }
        for row in query.fetch_all(&mut *connection).await? {
            names.insert(super::account(&row, "id")?, row.try_get("name")?);
        }
    }
    Ok(names)
}
