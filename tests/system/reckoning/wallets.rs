//! Two organizations of two currencies, with wallets of every kind of price, most of them soon empty.

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;
use support::account::micros;
use support::process::{OPERATOR_KEY, ORGANIZATION_KEY};
use support::{Client, Running};

use super::price::{Deck, Rate, Row, Tariff};

/// Slots are not what is scarce here.
pub const CONCURRENCY: u32 = 100_000;
/// One wallet of so many has enough for everything; of each kind of price some, as it divides by none of
/// their numbers.
const RICH_EVERY: usize = 11;
const RICH: &str = "90000000";

const fn rate(
    per_minute: &'static str,
    increments: (u32, u32),
    connect_fee: &'static str,
    minimum: &'static str,
) -> Rate {
    Rate { per_minute, increments, connect_fee, minimum }
}

const fn row(direction: &'static str, prefix: &'static str, rate: Option<Rate>) -> Row {
    Row { direction, prefix, rate }
}

const RETAIL: Deck = Deck {
    decimals: 4,
    rounds_up: false,
    rows: &[
        row("outbound", "", Some(rate("2.50", (60, 60), "0", "0"))),
        row("outbound", "91", Some(rate("0.4567", (30, 6), "0.01", "0"))),
        row("outbound", "9198", Some(rate("0.987654", (1, 1), "0", "0.05"))),
        row("outbound", "91981", None),
        row("outbound", "1800", Some(rate("0", (60, 60), "0", "0"))),
        row("inbound", "", Some(rate("0.11", (1, 1), "0", "0"))),
        row("inbound", "44", Some(rate("0.33", (60, 1), "0.07", "0"))),
    ],
};

const WHOLE_YEN: Deck = Deck {
    decimals: 0,
    rounds_up: true,
    rows: &[
        row("outbound", "", Some(rate("30", (60, 1), "0", "5"))),
        row("outbound", "9198", Some(rate("8.5", (30, 6), "1", "0"))),
        row("outbound", "91981", None),
        row("inbound", "", Some(rate("1", (1, 1), "0", "0"))),
    ],
};

/// Whom calls are with, before some digits more.
pub const NUMBERS: [(&str, &str); 7] = [
    ("outbound", "4930"),
    ("outbound", "9122"),
    ("outbound", "91987"),
    ("outbound", "91981"),
    ("outbound", "18005"),
    ("inbound", "9122"),
    ("inbound", "4420"),
];

struct Books {
    currency: &'static str,
    /// Of a wallet that is not rich, in whole units, at most.
    recharge_max: u64,
    tariffs: [Tariff; 5],
}

static BOOKS: [Books; 2] = [
    Books {
        currency: "INR",
        recharge_max: 300,
        tariffs: [
            Tariff::Flat(rate("1.20", (60, 60), "0", "0")),
            Tariff::Flat(rate("1.37", (60, 1), "0.15", "0")),
            Tariff::Flat(rate("1.27", (30, 6), "0.003", "1.5")),
            Tariff::Flat(rate("0.999999", (1, 1), "0", "0")),
            Tariff::Deck(&RETAIL),
        ],
    },
    Books {
        currency: "JPY",
        recharge_max: 4_000,
        tariffs: [
            Tariff::Flat(rate("20", (60, 60), "3", "0")),
            Tariff::Flat(rate("18.5", (1, 1), "0", "10")),
            Tariff::Flat(rate("7", (30, 6), "0", "0")),
            Tariff::Deck(&WHOLE_YEN),
            Tariff::Flat(rate("13", (60, 1), "0.000001", "0")),
        ],
    },
];

/// An organization as its administrators reach it.
pub struct Organization {
    pub key: String,
    pub currency: &'static str,
}

pub struct Wallet {
    pub organization: usize,
    pub account: String,
    pub key: String,
    pub tariff: Tariff,
    pub recharged: i64,
    pub is_rich: bool,
}

/// Makes both organizations and so many accounts with wallets of their own.
pub fn create(
    plane: &Running,
    count: usize,
    random: &mut StdRng,
) -> (Vec<Organization>, Vec<Wallet>) {
    let made = json!({
        "name": "Yen", "concurrency_total": CONCURRENCY, "currency": "JPY", "regions": ["india"],
    });
    let yen = plane.control_plane(OPERATOR_KEY).post("/v1/organizations", &made).expect(201);
    let keys = [ORGANIZATION_KEY, yen["api_key"].as_str().expect("a key")];
    let organizations: Vec<Organization> = keys
        .iter()
        .zip(&BOOKS)
        .map(|(key, books)| Organization { key: (*key).to_owned(), currency: books.currency })
        .collect();
    let mut clients: Vec<Client> = keys.iter().map(|key| plane.control_plane(key)).collect();
    let priced: Vec<Vec<_>> = clients
        .iter_mut()
        .zip(&BOOKS)
        .map(|(client, books)| books.tariffs.iter().map(|tariff| member(client, tariff)).collect())
        .collect();
    let wallet = |number: usize| {
        let organization = number % BOOKS.len();
        let (books, client) = (&BOOKS[organization], &mut clients[organization]);
        let kind = number / BOOKS.len() % books.tariffs.len();
        let is_rich = (number / BOOKS.len()).is_multiple_of(RICH_EVERY);
        let (name, price) = &priced[organization][kind];
        let mut members = json!({
            "name": format!("wallet {number}"), "billing_mode": "isolated", "min_concurrency": 0,
        });
        members[name] = price.clone();
        let made = client.post("/v1/sub-accounts", &members).expect(201);
        let account = made["sub_account_id"].as_str().expect("an id").to_owned();
        let amount = if is_rich { RICH.to_owned() } else { amount(books, random) };
        let path = format!("/v1/sub-accounts/{account}/wallet/recharge");
        client.post(&path, &json!({"amount": amount, "currency": books.currency})).success();
        Wallet {
            organization,
            account,
            key: made["api_key"].as_str().expect("a key").to_owned(),
            tariff: books.tariffs[kind],
            recharged: micros(&amount),
            is_rich,
        }
    };
    let wallets = (0..count).map(wallet).collect();
    (organizations, wallets)
}

/// The member of an account that names its price; a deck is imported first.
fn member(client: &mut Client, tariff: &Tariff) -> (&'static str, serde_json::Value) {
    match tariff {
        Tariff::Flat(rate) => ("rate", rate.asked()),
        Tariff::Deck(deck) => {
            let made = client.post("/v1/rate-decks", &json!({"name": "Retail"})).expect(201);
            let id = made["id"].as_str().expect("an id");
            let path = format!("/v1/rate-decks/{id}/versions?{}", deck.rounding());
            let headers = [("Content-Type", "text/csv")];
            let sheet = deck.sheet();
            client
                .request("POST", &path, &headers, sheet.as_bytes())
                .expect("an answer")
                .expect(201);
            ("rate_deck", json!(id))
        }
    }
}

fn amount(books: &Books, random: &mut StdRng) -> String {
    let (whole, fraction) =
        (random.random_range(1..=books.recharge_max), random.random_range(0..1_000_000));
    format!("{whole}.{fraction:06}")
}
