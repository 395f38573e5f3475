//! `Idempotency-Key`: the stored answer of a POST, found again by principal, method, path and key.
//! It is written in the transaction of the change it answers, so of two equal requests at once
//! only one changes anything. Answers may carry a secret, so they are stored sealed under the API
//! key or session that asked; refusals changed nothing and are not stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce};
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row as _};

use crate::answer::Answer;
use crate::principal::Principal;
use crate::problem::{Kind, Problem};

/// The longest `Idempotency-Key`.
const KEY_CHARACTERS_MAX: usize = 255;
/// How long an answer is kept: a day, as clients know it elsewhere.
pub(crate) const KEPT_US: i64 = 86_400 * hub::clock::SECOND_US;
/// Answers forgotten per sweep, so that a sweep never holds the database for long.
const SWEEP_MAX: i64 = 1_000;

/// A request that is to be carried out at most once.
#[derive(Clone)]
pub(crate) struct Idempotency {
    key_id: String,
    method: Method,
    path: String,
    key: String,
    body_hash: String,
    sealing_key: [u8; 32],
}

impl Idempotency {
    /// `None` when the request has no `Idempotency-Key`, is no POST, or is nobody's: what everyone may
    /// send carries a proof that counts once, and its answer is nobody's to ask for again.
    pub(crate) fn of(
        principal: &Principal,
        method: &Method,
        uri: &http::Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) =
            values.next().filter(|_| method == Method::POST && !principal.id.is_empty())
        else {
            return Ok(None);
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| (1..=KEY_CHARACTERS_MAX).contains(&key.len()) && values.next().is_none())
            .filter(|key| !key.contains(char::is_control))
            .ok_or_else(|| {
                Problem::field(
                    "Idempotency-Key",
                    format!(
                        "expected one header of 1 to {KEY_CHARACTERS_MAX} visible ASCII characters"
                    ),
                )
            })?;
        Ok(Some(Self {
            key_id: principal.id.clone(),
            method: method.clone(),
            path: uri.path().to_owned(),
            key: key.to_owned(),
            body_hash: STANDARD.encode(digest(&[uri.query().unwrap_or_default().as_bytes(), body])),
            sealing_key: digest(&[
                b"ringfence stored answer",
                &principal.secret,
                uri.path().as_bytes(),
                key.as_bytes(),
            ]),
        }))
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The answer that was given before, if any. A different body under the same key is refused.
    pub(crate) async fn earlier(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<Option<Answer>, Problem> {
        let row = sqlx::query(
            "SELECT body_hash, status, sealed_body FROM idempotency \
             WHERE key_id = $1 AND method = $2 AND path = $3 AND idempotency_key = $4",
        )
        .bind(self.key_id.as_str())
        .bind(self.method.as_str())
        .bind(self.path.as_str())
        .bind(self.key.as_str())
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<String, _>("body_hash")? != self.body_hash {
            return Err(Problem::new(
                Kind::IdempotencyKeyReused,
                "this Idempotency-Key was used with another body on this path; use a new key for a new request",
            ));
        }
        let status = u16::try_from(row.try_get::<i64, _>("status")?).map_err(Problem::internal)?;
        let body = self.unseal(row.try_get("sealed_body")?)?;
        Ok(Some(Answer::repeated(status, body)))
    }

    /// Keeps the answer, in the transaction of the change.
    pub(crate) async fn keep(
        &self,
        connection: &mut AnyConnection,
        answer: &Answer,
        now_us: i64,
    ) -> Result<(), Problem> {
        sqlx::query(
            "INSERT INTO idempotency (key_id, method, path, idempotency_key, body_hash, status, sealed_body, created_us) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.key_id.as_str())
        .bind(self.method.as_str())
        .bind(self.path.as_str())
        .bind(self.key.as_str())
        .bind(self.body_hash.as_str())
        .bind(i64::from(answer.status().as_u16()))
        .bind(self.seal(answer.body())?)
        .bind(now_us)
        .execute(connection)
        .await?;
        Ok(())
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(Key::from_slice(&self.sealing_key))
    }

    fn seal(&self, body: &[u8]) -> Result<String, Problem> {
        // A fresh nonce: the same key may seal again once the stored answer has been forgotten.
        let nonce: [u8; 12] = rand::random();
        let sealed = self
            .cipher()
            .encrypt(Nonce::from_slice(&nonce), body)
            .map_err(|_| Problem::internal("an answer could not be sealed"))?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    fn unseal(&self, sealed: &str) -> Result<Vec<u8>, Problem> {
        let unreadable = || Problem::internal("a stored answer cannot be read");
        let bytes = STANDARD.decode(sealed).map_err(|_| unreadable())?;
        let (nonce, sealed) = bytes.split_at_checked(12).ok_or_else(unreadable)?;
        self.cipher().decrypt(Nonce::from_slice(nonce), sealed).map_err(|_| unreadable())
    }
}

/// Forgets answers that are older than [`KEPT_US`], at most a bounded number of them.
pub(crate) async fn sweep(connection: &mut AnyConnection, now_us: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM idempotency WHERE created_us < $1 AND created_us <= \
         (SELECT MAX(created_us) FROM (SELECT created_us FROM idempotency ORDER BY created_us LIMIT $2) AS oldest)",
    )
    .bind(now_us.saturating_sub(KEPT_US))
    .bind(SWEEP_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
