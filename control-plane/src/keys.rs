//! API keys: made once, shown once, kept as a hash; they end by a revocation, a rotation or their
//! expiry, for good.

use hub::directory::Change;
use hub::id::{AccountId, AccountKind};
use hub::key::{KeyHash, KeyScope};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::description::schema::{self, Schema};
use crate::id::new_id;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::timestamp;
use crate::uses::{Used, Uses};

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod retire;
pub(crate) mod revoke;
pub(crate) mod rotate;

/// Random characters of a key: 32 of 62, 190 bits.
const RANDOM_CHARACTERS: usize = 32;
/// Characters of a secret that are shown later.
const SHOWN_CHARACTERS: usize = 4;
/// Keys that one account may have at a time.
const KEYS_PER_ACCOUNT_MAX: i64 = 1_000;
/// The longest that a key lives that ends by itself.
const LIFE_DAYS_MAX: i64 = 3_653;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Live,
    /// Acts on the account's shadow: never billed.
    Test,
}

impl KeyType {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("live", Self::Live), ("test", Self::Test)];

    const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Generated at the first start or set from outside.
    Start,
    /// Made through the API.
    Issued,
}

/// A key as it is shown after its creation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) id: String,
    name: String,
    #[serde(rename = "type")]
    key_type: String,
    last4: String,
    created_at: String,
    /// From when on it opens nothing.
    expires_at: Option<String>,
    /// To the minute.
    last_used_at: Option<String>,
}

/// A key that was just made, with its secret.
pub(crate) struct Issued {
    pub(crate) shown: Shown,
    pub(crate) secret: String,
    pub(crate) change: Change,
}

/// What a key is to be.
pub(crate) struct NewKey<'a> {
    pub(crate) scope: KeyScope,
    /// Whose accounts it opens; `None` is a key of the operator.
    pub(crate) organization: Option<AccountId>,
    pub(crate) name: &'a str,
    pub(crate) key_type: KeyType,
    pub(crate) origin: Origin,
    /// From when on it opens nothing; `None`: it stands until it is revoked.
    pub(crate) expires_us: Option<i64>,
}

/// The key that a path names.
#[derive(Deserialize)]
pub(crate) struct Named {
    key_id: String,
}

/// What a live key of an account opens: the account, of an organization all of it.
pub(crate) const fn scope_of(account: AccountId) -> KeyScope {
    match account.kind() {
        AccountKind::Organization => KeyScope::Organization(account),
        AccountKind::SubAccount | AccountKind::Workspace => KeyScope::Account(account),
    }
}

/// Makes a key with a fresh secret.
pub(crate) async fn issue(
    connection: &mut AnyConnection,
    new: &NewKey<'_>,
    now_us: i64,
) -> Result<Issued, sqlx::Error> {
    insert(connection, new, secret(new.key_type), now_us).await
}

/// A fresh secret of the ordinary form.
pub(crate) fn secret(key_type: KeyType) -> String {
    format!("rf_{}_{}", key_type.label(), random())
}

/// The random part of a secret, 190 bits.
pub(crate) fn random() -> String {
    rand::rng().sample_iter(Alphanumeric).take(RANDOM_CHARACTERS).map(char::from).collect()
}

/// What is shown of a secret later.
pub(crate) fn last4(secret: &str) -> String {
    secret.chars().skip(secret.chars().count().saturating_sub(SHOWN_CHARACTERS)).collect()
}

/// Writes a key of a given secret. The caller has made sure that no other key has it.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    new: &NewKey<'_>,
    secret: String,
    now_us: i64,
) -> Result<Issued, sqlx::Error> {
    let hash = KeyHash::of(secret.as_bytes());
    let shown = Shown {
        id: new_id("key", now_us),
        name: new.name.to_owned(),
        key_type: new.key_type.label().to_owned(),
        last4: last4(&secret),
        created_at: timestamp::text(now_us),
        expires_at: new.expires_us.map(timestamp::text),
        last_used_at: None,
    };
    let (scope, account): (&str, Option<AccountId>) = match new.scope {
        KeyScope::Operator => ("operator", None),
        KeyScope::Organization(id) => ("organization", Some(id)),
        KeyScope::Account(id) => ("account", Some(id)),
    };
    sqlx::query(
        "INSERT INTO keys (id, hash, scope, account_id, name, type, last4, origin, created_us, expires_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(shown.id.as_str())
    .bind(hex(hash))
    .bind(scope)
    .bind(account.map(|id| id.to_string()))
    .bind(new.name)
    .bind(new.key_type.label())
    .bind(shown.last4.as_str())
    .bind(match new.origin {
        Origin::Start => "start",
        Origin::Issued => "issued",
    })
    .bind(now_us)
    .bind(new.expires_us)
    .execute(connection)
    .await?;
    let scope = if new.key_type == KeyType::Test { new.scope.shadow() } else { new.scope };
    Ok(Issued {
        shown,
        secret,
        change: Change::Key {
            hash,
            scope,
            organization: new.organization,
            expires_us: new.expires_us,
        },
    })
}

/// Notes that a key was used, wherever that was; it is written soon, to the minute.
pub(crate) fn note_use(uses: &Uses, hash: KeyHash, at_us: i64) {
    uses.note(Used::Key(hash), at_us);
}

/// Refuses one more key where an account has all it may have.
async fn check_room(connection: &mut AnyConnection, account: AccountId) -> Result<(), Problem> {
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys WHERE account_id = $1 AND revoked_us IS NULL",
    )
    .bind(account.to_string())
    .fetch_one(connection)
    .await?;
    if count.try_get::<i64, _>(0)? < KEYS_PER_ACCOUNT_MAX {
        return Ok(());
    }
    let detail = format!(
        "the account has {KEYS_PER_ACCOUNT_MAX} API keys, the most it may have; revoke one first"
    );
    Err(Problem::new(Kind::Forbidden, detail).with("limit", KEYS_PER_ACCOUNT_MAX))
}

/// The columns that [`Shown::of_row`] reads.
const COLUMNS: &str = "id, name, type, last4, created_us, expires_us, last_used_us";

impl Shown {
    fn members() -> Schema {
        schema::answered([
            ("id", schema::id("key")),
            ("name", schema::text().example("Acme Corp Production Key")),
            ("type", schema::word(KeyType::WORDS)),
            ("last4", schema::text().about("the end of its secret").example("b0dC")),
            ("created_at", schema::time()),
            ("expires_at", schema::time().or_null().about("from when on it opens nothing")),
            ("last_used_at", schema::time().or_null().about("to the minute")),
        ])
    }

    pub(crate) fn schema() -> Schema {
        Self::members().named("ApiKey")
    }

    /// The tag of what a key is: its use does not change it.
    pub(crate) fn tag(&self) -> Result<Tag, Problem> {
        Tag::of(&(&self.id, &self.name, &self.key_type, &self.expires_at))
    }

    /// From [`COLUMNS`].
    pub(crate) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            key_type: row.try_get("type")?,
            last4: row.try_get("last4")?,
            created_at: timestamp::text(row.try_get("created_us")?),
            expires_at: row.try_get::<Option<i64>, _>("expires_us")?.map(timestamp::text),
            last_used_at: row.try_get::<Option<i64>, _>("last_used_us")?.map(timestamp::text),
        })
    }
}

/// What the hub is told of a key row, with its organization: that it opens something, or nothing any more.
pub(crate) fn change(row: &AnyRow) -> Result<Change, Problem> {
    let hash = of_hex(&row.try_get::<String, _>("hash")?)?;
    let organization: Option<String> = row.try_get("organization_id")?;
    let organization = organization.and_then(|id| id.parse().ok());
    if row.try_get::<Option<i64>, _>("revoked_us")?.is_some() {
        return Ok(Change::KeyGone { hash, organization });
    }
    let (scope, key_type): (String, String) = (row.try_get("scope")?, row.try_get("type")?);
    let account: Option<String> = row.try_get("account_id")?;
    let scope = crate::principal::scope(&scope, account.as_deref(), &key_type)?;
    Ok(Change::Key { hash, scope, organization, expires_us: row.try_get("expires_us")? })
}

pub(crate) fn hex(hash: KeyHash) -> String {
    hexadecimal(hash.as_bytes())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(crate) fn of_hex(text: &str) -> Result<KeyHash, Problem> {
    let unreadable = || Problem::internal("a key hash cannot be read");
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return Err(unreadable());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte =
            u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| unreadable())?;
    }
    Ok(KeyHash::from_bytes(bytes))
}
