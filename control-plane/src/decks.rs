//! Rate decks: what calls cost by direction and destination. An organization has decks, a deck has
//! versions, and a version has rows, which are never changed; accounts, and the organization for those
//! without pricing of their own, name a deck. Rows of versions that are in force or to come are told to
//! gateways, which price by them; here they are kept in the pieces in which they are told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hub::clock::SECOND_US;
use hub::costs::CostKinds;
use hub::deck::{DeckId, DeckVersion, Pricing, VersionConfig};
use hub::directory::{Change as Published, DeckPart};
use hub::id::AccountId;
use hub::money::{Rounding, RoundingMode};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::access::Access;
use crate::account::{Organization, rate, word};
use crate::counters::version_after;
use crate::description::schema::{self, Schema};
use crate::problem::{Kind, Problem};
use crate::timestamp;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod price;
mod sheet;
mod told;
pub(crate) mod versions;

pub(crate) use told::{decks_after, parts_after};

/// Decks of one organization, and versions of one deck.
const DECKS_MAX: i64 = 1_000;
const VERSIONS_MAX: i64 = 10_000;
/// Rows of one organization that gateways are told: each of them keeps them all in memory.
const ROWS_TOLD_MAX: i64 = 4_000_000;
/// How long a deleted one is kept.
const DELETED_KEPT_US: i64 = 7 * 86_400 * SECOND_US;

const ROUNDING: &[(&str, RoundingMode)] = &[
    (RoundingMode::HalfUp.label(), RoundingMode::HalfUp),
    (RoundingMode::Up.label(), RoundingMode::Up),
];

/// A deck as it is stored.
#[derive(Clone, Debug)]
struct Deck {
    id: DeckId,
    organization: AccountId,
    name: String,
    /// Of its last version; 0: it has none yet.
    last_number: i64,
    version: i64,
    created_us: i64,
    updated_us: i64,
}

/// A version as it is stored, without its rows.
#[derive(Clone, Debug)]
struct Version {
    number: i64,
    effective_us: i64,
    rows: i64,
    parts: i64,
    rounding: Rounding,
    billed: CostKinds,
    is_told: bool,
    created_us: i64,
}

const DECK_COLUMNS: &str = "SELECT id, organization_id, name, last_number, version, created_us, updated_us, deleted_us \
     FROM rate_decks";
const VERSION_COLUMNS: &str = "SELECT number, effective_us, row_count, parts, decimals, rounding, billed_costs, told, created_us \
     FROM rate_deck_versions";

impl Deck {
    /// One that the principal sees.
    async fn load(
        connection: &mut AnyConnection,
        id: &str,
        access: &Access,
    ) -> Result<Self, Problem> {
        let found = match id.parse() {
            Ok(id) => Self::find(connection, id).await?,
            Err(_) => None,
        };
        found.filter(|deck| access.sees(deck.organization)).ok_or_else(unknown)
    }

    async fn find(connection: &mut AnyConnection, id: DeckId) -> Result<Option<Self>, Problem> {
        let sql = format!("{DECK_COLUMNS} WHERE id = $1 AND deleted_us IS NULL");
        let row =
            sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).fetch_optional(connection).await?;
        row.as_ref().map(Self::of_row).transpose()
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let (id, organization): (String, String) =
            (row.try_get("id")?, row.try_get("organization_id")?);
        Ok(Self {
            id: id.parse().map_err(Problem::internal)?,
            organization: organization.parse().map_err(Problem::internal)?,
            name: row.try_get("name")?,
            last_number: row.try_get("last_number")?,
            version: row.try_get("version")?,
            created_us: row.try_get("created_us")?,
            updated_us: row.try_get("updated_us")?,
        })
    }

    /// Writes what can change, as the next version of the deck's configuration.
    async fn update(
        &mut self,
        connection: &mut AnyConnection,
        now_us: i64,
    ) -> Result<(), sqlx::Error> {
        self.version = version_after(self.version, now_us);
        self.updated_us = now_us;
        sqlx::query(
            "UPDATE rate_decks SET name = $1, last_number = $2, version = $3, updated_us = $4 WHERE id = $5",
        )
        .bind(self.name.as_str())
        .bind(self.last_number)
        .bind(self.version)
        .bind(now_us)
        .bind(self.id.to_string())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Its versions in the order in which they come into force.
    async fn versions(&self, connection: &mut AnyConnection) -> Result<Vec<Version>, Problem> {
        versions_of(connection, self.id).await
    }
}

async fn versions_of(
    connection: &mut AnyConnection,
    deck: DeckId,
) -> Result<Vec<Version>, Problem> {
    let sql = format!("{VERSION_COLUMNS} WHERE deck_id = $1 ORDER BY effective_us, number");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(deck.to_string()).fetch_all(connection).await?;
    rows.iter().map(Version::of_row).collect()
}

impl Version {
    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let mode: String = row.try_get("rounding")?;
        let mode = ROUNDING.iter().find(|(word, _)| *word == mode).map(|(_, mode)| *mode);
        let decimals = u8::try_from(row.try_get::<i64, _>("decimals")?).ok();
        let rounding =
            mode.zip(decimals).and_then(|(mode, decimals)| Rounding::new(decimals, mode));
        let billed = u8::try_from(row.try_get::<i64, _>("billed_costs")?).ok();
        Ok(Self {
            number: row.try_get("number")?,
            effective_us: row.try_get("effective_us")?,
            rows: row.try_get("row_count")?,
            parts: row.try_get("parts")?,
            rounding: rounding.ok_or_else(|| Problem::internal("a rounding that nobody wrote"))?,
            billed: billed
                .and_then(CostKinds::from_byte)
                .ok_or_else(|| Problem::internal("kinds of costs that nobody wrote"))?,
            is_told: row.try_get::<i64, _>("told")? != 0,
            created_us: row.try_get("created_us")?,
        })
    }

    fn config(&self) -> Result<VersionConfig, Problem> {
        Ok(VersionConfig {
            number: u32::try_from(self.number).map_err(Problem::internal)?,
            effective_us: self.effective_us,
            parts: u32::try_from(self.parts).map_err(Problem::internal)?,
            billed: self.billed,
        })
    }
}

/// The one in force at an instant, of versions in the order in which they come into force.
fn in_force(versions: &[Version], at_us: i64) -> Option<usize> {
    versions.iter().rposition(|version| version.effective_us <= at_us)
}

fn unknown() -> Problem {
    Problem::new(Kind::UnknownRateDeck, "there is no such rate deck")
}

/// Refuses a deck that calls cannot be priced by: another organization's, or one without a version in
/// force. In the transaction that names it.
pub(crate) async fn refuse_unfit(
    connection: &mut AnyConnection,
    organization: AccountId,
    pricing: Option<Pricing>,
    field: &str,
) -> Result<(), Problem> {
    let Some(Pricing::Deck(id)) = pricing else { return Ok(()) };
    let deck = Deck::find(&mut *connection, id).await?;
    let Some(deck) = deck.filter(|deck| deck.organization == organization) else {
        return Err(Problem::field(field, format!("there is no rate deck {id}")));
    };
    let versions = deck.versions(connection).await?;
    if in_force(&versions, hub::clock::now_us()).is_some() {
        return Ok(());
    }
    let problem = format!("no version of {id} is in force yet: calls could not be priced by it");
    Err(Problem::field(field, problem))
}

/// How many accounts and organizations are priced by a deck.
async fn followers(connection: &mut AnyConnection, deck: &Deck) -> Result<i64, Problem> {
    let row = sqlx::query(
        "SELECT CAST((SELECT COUNT(*) FROM accounts WHERE organization_id = $1 AND rate = $2 \
         AND status IN ('active', 'suspended')) AS BIGINT) + \
         CAST((SELECT COUNT(*) FROM organizations WHERE id = $1 AND default_rate = $2) AS BIGINT)",
    )
    .bind(deck.organization.to_string())
    .bind(rate::write(&Pricing::Deck(deck.id)))
    .fetch_one(connection)
    .await?;
    Ok(row.try_get(0)?)
}

/// A part of a version's rows, as gateways are told it.
fn part_of_row(row: &AnyRow, organization: AccountId, deck: DeckId) -> Result<Published, Problem> {
    let (number, part): (i64, i64) = (row.try_get("number")?, row.try_get("part")?);
    let number = u32::try_from(number).map_err(Problem::internal)?;
    Ok(Published::DeckPart(DeckPart {
        organization,
        version: DeckVersion { deck, number },
        part: u32::try_from(part).map_err(Problem::internal)?,
        rows: Some(bytes_of_row(row)?.into()),
    }))
}

fn bytes_of_row(row: &AnyRow) -> Result<Vec<u8>, Problem> {
    let body: String = row.try_get("body")?;
    STANDARD_NO_PAD.decode(body).map_err(Problem::internal)
}

/// Forgets decks that were deleted long ago, with all that they had.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    // One at a time: the rows of one may be many.
    let one = "(SELECT id FROM rate_decks WHERE deleted_us < $1 ORDER BY deleted_us, id LIMIT 1)";
    let before_us = now_us.saturating_sub(DELETED_KEPT_US);
    for (table, column) in
        [("rate_deck_parts", "deck_id"), ("rate_deck_versions", "deck_id"), ("rate_decks", "id")]
    {
        let sql = format!("DELETE FROM {table} WHERE {column} IN {one}");
        sqlx::query(AssertSqlSafe(sql)).bind(before_us).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A deck as answers and the audit show it.
#[derive(Clone, Serialize)]
struct Shown {
    id: String,
    organization_id: String,
    name: String,
    created_at: String,
    updated_at: String,
}

impl Shown {
    fn of(deck: &Deck) -> Self {
        Self {
            id: deck.id.to_string(),
            organization_id: deck.organization.to_string(),
            name: deck.name.clone(),
            created_at: timestamp::text(deck.created_us),
            updated_at: timestamp::text(deck.updated_us),
        }
    }

    fn members() -> Schema {
        schema::answered([
            ("id", schema::id("deck")),
            ("organization_id", schema::account_id(hub::id::AccountKind::Organization)),
            ("name", schema::text().example("Retail, India")),
            ("created_at", schema::time()),
            ("updated_at", schema::time()),
        ])
    }

    fn schema() -> Schema {
        Self::members().named("RateDeck")
    }
}

/// A version as answers and the audit show it.
#[derive(Clone, Serialize)]
struct ShownVersion {
    rate_deck: String,
    version: i64,
    effective_from: String,
    /// Of the instant of the answer.
    state: &'static str,
    rows: i64,
    decimals: u8,
    rounding: &'static str,
    billed_costs: Vec<&'static str>,
    created_at: String,
}

const STATES: [&str; 3] = ["to_come", "in_force", "superseded"];

impl ShownVersion {
    /// All of a deck, the latest first.
    fn all(deck: DeckId, versions: &[Version], now_us: i64) -> Vec<Self> {
        let current = in_force(versions, now_us);
        let shown = |(place, version): (usize, &Version)| {
            let [to_come, of_now, superseded] = STATES;
            let state = match current {
                Some(current) if place < current => superseded,
                Some(current) if place == current => of_now,
                _ => to_come,
            };
            Self {
                rate_deck: deck.to_string(),
                version: version.number,
                effective_from: timestamp::text(version.effective_us),
                state,
                rows: version.rows,
                decimals: version.rounding.decimals(),
                rounding: word(ROUNDING, &version.rounding.mode()),
                billed_costs: version.billed.iter().map(hub::costs::CostKind::label).collect(),
                created_at: timestamp::text(version.created_us),
            }
        };
        versions.iter().enumerate().rev().map(shown).collect()
    }

    fn members() -> Schema {
        schema::answered([
            ("rate_deck", schema::id("deck")),
            ("version", schema::count().example(3)),
            ("effective_from", schema::time()),
            ("state", schema::labels(STATES).about("of the instant of the answer")),
            ("rows", schema::count().example(1200)),
            ("decimals", schema::count().about("of the major unit, to which prices are rounded")),
            ("rounding", schema::word(ROUNDING)),
            (
                "billed_costs",
                schema::list(schema::labels(
                    hub::costs::CostKind::ALL.map(hub::costs::CostKind::label),
                ))
                .about("reported costs that are charged; the others are only recorded"),
            ),
            ("created_at", schema::time()),
        ])
    }

    fn schema() -> Schema {
        Self::members().named("RateDeckVersion")
    }
}

/// The organization whose decks are meant, where the operator asks.
async fn organization(
    connection: &mut AnyConnection,
    access: &Access,
    named: Option<AccountId>,
) -> Result<Organization, Problem> {
    let id = access.organization_or(named)?;
    Organization::load(connection, id).await
}

#[cfg(test)]
mod tests;
