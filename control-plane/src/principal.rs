//! Who asks: the API key, the API token or the session of a request and what it opens. Secrets are compared by their
//! hash only and appear in no message.
//!
//! A user acts in one account at a time: in the only one that it is a member of, or in the one that
//! the header `Ringfence-Account` names; or, under a delegation, in the account that is for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use sqlx::{AnyConnection, Row as _};

use crate::access::Reach;
use crate::delegations::{self, Delegation};
use crate::members::{self, Membership};
use crate::permission::{Grade, Permit};
use crate::problem::{Kind, Problem};
use crate::sessions::{self, cookie};
use crate::users::User;
use crate::uses::{self, Used};
use crate::{App, keys, tokens};

/// Names the account that a user acts in.
pub(crate) const ACCOUNT_HEADER: &str = "ringfence-account";

/// The longest secret looked at; set keys have at most 128 characters.
const SECRET_BYTES_MAX: usize = 256;

/// Who a request comes from.
#[derive(Clone)]
pub(crate) struct Principal {
    /// Of the key, token or session: what stored answers belong to.
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
    pub(crate) by: By,
    /// Where it is for its organization, as nothing else than that.
    delegation: Option<Delegation>,
}

/// What a user shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Session,
    Token(Reach),
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

    /// Under a delegation its answers belong to that.
    fn user(id: String, user: SignedIn, secret: Vec<u8>) -> Self {
        let id = user.delegation.as_ref().map_or(id, |delegation| delegation.id.clone());
        Self { id, identity: Identity::User(Box::new(user)), secret }
    }

    /// The delegation that a user acts under.
    pub(crate) fn delegation(&self) -> Option<&Delegation> {
        match &self.identity {
            Identity::User(user) => user.delegation.as_ref(),
            Identity::Nobody | Identity::Key(_) => None,
        }
    }

    pub(crate) fn is_session(&self) -> bool {
        matches!(&self.identity, Identity::User(user) if user.by == By::Session)
    }

    /// Whether it may change what it may read.
    pub(crate) fn reach(&self) -> Reach {
        match &self.identity {
            Identity::Nobody | Identity::Key(_) => Reach::Write,
            Identity::User(user) => match (user.by, &user.delegation) {
                (By::Token(Reach::Read), _) => Reach::Read,
                (By::Session | By::Token(Reach::Write), None) => Reach::Write,
                (By::Session | By::Token(Reach::Write), Some(delegation)) => delegation.reach,
            },
        }
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
        let hash = KeyHash::of(secret);
        let row = sqlx::query(
            "SELECT id, scope, account_id, type, last_used_us FROM keys \
             WHERE hash = $1 AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $2)",
        )
        .bind(keys::hex(hash))
        .bind(now_us)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            if headers.contains_key(delegations::HEADER) {
                let problem =
                    "a key acts under no delegation: send the session or API token of its user";
                return Err(Problem::field(delegations::HEADER, problem));
            }
            if uses::is_worth_noting(row.try_get("last_used_us")?, now_us) {
                keys::note_use(&app.uses, hash, now_us);
            }
            let account: Option<String> = row.try_get("account_id")?;
            let scope = scope(row.try_get("scope")?, account.as_deref(), row.try_get("type")?)?;
            refuse_another_account(headers, scope)?;
            let identity = Identity::Key(scope);
            return Ok(Principal { id: row.try_get("id")?, identity, secret: secret.clone() });
        }
    }
    for secret in &secrets {
        if let Some(token) = tokens::find(&mut connection, secret, now_us).await? {
            if uses::is_worth_noting(token.last_used_us, now_us) {
                app.uses.note(Used::Token(token.id.clone()), now_us);
            }
            let by = By::Token(token.reach);
            let user = signed_in(&mut connection, headers, token.user, by, now_us).await?;
            return Ok(Principal::user(token.id, user, secret.clone()));
        }
    }
    let Some(secret) = cookie::presented(headers).filter(|_| secrets.is_empty()) else {
        return Err(Problem::unauthenticated());
    };
    let session = sessions::find(&mut connection, &secret, now_us).await?;
    let session = session.ok_or_else(Problem::unauthenticated)?;
    if uses::is_worth_noting(Some(session.last_used_us), now_us) {
        app.uses.note(Used::Session(session.id.clone()), now_us);
    }
    let user = signed_in(&mut connection, headers, session.user, By::Session, now_us).await?;
    Ok(Principal::user(session.id, user, secret))
}

/// A user with what it may act in, as of now.
async fn signed_in(
    connection: &mut AnyConnection,
    headers: &HeaderMap,
    user: User,
    by: By,
    now_us: i64,
) -> Result<SignedIn, Problem> {
    let memberships = members::of_user(connection, &user.id).await?;
    let named = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (account, delegation) = (named(ACCOUNT_HEADER), named(delegations::HEADER));
    let delegation = match delegation {
        None => None,
        Some(_) if account.is_some() => {
            let problem = "a delegation says which account it is for: leave one of the headers out";
            return Err(Problem::field(ACCOUNT_HEADER, problem));
        }
        Some(id) => {
            let found = delegations::find(connection, id, &user.id, now_us).await?;
            let stands = found.filter(|found| may_delegate(&memberships, found.organization));
            Some(stands.ok_or_else(delegations::not_standing)?)
        }
    };
    Ok(SignedIn { user, memberships, named: account.map(str::to_owned), by, delegation })
}

/// Whether a user of these memberships may be in accounts of an organization by delegation.
fn may_delegate(memberships: &[Membership], organization: AccountId) -> bool {
    let grade = |membership: &Membership| Grade::of_member(membership.account, membership.role);
    let mut own = memberships.iter().filter(|membership| membership.account == organization);
    own.any(|membership| Permit::Delegate.admits(grade(membership)))
}

/// A key acts for its own account, whatever a request names.
fn refuse_another_account(headers: &HeaderMap, scope: KeyScope) -> Result<(), Problem> {
    let own = match scope {
        KeyScope::Operator => None,
        KeyScope::Organization(id) | KeyScope::Account(id) => Some(id.real().to_string()),
    };
    match headers.get(ACCOUNT_HEADER) {
        Some(named) if own.is_none_or(|own| own.as_bytes() != named.as_bytes()) => {
            Err(Problem::unknown_account())
        }
        _ => Ok(()),
    }
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
