//! The permissions that routes state and the grades that principals have: the one place that says
//! which grade is enough for which permission. Knows no account.

use hub::id::{AccountId, AccountKind};
use hub::key::KeyScope;

/// What a member of an account is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Of an organization, which has exactly one once it has any member.
    Owner,
    Admin,
    Member,
    Viewer,
}

impl Role {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("owner", Self::Owner),
        ("admin", Self::Admin),
        ("member", Self::Member),
        ("viewer", Self::Viewer),
    ];
}

/// What a principal is to the accounts that it acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Operator,
    OrganizationKey,
    /// A member of the organization.
    Organization(Role),
    /// A live key of the account.
    AccountKey,
    /// A member of the account.
    Account(Role),
    TestKey,
}

impl Grade {
    pub(crate) const fn of_key(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Operator => Self::Operator,
            KeyScope::Organization(_) => Self::OrganizationKey,
            KeyScope::Account(id) if id.is_shadow() => Self::TestKey,
            KeyScope::Account(_) => Self::AccountKey,
        }
    }

    pub(crate) const fn of_member(account: AccountId, role: Role) -> Self {
        match account.kind() {
            AccountKind::Organization => Self::Organization(role),
            AccountKind::SubAccount | AccountKind::Workspace => Self::Account(role),
        }
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Everyone, without a key or a session: what is sent says who it is.
    Anyone,
    /// Whoever has signed in, about themselves.
    User,
    Operator,
    /// The operator, and who may do everything in the organization: its Owner and its key.
    Own,
    /// The organization's Admins as well.
    Administer,
    /// Its Members as well, unless it keeps the division of slots to Owner and Admins.
    Allocate,
    /// All its members.
    Oversee,
    /// Who administers the organization, and the account's own Admins; never a key of the account.
    AdministerAccount,
    /// All members of the organization and of the account, and the account's live keys.
    Read,
    /// The account's test keys as well.
    See,
}

impl Permit {
    pub(crate) const fn admits(self, grade: Grade) -> bool {
        use Grade::{Account, AccountKey, Operator, Organization, OrganizationKey, TestKey};
        match self {
            Self::Anyone => true,
            Self::User => false,
            Self::Operator => matches!(grade, Operator),
            Self::Own => matches!(grade, Operator | OrganizationKey | Organization(Role::Owner)),
            Self::Administer => {
                Self::Own.admits(grade) || matches!(grade, Organization(Role::Admin))
            }
            Self::Allocate => {
                Self::Administer.admits(grade) || matches!(grade, Organization(Role::Member))
            }
            Self::Oversee => {
                Self::Allocate.admits(grade) || matches!(grade, Organization(Role::Viewer))
            }
            Self::AdministerAccount => {
                Self::Administer.admits(grade) || matches!(grade, Account(Role::Admin))
            }
            Self::Read => Self::Oversee.admits(grade) || matches!(grade, AccountKey | Account(_)),
            Self::See => Self::Read.admits(grade) || matches!(grade, TestKey),
        }
    }

    /// What a refusal says.
    pub(crate) const fn refusal(self) -> &'static str {
        match self {
            Self::Anyone | Self::User => "only a user who has signed in may do this, not a key",
            Self::Operator => "only the operator may do this",
            Self::Own => "only the organization's Owner may do this",
            Self::Administer => {
                "only an Owner or Admin of the organization, or its key, may do this"
            }
            Self::Allocate => {
                "only an Owner, Admin or Member of the organization, or its key, may do this"
            }
            Self::Oversee => "only the organization may do this, not one of its accounts",
            Self::AdministerAccount => {
                "only an Admin of the account or who administers its organization may do this, never a key of the account"
            }
            Self::Read | Self::See => "a test key has no wallet, no calls and no usage",
        }
    }
}
