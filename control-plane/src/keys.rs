//! API keys: made once, shown once, kept as a hash, revoked for good.

use hub::directory::Change;
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::account::new_ulid;
use crate::problem::Problem;
use crate::timestamp;

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

/// Random characters of a key: 32 of 62, 190 bits.
const RANDOM_CHARACTERS: usize = 32;
/// Characters of a secret that are shown later.
const SHOWN_CHARACTERS: usize = 4;
/// Keys that one account may have at a time.
pub(crate) const KEYS_PER_ACCOUNT_MAX: i64 = 1_000;

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

/// Writes a key of a given secret. The caller has made sure that no other key has it.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    new: &NewKey<'_>,
    secret: String,
    now_us: i64,
) -> Result<Issued, sqlx::Error> {
    let hash = KeyHash::of(secret.as_bytes());
    let shown = Shown {
        id: format!("key_{}", new_ulid(now_us).to_string().to_lowercase()),
        name: new.name.to_owned(),
        key_type: new.key_type.label().to_owned(),
        last4: secret
            .chars()
            .skip(secret.chars().count().saturating_sub(SHOWN_CHARACTERS))
            .collect(),
        created_at: timestamp::text(now_us),
    };
    let (scope, account): (&str, Option<AccountId>) = match new.scope {
        KeyScope::Operator => ("operator", None),
        KeyScope::Organization(id) => ("organization", Some(id)),
        KeyScope::Account(id) => ("account", Some(id)),
    };
    sqlx::query(
        "INSERT INTO keys (id, hash, scope, account_id, name, type, last4, origin, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
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
    .execute(connection)
    .await?;
    let scope = if new.key_type == KeyType::Test { new.scope.shadow() } else { new.scope };
    Ok(Issued {
        shown,
        secret,
        change: Change::Key { hash, scope, organization: new.organization },
    })
}

impl Shown {
    /// From the columns `id, name, type, last4, created_us`.
    pub(crate) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            key_type: row.try_get("type")?,
            last4: row.try_get("last4")?,
            created_at: timestamp::text(row.try_get("created_us")?),
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
    Ok(Change::Key { hash, scope, organization })
}

pub(crate) fn hex(hash: KeyHash) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    hash.as_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
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
