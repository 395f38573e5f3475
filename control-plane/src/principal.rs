//! Who asks: the API key or the session of a request and what it opens. Secrets are compared by their
//! hash only and appear in no message.
//!
//! A user acts in one account at a time: in the only one that it is a member of, or in the one that
//! the header `Ringfence-Account` names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use sqlx::Row as _;

use crate::App;
use crate::members::{self, Membership};
use crate::problem::{Kind, Problem};
use crate::sessions::{self, cookie};
use crate::users::User;

/// Names the account that a user acts in.
pub(crate) const ACCOUNT_HEADER: &str = "ringfence-account";

/// The longest secret looked at; set keys have at most 128 characters.
const SECRET_BYTES_MAX: usize = 256;

/// Who a request comes from.
#[derive(Clone)]
pub(crate) struct Principal {
    /// Of the key or session: what stored answers belong to.
    pub(crate) id: String,
    pub(crate) identity: Identity,
    /// Kept for the time of the request: stored answers are sealed under it.
    pub(crate) secret: Vec<u8>,
}

#[derive(Clone)]
pub(crate) enum Identity {
    /// On routes that are open to everyone.
    Nobody,
    Key(KeyScope),
    User(Box<SignedIn>),
}

/// A user with the accounts that it may act in.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) memberships: Vec<Membership>,
    /// The account named by the request.
    named: Option<String>,
}

impl SignedIn {
    /// The account that the user acts in: the one named, else the only one.
    pub(crate) fn acting(&self) -> Result<&Membership, Problem> {
        match (&self.named, &self.memberships[..]) {
            (Some(named), memberships) => memberships
                .iter()
                .find(|membership| membership.account.to_string() == *named)
                .ok_or_else(Problem::unknown_account),
            (None, [only]) => Ok(only),
            (None, []) => Err(Problem::new(
                Kind::Forbidden,
                "the user is a member of no organization and no account",
            )),
            (None, _) => Err(Problem::field(
                ACCOUNT_HEADER,
                "expected the id of one of the accounts that GET /v1/me lists: the user is a member of several",
            )),
        }
    }
}

impl Principal {
    pub(crate) const fn nobody() -> Self {
        Self { id: String::new(), identity: Identity::Nobody, secret: Vec::new() }
    }
}

/// Finds the principal of a request, or answers 401. A cookie counts only without any key.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    now_us: i64,
) -> Result<Principal, Problem> {
    let mut connection = app.store.read().await?;
    let secrets = presented(headers);
    for secret in &secrets {
        let row = sqlx::query(
            "SELECT id, scope, account_id, type FROM keys WHERE hash = $1 AND revoked_us IS NULL",
        )
        .bind(crate::keys::hex(KeyHash::of(secret)))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            let account: Option<String> = row.try_get("account_id")?;
            let scope = scope(row.try_get("scope")?, account.as_deref(), row.try_get("type")?)?;
            let identity = Identity::Key(scope);
            return Ok(Principal { id: row.try_get("id")?, identity, secret: secret.clone() });
        }
    }
    let Some(secret) = cookie::presented(headers).filter(|_| secrets.is_empty()) else {
        return Err(Problem::unauthenticated());
    };
    let session = sessions::find(&mut connection, &secret, now_us).await?;
    let session = session.ok_or_else(Problem::unauthenticated)?;
    app.uses.note(&session, now_us);
    let memberships = members::of_user(&mut connection, &session.user.id).await?;
    let named = headers.get(ACCOUNT_HEADER).map(|value| value.to_str().unwrap_or_default());
    let signed_in = SignedIn { user: session.user, memberships, named: named.map(str::to_owned) };
    Ok(Principal { id: session.id, identity: Identity::User(Box::new(signed_in)), secret })
}

/// Refuses a change that another site made the browser of a user ask for. `X-Requested-With` cannot
/// be sent across sites without leave, which is never given; an `Origin` says where a page is from.
/// Without a cookie (`is_needed` false) only an `Origin` that is elsewhere is refused.
pub(crate) fn refuse_forgery(headers: &HeaderMap, is_needed: bool) -> Result<(), Problem> {
    if headers.contains_key("x-requested-with") {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = headers.get(header::ORIGIN).map(|_| {
        let from = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
        from.is_some_and(|(_, authority)| text(header::HOST) == Some(authority))
    });
    if origin.unwrap_or(!is_needed) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Forbidden,
        "a change by a session needs the header X-Requested-With, or an Origin that is this host",
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

    #[test]
    fn a_change_by_cookie_shows_that_no_other_site_asked_for_it() {
        let refused = |headers: &[(&'static str, &str)], is_needed| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a header value"));
            }
            refuse_forgery(&map, is_needed).is_err()
        };
        assert!(!refused(&[("x-requested-with", "fetch")], true));
        assert!(!refused(&[("host", "a:1"), ("origin", "http://a:1")], true));
        assert!(!refused(&[], false));
        assert!(refused(&[], true));
        for origin in ["http://b:1", "http://a", "null", "http://a:1.b", "a:1"] {
            assert!(refused(&[("host", "a:1"), ("origin", origin)], true), "{origin}");
            assert!(refused(&[("host", "a:1"), ("origin", origin)], false), "{origin}");
        }
    }
}
