//! `POST /v1/rate-decks/{deck_id}/versions`: a CSV sheet (`sheet`) becomes the deck's next version, whole
//! or not at all. With `dry_run` nothing is changed, and the answer says what would be.

use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::StatusCode;
use hub::call::Direction;
use hub::clock::SECOND_US;
use hub::costs::{CostKind, CostKinds};
use hub::deck::{DeckVersion, Row, Tariff, part};
use hub::directory::{Change as Published, DeckPart};
use hub::money::{Rounding, RoundingMode};
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::sheet::Sheet;
use super::versions::rows_of;
use super::{Deck, ROUNDING, ROWS_TOLD_MAX, ShownVersion, VERSIONS_MAX, Version, in_force, told};
use crate::Shared;
use crate::account::{Organization, word};
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::{Raw, values};
use crate::problem::{FieldError, Kind, Problem};
use crate::request::Request;
use crate::store::rows::{self, Value};
use crate::usage::csv;

/// The longest sheet, in bytes.
const SHEET_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The latest beginning of a version, in days from its import.
const AHEAD_DAYS_MAX: i64 = 36_525;

/// What the query says of a version.
struct Asked {
    effective_us: Option<i64>,
    rounding: Rounding,
    billed: CostKinds,
    dry_run: bool,
}

/// How a sheet differs from the version that it follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    added: u64,
    removed: u64,
    dearer: u64,
    cheaper: u64,
    /// In other terms than the price of a minute.
    changed: u64,
    unchanged: u64,
}

#[derive(Serialize)]
struct Imported {
    #[serde(flatten)]
    version: ShownVersion,
    changes: Changes,
}

#[derive(Serialize)]
struct Tried {
    dry_run: bool,
    rows: usize,
    bad_lines: usize,
    errors: Vec<FieldError>,
    changes: Changes,
}

pub(crate) fn describe() -> Operation {
    let kinds = CostKind::ALL.map(CostKind::label).join(",");
    let words: Vec<&str> = CostKind::ALL.map(CostKind::label).to_vec();
    let one = format!("({})", words.join("|"));
    let query = [
        (
            "effective_from",
            schema::moment().about("when it comes into force; without it, now. Not before now"),
        ),
        (
            "decimals",
            schema::whole(0..=u32::from(Rounding::DECIMALS_MAX))
                .by_default(Rounding::DECIMALS_MAX)
                .about("of the major unit, to which the price of a whole call is rounded, once"),
        ),
        ("rounding", schema::word(ROUNDING).by_default(word(ROUNDING, &RoundingMode::HalfUp))),
        (
            "billed_costs",
            schema::pattern(&format!("^({one}(,{one})*)?$")).example("llm,telephony").about(format!(
                "which of the costs that are reported at a call's end are charged beside the call: some of {kinds}; without it none, they are only recorded"
            )),
        ),
        ("dry_run", schema::flag().by_default(false).about("change nothing, and say what would be")),
    ];
    let changes = || {
        let count = || schema::count().example(3);
        schema::answered([
            ("added", count()),
            ("removed", count()),
            ("dearer", count()),
            ("cheaper", count()),
            ("changed", count().about("in other terms than the price of a minute")),
            ("unchanged", count()),
        ])
        .about("against the version that it follows")
        .named("RateDeckChanges")
    };
    let error = schema::answered([
        ("field", schema::text().example("line 7: per_minute")),
        ("value", schema::text().may_be_missing()),
        ("problem", schema::text()),
    ]);
    let tried = schema::answered([
        ("dry_run", schema::flag()),
        ("rows", schema::count().about("those of good lines")),
        ("bad_lines", schema::count().about("how many; of the first the errors are shown")),
        ("errors", schema::list(error)),
        ("changes", changes()),
    ]);
    Operation::new(
        "Import a version of a rate deck",
        format!("The body is a CSV sheet whose first line names the columns, in any order: `prefix` (digits, or * for every destination) and `per_minute` (major units), and as needed `direction` (outbound unless it says inbound), `initial_s` and `increment_s` (60), `connect_fee` and `minimum` (0), `blocked` (true: no call may go there). An outbound call is priced by the longest prefix of `to`, an inbound one by that of `from`; without any it is refused. The sheet is the whole version, and is taken whole or not at all; what is wrong is named line by line. At most {} rows.", hub::deck::ROWS_MAX),
    )
    .query(query)
    .body_as(
        csv::MEDIA_TYPE,
        SHEET_BYTES_MAX,
        schema::text(),
        json!("prefix,per_minute,initial_s,increment_s\n91,1.20,60,1\n9199,1.50,60,1\n"),
    )
    .answers(StatusCode::CREATED, "The version.", imported(changes()))
    .answers(StatusCode::OK, "With `dry_run`: what it would be.", tried.named("RateDeckDryRun"))
    .refuses([Kind::UnknownRateDeck])
}

fn imported(changes: Schema) -> Schema {
    ShownVersion::members().with([("changes", changes)]).named("ImportedRateDeckVersion")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let asked = read(&request)?;
    let sheet = Sheet::read(request.bytes(), asked.rounding);
    if asked.dry_run {
        return try_out(&app, &request, &id, &asked, sheet).await;
    }
    refuse_bad(&sheet)?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut deck = Deck::load(change.connection(), &id, &request.access).await?;
    let organization = Organization::load(change.connection(), deck.organization).await?;
    let before = deck.versions(change.connection()).await?;
    let effective_us = asked.effective_us.unwrap_or(now_us).max(now_us);
    refuse_many(change.connection(), &deck, &before, sheet.rows.len()).await?;
    let changes =
        differences(change.connection(), &deck, &before, effective_us, &sheet.rows).await?;
    deck.last_number += 1;
    let parts = part::write(&sheet.rows);
    let version = Version {
        number: deck.last_number,
        effective_us,
        rows: i64::try_from(sheet.rows.len()).map_err(Problem::internal)?,
        parts: i64::try_from(parts.len()).map_err(Problem::internal)?,
        rounding: asked.rounding,
        billed: asked.billed,
        is_told: true,
        created_us: now_us,
    };
    deck.update(change.connection(), now_us).await?;
    insert(change.connection(), &deck, &version, &sheet.rows, &parts).await?;
    let number = u32::try_from(version.number).map_err(Problem::internal)?;
    for (part, bytes) in (0..).zip(parts) {
        change.publish(Published::DeckPart(DeckPart {
            organization: deck.organization,
            version: DeckVersion { deck: deck.id, number },
            part,
            rows: Some(bytes.into()),
        }));
    }
    for told in told::retell(change.connection(), &deck, organization.currency, now_us).await? {
        change.publish(told);
    }
    let versions = deck.versions(change.connection()).await?;
    let shown = ShownVersion::all(deck.id, &versions, now_us);
    let shown = shown.into_iter().find(|shown| shown.version == version.number);
    let shown = shown.ok_or_else(|| Problem::internal("a version that was not written"))?;
    let owner = Some(deck.organization);
    change.audit(owner, "rate_deck.imported", &id, None::<&ShownVersion>, Some(&shown)).await?;
    change.commit(Answer::created(&Imported { version: shown, changes })?).await
}

fn read(request: &Request) -> Result<Asked, Problem> {
    let now_us = hub::clock::now_us();
    let mut query = request.query();
    let effective_us = query.optional("effective_from", moment(now_us));
    let decimals = query
        .optional("decimals", values::whole(0..=u32::from(Rounding::DECIMALS_MAX)))
        .and_then(|decimals| u8::try_from(decimals).ok());
    let mode = query.optional("rounding", values::word(ROUNDING)).unwrap_or(RoundingMode::HalfUp);
    let billed = query.optional("billed_costs", kinds).unwrap_or_default();
    let dry_run = query.optional("dry_run", values::flag).unwrap_or(false);
    query.finish()?;
    let rounding = Rounding::new(decimals.unwrap_or(Rounding::DECIMALS_MAX), mode);
    Ok(Asked { effective_us, rounding: rounding.unwrap_or_default(), billed, dry_run })
}

/// A time that is not past, whole seconds.
fn moment(now_us: i64) -> impl FnOnce(&Raw) -> Result<i64, String> {
    move |raw| {
        let last_us = now_us + AHEAD_DAYS_MAX * 86_400 * SECOND_US;
        let moment = values::text(raw).ok().and_then(|text| crate::timestamp::read(&text));
        // Of the second that has begun.
        let moment = moment.filter(|us| (now_us - SECOND_US..=last_us).contains(us));
        moment.ok_or_else(|| {
            format!("expected a time that is not past, within {AHEAD_DAYS_MAX} days, such as 2030-01-31T12:00:00Z")
        })
    }
}

fn kinds(raw: &Raw) -> Result<CostKinds, String> {
    let text = values::text(raw)?;
    let labels = || CostKind::ALL.map(CostKind::label).join(", ");
    let kind = |word: &str| CostKind::ALL.into_iter().find(|kind| kind.label() == word);
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let kinds: Option<CostKinds> = words.map(kind).collect();
    kinds.ok_or_else(|| format!("expected some of {}, with commas between", labels()))
}

/// Nothing of a sheet is taken when a line of it is wrong.
fn refuse_bad(sheet: &Sheet) -> Result<(), Problem> {
    if sheet.bad_lines == 0 {
        return Ok(());
    }
    Err(Problem::fields(&sheet.errors).with("bad_lines", sheet.bad_lines))
}

async fn try_out(
    app: &Shared,
    request: &Request,
    id: &str,
    asked: &Asked,
    sheet: Sheet,
) -> Result<Answer, Problem> {
    let mut connection = app.store.read().await?;
    let deck = Deck::load(&mut connection, id, &request.access).await?;
    let before = deck.versions(&mut connection).await?;
    refuse_many(&mut connection, &deck, &before, sheet.rows.len()).await?;
    let effective_us = asked.effective_us.unwrap_or_else(hub::clock::now_us);
    let changes = differences(&mut connection, &deck, &before, effective_us, &sheet.rows).await?;
    let Sheet { rows, errors, bad_lines } = sheet;
    Answer::ok(&Tried { dry_run: true, rows: rows.len(), bad_lines, errors, changes })
}

/// Refuses a version more than there may be, and rows more than gateways are to keep.
async fn refuse_many(
    connection: &mut AnyConnection,
    deck: &Deck,
    before: &[Version],
    rows: usize,
) -> Result<(), Problem> {
    if i64::try_from(before.len()).is_ok_and(|count| count >= VERSIONS_MAX) {
        let detail = format!(
            "the deck has {VERSIONS_MAX} versions, the most it may have; begin another deck"
        );
        return Err(Problem::new(Kind::Forbidden, detail).with("limit", VERSIONS_MAX));
    }
    let told = sqlx::query(
        "SELECT CAST(COALESCE(SUM(v.row_count), 0) AS BIGINT) FROM rate_deck_versions v \
         JOIN rate_decks d ON d.id = v.deck_id \
         WHERE d.organization_id = $1 AND d.deleted_us IS NULL AND v.told = 1",
    )
    .bind(deck.organization.to_string())
    .fetch_one(connection)
    .await?
    .try_get::<i64, _>(0)?;
    if i64::try_from(rows).is_ok_and(|rows| told + rows <= ROWS_TOLD_MAX) {
        return Ok(());
    }
    let detail = format!(
        "versions in force and to come have {told} rows and these would be {rows} more: an organization may have {ROWS_TOLD_MAX}; withdraw versions that are to come, or delete decks"
    );
    Err(Problem::new(Kind::Forbidden, detail).with("limit", ROWS_TOLD_MAX))
}

async fn insert(
    connection: &mut AnyConnection,
    deck: &Deck,
    version: &Version,
    all: &[Row],
    parts: &[Vec<u8>],
) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO rate_deck_versions (deck_id, number, effective_us, row_count, parts, decimals, rounding, \
         billed_costs, told, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)",
    )
    .bind(deck.id.to_string())
    .bind(version.number)
    .bind(version.effective_us)
    .bind(version.rows)
    .bind(version.parts)
    .bind(i64::from(version.rounding.decimals()))
    .bind(word(ROUNDING, &version.rounding.mode()))
    .bind(i64::from(version.billed.to_byte()))
    .bind(version.created_us)
    .execute(&mut *connection)
    .await?;
    let firsts = part::firsts(all);
    let written = (0..).zip(parts).zip(firsts).map(|((part, bytes), first)| {
        vec![
            Value::OwnedText(deck.id.to_string()),
            Value::Int(version.number),
            Value::Int(part),
            Value::OwnedText(place(first.direction, &first.prefix.digits().to_string())),
            Value::OwnedText(STANDARD_NO_PAD.encode(bytes)),
        ]
    });
    rows::write(
        connection,
        "INSERT INTO rate_deck_parts (deck_id, number, part, first, body)",
        &written.collect::<Vec<_>>(),
        "",
    )
    .await?;
    Ok(())
}

/// Where a prefix stands in the order of rows, as text.
pub(super) fn place(direction: Direction, digits: &str) -> String {
    let direction = match direction {
        Direction::Inbound => 'i',
        Direction::Outbound => 'o',
    };
    format!("{direction}{digits}")
}

/// Against the version that is in force just before.
async fn differences(
    connection: &mut AnyConnection,
    deck: &Deck,
    before: &[Version],
    effective_us: i64,
    after: &[Row],
) -> Result<Changes, Problem> {
    let former = match in_force(before, effective_us).and_then(|place| before.get(place)) {
        Some(version) => rows_of(connection, deck.id, version.number).await?,
        None => Vec::new(),
    };
    Ok(Changes::between(&former, after))
}

impl Changes {
    /// Of rows in their order.
    fn between(former: &[Row], after: &[Row]) -> Self {
        let key = |row: &Row| (row.direction as u8, row.prefix);
        let mut changes = Self::default();
        let mut former = former.iter().peekable();
        for row in after {
            while former.next_if(|old| key(old) < key(row)).is_some() {
                changes.removed += 1;
            }
            match former.next_if(|old| key(old) == key(row)) {
                None => changes.added += 1,
                Some(old) => *changes.of_prices(old.tariff, row.tariff) += 1,
            }
        }
        changes.removed += former.count() as u64;
        changes
    }

    fn of_prices(&mut self, old: Tariff, new: Tariff) -> &mut u64 {
        match (old, new) {
            (old, new) if old == new => &mut self.unchanged,
            (Tariff::Rate(old), Tariff::Rate(new)) if new.per_minute() > old.per_minute() => {
                &mut self.dearer
            }
            (Tariff::Rate(old), Tariff::Rate(new)) if new.per_minute() < old.per_minute() => {
                &mut self.cheaper
            }
            _ => &mut self.changed,
        }
    }
}
