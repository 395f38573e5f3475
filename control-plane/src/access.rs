//! What a principal may do on a route: the one place that compares scopes. What is not the
//! principal's own is answered as if it did not exist.

use hub::id::{AccountId, AccountKind};
use hub::key::KeyScope;
use sqlx::Row as _;

use crate::App;
use crate::principal::Principal;
use crate::problem::{Kind, Problem};

/// Who may use a route. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permit {
    Operator,
    /// The organization that owns the subject.
    Organization,
    /// A live key of the subject itself.
    Account,
    /// A test key of the subject as well.
    TestKey,
}

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The whole installation.
    Installation,
    /// The organization whose id is in the path.
    Organization,
    /// The organization of the key; an operator names one where the operation asks for it.
    Own,
    /// The sub-account whose id is in the path.
    SubAccount,
}

/// A principal that may do what it asks, and on what.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) principal: Principal,
    organization: Option<AccountId>,
    account: Option<AccountId>,
}

impl Access {
    pub(crate) const fn is_operator(&self) -> bool {
        matches!(self.principal.scope, KeyScope::Operator)
    }

    pub(crate) const fn is_test(&self) -> bool {
        matches!(self.principal.scope, KeyScope::Account(id) if id.is_shadow())
    }

    /// The organization that the request is about.
    pub(crate) fn organization(&self) -> Result<AccountId, Problem> {
        self.organization.ok_or_else(|| {
            Problem::field("organization_id", "an operator key names the organization: use /v1/organizations/{id}, or organization_id where the operation takes it")
        })
    }

    /// The same, where the request may name it: an operator must, others may name their own only.
    pub(crate) fn organization_or(&self, named: Option<AccountId>) -> Result<AccountId, Problem> {
        match (self.organization, named) {
            (Some(own), Some(named)) if own != named => Err(Problem::unknown_account()),
            (Some(own), _) => Ok(own),
            (None, Some(named)) if named.kind() == AccountKind::Organization => Ok(named),
            (None, Some(_)) => Err(Problem::unknown_account()),
            (None, None) => self.organization(),
        }
    }

    /// The sub-account that the request is about, if it is about one.
    pub(crate) const fn sub_account(&self) -> Option<AccountId> {
        self.account
    }

    /// The account that the request is about: the sub-account, else the organization itself.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        self.account.map_or_else(|| self.organization(), Ok)
    }
}

/// Decides whether `principal` may use a route of this subject and permit. `id` is the path's.
pub(crate) async fn decide(
    app: &App,
    principal: Principal,
    subject: Subject,
    permit: Permit,
    id: Option<&str>,
) -> Result<Access, Problem> {
    let id = || id.and_then(|id| id.parse::<AccountId>().ok()).ok_or_else(Problem::unknown_account);
    let (organization, account) = match subject {
        Subject::Installation => (None, None),
        Subject::Organization => {
            let id = id()?;
            known(app, id, AccountKind::Organization).await?;
            (Some(id), None)
        }
        Subject::SubAccount => {
            let id = id()?;
            (Some(known(app, id, AccountKind::SubAccount).await?), Some(id))
        }
        Subject::Own => match principal.scope {
            KeyScope::Operator => (None, None),
            KeyScope::Organization(id) => (Some(id), None),
            KeyScope::Account(id) => {
                (Some(known(app, id.real(), AccountKind::SubAccount).await?), Some(id.real()))
            }
        },
    };
    let needed = match principal.scope {
        KeyScope::Operator => Permit::Operator,
        KeyScope::Organization(own) if organization.is_none_or(|of| of == own) => {
            Permit::Organization
        }
        KeyScope::Account(own) if organization.is_none() || account == Some(own.real()) => {
            if own.is_shadow() { Permit::TestKey } else { Permit::Account }
        }
        KeyScope::Organization(_) | KeyScope::Account(_) => return Err(Problem::unknown_account()),
    };
    if needed <= permit {
        Ok(Access { principal, organization, account })
    } else {
        Err(Problem::new(Kind::Forbidden, refusal(permit)))
    }
}

const fn refusal(permit: Permit) -> &'static str {
    match permit {
        Permit::Operator => "only the operator may do this",
        Permit::Organization => "only the organization may do this, not an account's key",
        Permit::Account | Permit::TestKey => "a test key has no wallet, no calls and no usage",
    }
}

/// The organization of an account that exists and is not being deleted.
async fn known(app: &App, id: AccountId, kind: AccountKind) -> Result<AccountId, Problem> {
    let mut connection = app.store.read().await?;
    let row = sqlx::query(
        "SELECT organization_id FROM accounts WHERE id = $1 AND status IN ('active', 'suspended')",
    )
    .bind(id.to_string())
    .fetch_optional(&mut *connection)
    .await?
    .filter(|_| id.kind() == kind)
    .ok_or_else(Problem::unknown_account)?;
    let organization: String = row.try_get(0)?;
    organization.parse().map_err(Problem::internal)
}
