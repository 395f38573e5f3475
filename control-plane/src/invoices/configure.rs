//! `GET` and `PATCH /v1/organization/invoicing`, by the operator `/v1/organizations/{id}/invoicing`: how the
//! organization issues invoices.

use axum::extract::State;
use http::StatusCode;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::party::Party;
use super::terms::{Settings, Tax, Terms};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::schema::{self, Schema};
use crate::description::{Operation, schema as described};
use crate::fields::{Fields, Given, Raw, values};
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;
use crate::timestamp;
use crate::usage::interval;

/// Taxes on one document.
const TAXES_MAX: usize = 8;
/// Hundredths of a percent: up to 100 %.
const RATE_BP: std::ops::RangeInclusive<u32> = 0..=10_000;
/// The longest prefix of numbers, in characters: ten and six digits are what tax offices take.
const PREFIX_CHARACTERS_MAX: usize = 10;
/// Days that records may have to arrive.
const AFTER_DAYS: std::ops::RangeInclusive<u32> = 0..=28;
/// The longest note, in characters.
const NOTE_CHARACTERS_MAX: usize = 500;

/// The settings as answers and the audit show them.
#[derive(Serialize)]
struct Shown<'a> {
    issuer: Option<&'a Party>,
    recipient: Option<&'a Party>,
    invoice_prefix: &'a str,
    credit_note_prefix: &'a str,
    taxes: &'a [Tax],
    time_zone: &'a str,
    automatic: bool,
    issue_after_days: u32,
    /// Null until something is configured.
    starts_at: Option<String>,
    note: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(terms: &'a Terms) -> Self {
        let Settings {
            issuer,
            recipient,
            invoice_prefix,
            credit_note_prefix,
            taxes,
            time_zone,
            issue_after_days,
            note,
        } = &terms.settings;
        Self {
            issuer: issuer.as_ref(),
            recipient: recipient.as_ref(),
            invoice_prefix,
            credit_note_prefix,
            taxes,
            time_zone,
            automatic: terms.automatic,
            issue_after_days: *issue_after_days,
            starts_at: terms.starts_us.map(timestamp::text),
            note: note.as_deref(),
        }
    }

    fn schema() -> Schema {
        let tax = schema::answered([
            ("name", schema::text().example("CGST")),
            ("rate_bp", schema::count().example(900)),
        ]);
        schema::answered([
            ("issuer", Party::schema().or_null()),
            ("recipient", Party::schema().or_null()),
            ("invoice_prefix", schema::text().example("INV-")),
            ("credit_note_prefix", schema::text().example("CN-")),
            ("taxes", schema::list(tax)),
            ("time_zone", schema::text().example("Asia/Kolkata")),
            ("automatic", schema::flag()),
            ("issue_after_days", schema::count()),
            ("starts_at", schema::time().or_null().about("calls admitted before it are never invoiced; null until something is configured")),
            ("note", schema::text().or_null()),
        ])
        .named("Invoicing")
    }
}

struct Patch {
    issuer: Given<Party>,
    recipient: Given<Party>,
    invoice_prefix: Option<String>,
    credit_note_prefix: Option<String>,
    taxes: Option<Vec<Tax>>,
    time_zone: Option<String>,
    automatic: Option<bool>,
    issue_after_days: Option<u32>,
    starts_us: Option<i64>,
    note: Given<String>,
}

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read how invoices are issued",
        "Who issues, to whom, taxes, prefixes of numbers, whose calendar.",
    )
    .answers(StatusCode::OK, "As it is now.", Shown::schema())
    .tagged()
}

pub(crate) fn describe_patch() -> Operation {
    let tax = described::asked([
        ("name", described::name().required().example("CGST")),
        (
            "rate_bp",
            described::whole(RATE_BP).required().about("hundredths of a percent: 900 is 9 %"),
        ),
    ]);
    let prefix = || {
        described::pattern("^([A-Za-z0-9/-]{0,9}[A-Za-z/-])?$")
            .about("of numbers; ends in no digit, so that a number is never taken for another")
    };
    let note = described::characters(1..=NOTE_CHARACTERS_MAX);
    let body = described::asked([
        ("issuer", Party::asked().or_null()),
        ("recipient", Party::asked().or_null().about("to whom the organization's own invoices are made out; null: its name")),
        ("invoice_prefix", prefix().example("INV-")),
        ("credit_note_prefix", prefix().example("CN-")),
        ("taxes", described::list(tax).items(0..=TAXES_MAX).about("each on the net; stand for all that there are")),
        ("time_zone", described::text().example("Asia/Kolkata").about("whose months")),
        ("automatic", described::flag().about("months are invoiced by themselves")),
        ("issue_after_days", described::whole(AFTER_DAYS).about("days between the end of a month and its invoices, in which records may arrive")),
        ("starts_at", described::moment().about("calls admitted before it are never invoiced; the beginning of the month, unless given; stays once something was issued")),
        ("note", note.or_null().about("what stands at the end of every document")),
    ]);
    let example = json!({
        "issuer": {"legal_name": "Acme Voice Private Limited", "address": ["12 MG Road", "Bengaluru 560001"],
            "tax_id": "29ABCDE1234F1Z5", "email": "accounts@example.com"},
        "taxes": [{"name": "CGST", "rate_bp": 900}, {"name": "SGST", "rate_bp": 900}],
        "time_zone": "Asia/Kolkata", "automatic": true
    });
    Operation::new("Change how invoices are issued", "Merges what is given; null removes. Counts for what is issued from now on: what was issued stays as it is.")
        .body(body, example)
        .answers(StatusCode::OK, "As it is now.", Shown::schema())
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let organization = request.access.organization()?;
    let mut connection = app.store.read().await?;
    let terms = Terms::load(&mut connection, organization).await?;
    let shown = Shown::of(&terms);
    let tag = Tag::of(&shown)?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    Answer::ok(&shown)?.tagged(&tag)
}

pub(crate) async fn patch(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let patch = read(&request)?;
    let organization = request.access.organization()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let before = Terms::load(change.connection(), organization).await?;
    request.preconditions.check(&Tag::of(&Shown::of(&before))?)?;
    let mut terms = before.clone();
    patch.merge_into(&mut terms, now_us)?;
    terms.store(change.connection(), now_us).await?;
    let shown = Shown::of(&terms);
    let (action, subject) = ("invoicing.updated", organization.to_string());
    change
        .audit(Some(organization), action, &subject, Some(&Shown::of(&before)), Some(&shown))
        .await?;
    let tag = Tag::of(&shown)?;
    let answer = Answer::ok(&shown)?.tagged(&tag)?;
    change.commit(answer).await
}

fn read(request: &Request) -> Result<Patch, Problem> {
    let mut fields = request.body()?;
    let patch = Patch {
        issuer: Party::given(&mut fields, "issuer"),
        recipient: Party::given(&mut fields, "recipient"),
        invoice_prefix: fields.optional("invoice_prefix", prefix),
        credit_note_prefix: fields.optional("credit_note_prefix", prefix),
        taxes: fields.optional_objects("taxes", TAXES_MAX, tax),
        time_zone: fields.optional("time_zone", time_zone),
        automatic: fields.optional("automatic", values::flag),
        issue_after_days: fields.optional("issue_after_days", values::whole(AFTER_DAYS)),
        starts_us: fields.optional("starts_at", moment),
        note: fields.given("note", note),
    };
    fields.finish()?;
    Ok(patch)
}

impl Patch {
    fn merge_into(self, terms: &mut Terms, now_us: i64) -> Result<(), Problem> {
        let settings = &mut terms.settings;
        settings.issuer = self.issuer.merged(settings.issuer.take());
        settings.recipient = self.recipient.merged(settings.recipient.take());
        settings.note = self.note.merged(settings.note.take());
        for (given, present) in [
            (self.invoice_prefix, &mut settings.invoice_prefix),
            (self.credit_note_prefix, &mut settings.credit_note_prefix),
            (self.time_zone, &mut settings.time_zone),
        ] {
            if let Some(given) = given {
                *present = given;
            }
        }
        if let Some(taxes) = self.taxes {
            settings.taxes = taxes;
        }
        settings.issue_after_days = self.issue_after_days.unwrap_or(settings.issue_after_days);
        terms.automatic = self.automatic.unwrap_or(terms.automatic);
        if terms.automatic && settings.issuer.is_none() {
            return Err(Problem::field(
                "automatic",
                "expected an issuer to be named first, or together with it",
            ));
        }
        let starts_us = match (self.starts_us, terms.starts_us) {
            (Some(given), Some(present)) if given != present && terms.invoices > 0 => {
                let problem =
                    format!("expected {}: invoices were issued since", timestamp::text(present));
                return Err(Problem::field("starts_at", problem));
            }
            (Some(given), _) => given,
            (None, Some(present)) => present,
            (None, None) => {
                let zone = TimeZone::get(&settings.time_zone).map_err(Problem::internal)?;
                interval::month_start_us(now_us, &zone)
            }
        };
        if terms.starts_us != Some(starts_us) {
            terms.done_us = starts_us;
        }
        terms.starts_us = Some(starts_us);
        Ok(())
    }
}

fn tax(fields: &mut Fields) -> Option<Tax> {
    let name = fields.required("name", values::name);
    let rate_bp = fields.required("rate_bp", values::whole(RATE_BP));
    Some(Tax { name: name?, rate_bp: rate_bp? })
}

fn prefix(raw: &Raw) -> Result<String, String> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-/".contains(character);
    let fits = |text: &String| {
        text.len() <= PREFIX_CHARACTERS_MAX
            && text.chars().all(is_plain)
            && !text.ends_with(|last: char| last.is_ascii_digit())
    };
    values::text(raw).ok().filter(fits).ok_or_else(|| {
        format!(
            "expected at most {PREFIX_CHARACTERS_MAX} letters, digits, hyphens and slashes, no digit at the end"
        )
    })
}

fn time_zone(raw: &Raw) -> Result<String, String> {
    interval::zone(raw)?;
    values::text(raw)
}

fn moment(raw: &Raw) -> Result<i64, String> {
    let us = values::text(raw).ok().and_then(|text| timestamp::read(&text));
    us.ok_or_else(|| "expected a date (2025-06-25) or a time (2025-06-25T10:00:00Z)".to_owned())
}

fn note(raw: &Raw) -> Result<String, String> {
    let fits = |text: &String| {
        (1..=NOTE_CHARACTERS_MAX).contains(&text.chars().count())
            && !text.chars().any(|character| character.is_control() && character != '\n')
    };
    values::text(raw).ok().filter(fits).ok_or_else(|| {
        format!("expected 1 to {NOTE_CHARACTERS_MAX} characters, line breaks the only control characters")
    })
}
