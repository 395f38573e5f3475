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
    /// Who administers the organization, in the account by delegation.
    Delegate,
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
    /// Every user, about themselves.
    User,
    /// The same by a session: never by an API token, which is to gain nothing by itself.
    SignedIn,
    Operator,
    /// The operator, and who may do everything in the organization: its Owner and its key.
    Own,
    /// The organization's Admins as well.
    Administer,
    /// Its Members as well, unless it keeps the division of slots to Owner and Admins.
    Allocate,
    /// The same, and whoever is in the account by delegation.
    Adjust,
    /// All members of the organization.
    Oversee,
    /// All members of the organization, the account's own Admins, and who is there by delegation.
    Review,
    /// The organization's Owner and Admins themselves: people, who are to say why.
    Delegate,
    /// Who administers the organization, the account's own Admins, and who is there by delegation; never
    /// a key of the account.
    AdministerAccount,
    /// The same for what lets somebody in, keys and members: never by delegation.
    Entrust,
    /// The account's live keys as well: what a tenant's own programs set up.
    Configure,
    /// The organization's Members as well, whoever divides slots: what calls go through.
    Maintain,
    /// The account's own Admins and Members as well, its live keys, and who is there by delegation: what
    /// its calls name.
    Equip,
    /// All members of the organization and of the account, and the account's live keys.
    Read,
    /// The account's test keys as well.
    See,
}

impl Permit {
    pub(crate) const fn admits(self, grade: Grade) -> bool {
        use Grade::{
            Account, AccountKey, Delegate, Operator, Organization, OrganizationKey, TestKey,
        };
        match self {
            Self::Anyone => true,
            Self::User | Self::SignedIn => false,
            Self::Operator => matches!(grade, Operator),
            Self::Own => matches!(grade, Operator | OrganizationKey | Organization(Role::Owner)),
            Self::Administer => {
                Self::Own.admits(grade) || matches!(grade, Organization(Role::Admin))
            }
            Self::Allocate => {
                Self::Administer.admits(grade) || matches!(grade, Organization(Role::Member))
            }
            Self::Adjust => Self::Allocate.admits(grade) || matches!(grade, Delegate),
            Self::Delegate => matches!(grade, Organization(Role::Owner | Role::Admin)),
            Self::Maintain => Self::Allocate.admits(grade),
            Self::Equip => {
                Self::Maintain.admits(grade)
                    || matches!(grade, AccountKey | Account(Role::Admin | Role::Member) | Delegate)
            }
            Self::Oversee => {
                Self::Allocate.admits(grade) || matches!(grade, Organization(Role::Viewer))
            }
            Self::Entrust => {
                Self::Administer.admits(grade) || matches!(grade, Account(Role::Admin))
            }
            Self::Configure => Self::Entrust.admits(grade) || matches!(grade, AccountKey),
            Self::AdministerAccount => Self::Entrust.admits(grade) || matches!(grade, Delegate),
            Self::Review => Self::Oversee.admits(grade) || Self::AdministerAccount.admits(grade),
            Self::Read => {
                Self::Oversee.admits(grade) || matches!(grade, AccountKey | Account(_) | Delegate)
            }
            Self::See => Self::Read.admits(grade) || matches!(grade, TestKey),
        }
    }

    /// Whom it admits, as the document says it.
    pub(crate) const fn who(self) -> &'static str {
        match self {
            Self::Anyone => "everyone, without a key or a session",
            Self::SignedIn => "a user who has signed in, not its tokens",
            Self::User => "a user who has signed in, and its tokens",
            Self::Operator => "the operator",
            Self::Own => "the organization's Owner and its key; the operator",
            Self::Administer => "the organization's Owner and Admins and its key; the operator",
            Self::Allocate => {
                "the organization's Owner and Admins and its key; its Members while `members_may_allocate` is true; the operator"
            }
            Self::Adjust => {
                "the organization's Owner and Admins and its key; its Members while `members_may_allocate` is true; who is in the account by a delegation to write; the operator"
            }
            Self::Review => {
                "all members of the organization and its key; the account's own Admins; who is in the account by delegation; the operator"
            }
            Self::Delegate => "the organization's Owner and Admins, by themselves",
            Self::Entrust => {
                "the organization's Owner and Admins and its key; the account's own Admins; the operator"
            }
            Self::Oversee => "all members of the organization and its key; the operator",
            Self::AdministerAccount => {
                "the organization's Owner and Admins and its key; the account's own Admins; who is in the account by delegation; the operator"
            }
            Self::Configure => {
                "for the organization its Owner and Admins and its key; for an account its own Admins and live keys"
            }
            Self::Maintain => {
                "the organization's Owner, Admins and Members and its key; the operator"
            }
            Self::Equip => {
                "the organization's Owner, Admins and Members and its key; of what is the account's own its Admins and Members, its live keys, and who is there by a delegation to write; the operator"
            }
            Self::Read => {
                "all members of the organization and its key; the account's own members and live keys; the operator"
            }
            Self::See => {
                "all members of the organization and its key; the account's own members and keys, test keys too; the operator"
            }
        }
    }

    /// What a refusal says.
    pub(crate) const fn refusal(self) -> &'static str {
        match self {
            Self::Anyone | Self::User => "only a user may do this, not a key",
            Self::SignedIn => {
                "only a user who has signed in may do this, not a key or an API token"
            }
            Self::Operator => "only the operator may do this",
            Self::Own => "only the organization's Owner may do this",
            Self::Administer => {
                "only an Owner or Admin of the organization, or its key, may do this"
            }
            Self::Allocate | Self::Adjust | Self::Maintain => {
                "only an Owner, Admin or Member of the organization, or its key, may do this"
            }
            Self::Oversee => "only the organization may do this, not one of its accounts",
            Self::Delegate => {
                "only an Owner or Admin of the organization may do this, by themselves"
            }
            Self::AdministerAccount => {
                "only an Admin of the account or who administers its organization may do this, never a key of the account"
            }
            Self::Configure => {
                "only an Admin or a live key of the account, or who administers its organization, may do this"
            }
            Self::Equip => {
                "only who is more than a Viewer may do this, or a live key of the account or of its organization"
            }
            Self::Review => "only the organization and the account's Admins may do this",
            Self::Entrust => {
                "only an Admin of the account or who administers its organization may do this, never a key of the account, nor by delegation"
            }
            Self::Read | Self::See => "a test key has no wallet, no calls and no usage",
        }
    }
}
