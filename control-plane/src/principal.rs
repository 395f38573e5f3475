//! Who asks: the API key of a request and what it opens. Secrets are compared by their hash only and
//! appear in no message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use sqlx::Row as _;

use crate::App;
use crate::problem::{Kind, Problem};

/// The longest secret looked at; set keys have at most 128 characters.
const SECRET_BYTES_MAX: usize = 256;

/// The key that a request came with.
#[derive(Clone)]
pub(crate) struct Principal {
    pub(crate) key_id: String,
    pub(crate) scope: KeyScope,
    /// Kept for the time of the request: stored answers are sealed under it.
    pub(crate) secret: Vec<u8>,
}

/// Finds the principal of a request, or answers 401.
pub(crate) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let mut connection = app.store.read().await?;
    for secret in presented(headers) {
        let row = sqlx::query(
            "SELECT id, scope, account_id, type FROM keys WHERE hash = $1 AND revoked_us IS NULL",
        )
        .bind(crate::keys::hex(KeyHash::of(&secret)))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            let account: Option<String> = row.try_get("account_id")?;
            let scope = scope(row.try_get("scope")?, account.as_deref(), row.try_get("type")?)?;
            return Ok(Principal { key_id: row.try_get("id")?, scope, secret });
        }
    }
    Err(Problem::new(
        Kind::Unauthenticated,
        "send a valid API key as Authorization: Bearer, X-API-Key, or Basic user name or password",
    )
    .with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Basic realm=\"ringfence\", Bearer"),
    ))
}

/// What a key row opens.
pub(crate) fn scope(
    scope: &str,
    account: Option<&str>,
    key_type: &str,
) -> Result<KeyScope, Problem> {
    let account = account.and_then(|id| id.parse::<AccountId>().ok());
    let scope = match (scope, account) {
        ("operator", None) => KeyScope::Operator,
        ("organization", Some(id)) => KeyScope::Organization(id),
        ("account", Some(id)) => KeyScope::Account(id),
        _ => return Err(Problem::internal("a key row with an unknown scope")),
    };
    Ok(if key_type == "test" { scope.shadow() } else { scope })
}

/// The secrets that the headers offer, in order of preference.
fn presented(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
        let credentials = credentials.trim_ascii();
        if scheme.eq_ignore_ascii_case("bearer") {
            secrets.push(credentials.as_bytes().to_vec());
        } else if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(credentials)
        {
            let (user, password) = pair
                .iter()
                .position(|byte| *byte == b':')
                .map_or((&pair[..], &[][..]), |colon| (&pair[..colon], &pair[colon + 1..]));
            secrets.extend([user.to_vec(), password.to_vec()]);
        }
    }
    secrets.extend(headers.get("x-api-key").map(|value| value.as_bytes().to_vec()));
    secrets.retain(|secret| (1..=SECRET_BYTES_MAX).contains(&secret.len()));
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_each_of_its_places() {
        let found = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            presented(&headers)
        };
        assert_eq!(found("authorization", "Bearer k"), [b"k"]);
        assert_eq!(found("authorization", "bearer  k"), [b"k"]);
        assert_eq!(found("x-api-key", "k"), [b"k"]);
        assert_eq!(found("authorization", &format!("Basic {}", STANDARD.encode("k:"))), [b"k"]);
        assert_eq!(found("authorization", &format!("Basic {}", STANDARD.encode(":k"))), [b"k"]);
        assert_eq!(found("authorization", "Digest k"), Vec::<Vec<u8>>::new());
        assert_eq!(found("authorization", "Basic !"), Vec::<Vec<u8>>::new());
    }
}
