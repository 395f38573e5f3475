//! Denials: every reason a call is not admitted, with its HTTP status, SIP code and metric label, in
//! one table. A denial is a value, not an error.

use crate::money::{Amount, Currency};

/// Why the answer is no. The wire name, the HTTP status and the SIP code are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    InvalidRequest,
    Unauthenticated,
    InsufficientBalance,
    Suspended,
    DestinationBlocked,
    Forbidden,
    UnknownAccount,
    UnknownCall,
    NoSlot,
    CallEnded,
    TooLarge,
    WrongRegion,
    RateLimited,
    HubUnavailable,
    Draining,
}

/// One row of the table of reasons.
struct Row {
    label: &'static str,
    http_status: u16,
    sip_code: u16,
    sip_reason: &'static str,
    retry_after_s: Option<u32>,
    message: &'static str,
}

impl Reason {
    pub const ALL: [Self; 15] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::InsufficientBalance,
        Self::Suspended,
        Self::DestinationBlocked,
        Self::Forbidden,
        Self::UnknownAccount,
        Self::UnknownCall,
        Self::NoSlot,
        Self::CallEnded,
        Self::TooLarge,
        Self::WrongRegion,
        Self::RateLimited,
        Self::HubUnavailable,
        Self::Draining,
    ];

    #[rustfmt::skip]
    const fn row(self) -> Row {
        const fn row(label: &'static str, http_status: u16, sip_code: u16, sip_reason: &'static str, retry_after_s: Option<u32>, message: &'static str) -> Row {
            Row { label, http_status, sip_code, sip_reason, retry_after_s, message }
        }
        match self {
            Self::InvalidRequest => row("invalid_request", 400, 400, "Bad Request", None, "the request is not valid"),
            Self::Unauthenticated => row("unauthenticated", 401, 500, "Server Internal Error", None, "the API key is missing or not valid"),
            Self::InsufficientBalance => row("insufficient_balance", 402, 402, "Payment Required", None, "insufficient wallet balance"),
            Self::Suspended => row("suspended", 403, 403, "Forbidden", None, "the account is suspended"),
            Self::DestinationBlocked => row("destination_blocked", 403, 403, "Forbidden", None, "the destination is blocked for this account"),
            Self::Forbidden => row("forbidden", 403, 403, "Forbidden", None, "the key may not do this"),
            Self::UnknownAccount => row("unknown_account", 404, 404, "Not Found", None, "no such account"),
            Self::UnknownCall => row("unknown_call", 404, 404, "Not Found", None, "no such call"),
            Self::NoSlot => row("no_slot", 409, 486, "Busy Here", Some(1), "concurrency limit reached"),
            Self::CallEnded => row("call_ended", 410, 481, "Call Does Not Exist", None, "the call has ended"),
            Self::TooLarge => row("too_large", 413, 513, "Message Too Large", None, "the request is too large"),
            Self::WrongRegion => row("wrong_region", 421, 503, "Service Unavailable", None, "the account's region is not served here"),
            Self::RateLimited => row("rate_limited", 429, 503, "Service Unavailable", Some(1), "calls per second limit reached"),
            Self::HubUnavailable => row("hub_unavailable", 503, 503, "Service Unavailable", Some(1), "the gateway cannot record calls now"),
            Self::Draining => row("draining", 503, 503, "Service Unavailable", Some(5), "the gateway is shutting down"),
        }
    }

    /// The wire name, also the metric label.
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    pub const fn http_status(self) -> u16 {
        self.row().http_status
    }

    pub const fn sip_code(self) -> u16 {
        self.row().sip_code
    }

    pub const fn sip_reason(self) -> &'static str {
        self.row().sip_reason
    }

    /// Seconds after which asking again can help.
    pub const fn retry_after_s(self) -> Option<u32> {
        self.row().retry_after_s
    }

    pub const fn message(self) -> &'static str {
        self.row().message
    }
}

/// Whose limit refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Account,
    Organization,
}

impl Scope {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Organization => "organization",
        }
    }
}

/// Whose cap refused, beside an account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapOf {
    /// The account's outbound calls: the rest of its slots is for inbound ones.
    Outbound,
    Number,
    Provider,
}

impl CapOf {
    /// The scope of the refusal.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Number => "phone_number",
            Self::Provider => "provider",
        }
    }
}

/// A field of a request that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    pub field: String,
    /// What is wrong and what was expected, in one clause.
    pub problem: String,
}

/// A refusal with the numbers behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No number says more than the reason.
    Plain(Reason),
    /// `limit` slots of `scope` are all in use. `retry_after_s` of the table applies.
    NoSlot { scope: Scope, limit: u32, in_use: u32 },
    /// `limit` live calls name what the cap is of.
    Capped { of: CapOf, limit: u32 },
    /// More admits per second than `limit`.
    RateLimited { limit: u32, retry_after_s: u32 },
    /// The wallet has `available`; the first increment takes `required`.
    InsufficientBalance { available: Amount, required: Amount, currency: Currency },
    /// What the account's calls may cost in this month is spent.
    BudgetSpent,
    /// Every field that is wrong.
    InvalidRequest(Vec<BadField>),
}

impl Denial {
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Plain(reason) => *reason,
            Self::NoSlot { .. } | Self::Capped { .. } => Reason::NoSlot,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::InsufficientBalance { .. } | Self::BudgetSpent => Reason::InsufficientBalance,
            Self::InvalidRequest(_) => Reason::InvalidRequest,
        }
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::Plain(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_label_and_a_final_sip_code() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert!(Reason::ALL[..index].iter().all(|other| other.label() != reason.label()));
            assert!((400..700).contains(&reason.sip_code()), "{}", reason.label());
            assert!((400..600).contains(&reason.http_status()), "{}", reason.label());
        }
    }
}
