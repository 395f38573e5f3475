//! What gateways are told of rate decks: of each the versions that are in force or to come, and their
//! rows. What is superseded is told to be gone.

use hub::deck::{DeckId, DeckVersion};
use hub::directory::{Change as Published, DeckConfig, DeckPart};
use hub::id::AccountId;
use hub::money::Currency;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{DECK_COLUMNS, Deck, Version, in_force, part_of_row, versions_of};
use crate::account::Organization;
use crate::problem::Problem;
use crate::publish;

/// Parts of rows that are read and told at a time.
const PARTS_PER_PAGE: i64 = 64;
/// Between the parts of a place in the list of all parts: no id has it.
const BETWEEN: char = '/';

/// Settles which versions of a deck are told from now on, and says what gateways are to hear: the
/// deck, and the end of what is not told any more. The rows of a new version are told before.
pub(super) async fn retell(
    connection: &mut AnyConnection,
    deck: &Deck,
    currency: Currency,
    now_us: i64,
) -> Result<Vec<Published>, Problem> {
    let mut versions = deck.versions(&mut *connection).await?;
    let first = in_force(&versions, now_us).unwrap_or(0);
    let mut changes = Vec::new();
    for version in versions.drain(..first).filter(|version| version.is_told) {
        changes.extend(hush(&mut *connection, deck, &version).await?);
    }
    changes.insert(0, Published::Deck(config(deck, currency, &versions)?));
    Ok(changes)
}

/// The rows of a version are told no more.
pub(super) async fn hush(
    connection: &mut AnyConnection,
    deck: &Deck,
    version: &Version,
) -> Result<Vec<Published>, Problem> {
    sqlx::query("UPDATE rate_deck_versions SET told = 0 WHERE deck_id = $1 AND number = $2")
        .bind(deck.id.to_string())
        .bind(version.number)
        .execute(connection)
        .await?;
    let config = version.config()?;
    let gone = |part| {
        Published::DeckPart(DeckPart {
            organization: deck.organization,
            version: DeckVersion { deck: deck.id, number: config.number },
            part,
            rows: None,
        })
    };
    Ok((0..config.parts).map(gone).collect())
}

fn config(deck: &Deck, currency: Currency, told: &[Version]) -> Result<DeckConfig, Problem> {
    Ok(DeckConfig {
        id: deck.id,
        organization: deck.organization,
        version: deck.version.unsigned_abs(),
        currency,
        versions: told.iter().map(Version::config).collect::<Result<_, _>>()?,
    })
}

/// A page of decks as they are told, and the id of the last.
pub(crate) async fn decks_after(
    connection: &mut AnyConnection,
    shard: Option<u8>,
    after: &str,
    limit: i64,
) -> Result<(Option<String>, Vec<Published>), Problem> {
    let rows = publish::told_after(&mut *connection, DECK_COLUMNS, shard, after, limit).await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        let deck = Deck::of_row(row)?;
        if row.try_get::<Option<i64>, _>("deleted_us")?.is_some() {
            changes.push(Published::DeckGone { organization: deck.organization, id: deck.id });
            continue;
        }
        let currency = Organization::load(&mut *connection, deck.organization).await?.currency;
        let mut versions = versions_of(&mut *connection, deck.id).await?;
        versions.retain(|version| version.is_told);
        changes.push(Published::Deck(config(&deck, currency, &versions)?));
    }
    let last = rows.last().map(|row| row.try_get("id")).transpose()?;
    Ok((last, changes))
}

/// A page of the rows that are told, and the place of the last part.
pub(crate) async fn parts_after(
    connection: &mut AnyConnection,
    shard: Option<u8>,
    after: &str,
) -> Result<(Option<String>, Vec<Published>), Problem> {
    let (deck, number, part) = place(after)?;
    let of_shard = match shard {
        None => "",
        Some(_) => " AND d.organization_id IN (SELECT id FROM organizations WHERE shard = $5)",
    };
    let sql = format!(
        "SELECT p.deck_id, p.number, p.part, p.body, d.organization_id FROM rate_deck_parts p \
         JOIN rate_deck_versions v ON v.deck_id = p.deck_id AND v.number = p.number \
         JOIN rate_decks d ON d.id = p.deck_id \
         WHERE v.told = 1 AND d.deleted_us IS NULL AND (p.deck_id > $1 OR p.deck_id = $1 AND \
         (p.number > $2 OR p.number = $2 AND p.part > $3)){of_shard} \
         ORDER BY p.deck_id, p.number, p.part LIMIT $4"
    );
    let mut query =
        sqlx::query(AssertSqlSafe(sql)).bind(deck).bind(number).bind(part).bind(PARTS_PER_PAGE);
    if let Some(shard) = shard {
        query = query.bind(i64::from(shard));
    }
    let rows = query.fetch_all(connection).await?;
    let change = |row: &AnyRow| {
        let (deck, organization): (String, String) =
            (row.try_get("deck_id")?, row.try_get("organization_id")?);
        let organization: AccountId = organization.parse().map_err(Problem::internal)?;
        let deck: DeckId = deck.parse().map_err(Problem::internal)?;
        part_of_row(row, organization, deck)
    };
    let last = rows.last().map(|row| {
        let deck: String = row.try_get("deck_id")?;
        let (number, part): (i64, i64) = (row.try_get("number")?, row.try_get("part")?);
        Ok::<_, sqlx::Error>(format!("{deck}{BETWEEN}{number}{BETWEEN}{part}"))
    });
    Ok((last.transpose()?, rows.iter().map(change).collect::<Result<_, Problem>>()?))
}

/// The place that [`parts_after`] gave; that before the first is empty.
fn place(text: &str) -> Result<(&str, i64, i64), Problem> {
    if text.is_empty() {
        return Ok(("", 0, 0));
    }
    let mut words = text.split(BETWEEN);
    let mut next = || words.next().unwrap_or_default();
    let (deck, number, part) = (next(), next(), next());
    let number = number.parse().map_err(Problem::internal)?;
    Ok((deck, number, part.parse().map_err(Problem::internal)?))
}
