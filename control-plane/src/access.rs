//! What a principal may do on a route: finds the accounts that a request is about and compares what
//! the principal is to them with the route's permit. What is not the principal's own is answered as
//! if it did not exist.

use hub::id::{AccountId, AccountKind};
use hub::key::KeyScope;
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::account::Organization;
use crate::members::{self, Membership};
use crate::permission::{Grade, Permit, Role};
use crate::principal::{Identity, Principal};
use crate::problem::{Kind, Problem};
use crate::users::User;

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The whole installation.
    Installation,
    /// The user who asks.
    User,
    /// The organization whose id is in the path.
    Organization,
    /// The organization of the principal; an operator names one where the operation asks for it.
    Own,
    /// The sub-account whose id is in the path.
    SubAccount,
    /// The workspace whose id is in the path.
    Workspace,
}

/// How far a credential goes within what its user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Read,
    Write,
}

impl Reach {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("read", Self::Read), ("write", Self::Write)];
}

/// A principal that may do what it asks, and on what.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) principal: Principal,
    /// The account that the principal acts for; `None`: the operator, or nobody's but its own.
    pub(crate) acting_for: Option<AccountId>,
    organization: Option<AccountId>,
    account: Option<AccountId>,
}

impl Access {
    pub(crate) const fn is_operator(&self) -> bool {
        matches!(self.principal.identity, Identity::Key(KeyScope::Operator))
    }

    pub(crate) const fn is_test(&self) -> bool {
        matches!(self.principal.identity, Identity::Key(KeyScope::Account(id)) if id.is_shadow())
    }

    pub(crate) const fn is_user(&self) -> bool {
        matches!(self.principal.identity, Identity::User(_))
    }

    /// Whether the principal acts for the account, not for its organization or the operator.
    pub(crate) fn is_within_account(&self) -> bool {
        self.acting_for.is_some() && self.acting_for == self.account
    }

    /// Refuses a user who was the Owner when its request came, and is no more now that its turn has
    /// come: a change of who owns what is decided in its own transaction.
    pub(crate) async fn refuse_former_owner(
        &self,
        connection: &mut AnyConnection,
        organization: AccountId,
    ) -> Result<(), Problem> {
        if !self.is_user() {
            return Ok(());
        }
        let memberships = members::of_user(connection, &self.user()?.id).await?;
        let owns = |membership: &Membership| {
            membership.account == organization && membership.role == Role::Owner
        };
        if memberships.iter().any(owns) {
            return Ok(());
        }
        Err(Problem::new(Kind::Forbidden, Permit::Own.refusal()))
    }

    /// The user who asks, where it must be one.
    pub(crate) fn user(&self) -> Result<&User, Problem> {
        match &self.principal.identity {
            Identity::User(signed_in) => Ok(&signed_in.user),
            Identity::Nobody | Identity::Key(_) => {
                Err(Problem::new(Kind::Forbidden, Permit::User.refusal()))
            }
        }
    }

    /// Whether the principal sees what belongs to this organization as a whole: its own people and keys
    /// do, those of its accounts too, and the operator.
    pub(crate) fn sees(&self, organization: AccountId) -> bool {
        self.is_operator() || self.organization == Some(organization)
    }

    /// The same of what belongs to one account there: of an account's own principal, to that one.
    pub(crate) fn sees_account(&self, organization: AccountId, account: AccountId) -> bool {
        let is_own = self.account.is_none_or(|own| own == account);
        self.is_operator() || self.organization == Some(organization) && is_own
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

    /// The account below the organization that the request is about, if it is about one.
    pub(crate) const fn sub_account(&self) -> Option<AccountId> {
        self.account
    }

    /// The account that the request is about: the one below the organization, else the organization.
    pub(crate) fn account(&self) -> Result<AccountId, Problem> {
        self.account.map_or_else(|| self.organization(), Ok)
    }
}

/// Decides whether `principal` may use a route of this subject and permit, to read or to change
/// something. `id` is the path's.
pub(crate) async fn decide(
    app: &App,
    principal: Principal,
    (subject, permit): (Subject, Permit),
    reads: bool,
    id: Option<&str>,
) -> Result<Access, Problem> {
    let access = permitted(app, principal, subject, permit, id).await?;
    if !reads && access.principal.reach() == Reach::Read {
        return Err(Problem::new(
            Kind::Forbidden,
            "this API token or delegation is for reading only",
        ));
    }
    Ok(access)
}

async fn permitted(
    app: &App,
    principal: Principal,
    subject: Subject,
    permit: Permit,
    id: Option<&str>,
) -> Result<Access, Problem> {
    let about_no_account = matches!(subject, Subject::Installation | Subject::User);
    if matches!(permit, Permit::Anyone | Permit::User | Permit::SignedIn) {
        let access = Access { principal, acting_for: None, organization: None, account: None };
        if permit != Permit::Anyone {
            access.user()?;
        }
        if access.principal.delegation().is_some() {
            return Err(Problem::new(
                Kind::Forbidden,
                "not under a delegation: leave Ringfence-Delegation out",
            ));
        }
        if permit == Permit::SignedIn && !access.principal.is_session() {
            return Err(Problem::new(Kind::Forbidden, permit.refusal()));
        }
        return Ok(access);
    }
    let Some((acting_for, grade)) = acting(&principal, about_no_account)? else {
        return Err(Problem::new(Kind::Forbidden, permit.refusal()));
    };
    let (organization, account) = about(app, subject, acting_for, id).await?;
    let is_its_own = acting_for
        .is_none_or(|own| about_no_account || organization == Some(own) || account == Some(own));
    if !is_its_own {
        return Err(Problem::unknown_account());
    }
    if !permit.admits(grade) {
        return Err(Problem::new(Kind::Forbidden, permit.refusal()));
    }
    if let (
        Permit::Allocate | Permit::Adjust,
        Grade::Organization(Role::Member),
        Some(organization),
    ) = (permit, grade, organization)
        && !may_allocate(app, organization).await?
    {
        return Err(Problem::new(
            Kind::Forbidden,
            "members_may_allocate is false: in this organization only an Owner or Admin creates and updates accounts",
        ));
    }
    Ok(Access { principal, acting_for, organization, account })
}

/// The account that a principal acts for, `None` for the operator, and what it is to that account.
/// `None`: a user, on a route about no account.
fn acting(
    principal: &Principal,
    about_no_account: bool,
) -> Result<Option<(Option<AccountId>, Grade)>, Problem> {
    Ok(match &principal.identity {
        Identity::Nobody => return Err(Problem::unauthenticated()),
        Identity::Key(scope) => {
            let account = match scope {
                KeyScope::Operator => None,
                KeyScope::Organization(id) | KeyScope::Account(id) => Some(id.real()),
            };
            Some((account, Grade::of_key(*scope)))
        }
        Identity::User(_) if about_no_account => None,
        Identity::User(signed_in) => {
            if let Some(delegation) = principal.delegation() {
                return Ok(Some((Some(delegation.account), Grade::Delegate)));
            }
            let membership = signed_in.acting()?;
            let grade = Grade::of_member(membership.account, membership.role);
            Some((Some(membership.account), grade))
        }
    })
}

/// The organization and the account below it that a request is about.
async fn about(
    app: &App,
    subject: Subject,
    acting_for: Option<AccountId>,
    id: Option<&str>,
) -> Result<(Option<AccountId>, Option<AccountId>), Problem> {
    let id = || id.and_then(|id| id.parse::<AccountId>().ok()).ok_or_else(Problem::unknown_account);
    Ok(match (subject, acting_for) {
        (Subject::Installation | Subject::User, _) | (Subject::Own, None) => (None, None),
        (Subject::Organization, _) => {
            let id = id()?;
            known(app, id, AccountKind::Organization).await?;
            (Some(id), None)
        }
        (Subject::SubAccount | Subject::Workspace, _) => {
            let id = id()?;
            let kind = match subject {
                Subject::Workspace => AccountKind::Workspace,
                _ => AccountKind::SubAccount,
            };
            (Some(known(app, id, kind).await?), Some(id))
        }
        (Subject::Own, Some(own)) if own.kind() == AccountKind::Organization => (Some(own), None),
        (Subject::Own, Some(own)) => (Some(known(app, own, own.kind()).await?), Some(own)),
    })
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

async fn may_allocate(app: &App, organization: AccountId) -> Result<bool, Problem> {
    let mut connection = app.store.read().await?;
    Ok(Organization::load(&mut connection, organization).await?.members_may_allocate)
}
