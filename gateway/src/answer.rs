//! What a stack is told, before it is written as JSON, form or text.

use hub::call::{Call, CallPlace, Record};
use hub::id::AccountId;
use hub::state::request::Lease;
use triomphe::Arc;

use crate::admission::grant::granted_until_us;

/// The proof that a gateway admitted a call: base64url text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// With an embedded hub, which knows the call itself.
    Proof([u8; Token::PROOF_LEN]),
    /// With a shared hub: the call as it stands, so that it can go on without anybody who knew it.
    Whole(String),
}

impl Token {
    pub const PROOF_LEN: usize = 96;

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_ref()).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Proof(text) => text,
            Self::Whole(text) => text.as_bytes(),
        }
    }
}

/// A call may start, or goes on. Its token is made when the answer is written.
#[derive(Clone, Debug)]
pub struct Grant {
    pub call: Call,
    pub lease: Lease,
    /// The call was live already.
    pub duplicate: bool,
    pub renew_every_s: u32,
    pub expires_in_s: u32,
    /// Live calls of the account at this gateway, this one included.
    pub in_use: u32,
    /// `None`: elastic.
    pub limit: Option<u32>,
}

impl Grant {
    /// Seconds the call may last from its answer; `None`: no limit.
    pub fn granted_s(&self) -> Option<u32> {
        Some(self.lease.granted_s()).filter(|granted_s| *granted_s > 0)
    }

    /// Microseconds since 1970; `None` as above.
    pub fn granted_until_us(&self) -> Option<i64> {
        granted_until_us(&self.lease)
    }

    pub fn is_billed(&self) -> bool {
        self.call.facts().pins.is_some()
    }
}

/// A live call as it is looked up.
#[derive(Clone, Debug)]
pub struct LiveCall {
    pub call: Call,
    pub answered_us: Option<i64>,
    /// The last admit, answer or renew, in microseconds since 1970.
    pub renewed_us: i64,
    pub granted_until_us: Option<i64>,
    pub expires_at_us: i64,
}

/// What a look-up finds.
#[derive(Clone, Debug)]
pub enum CallView {
    Live(LiveCall),
    Ended(Arc<Record>),
}

/// One page of live calls, in the order of their admission.
#[derive(Clone, Debug)]
pub struct LivePage {
    pub calls: Vec<LiveCall>,
    /// `ListLive::after` of the next page; `None`: this was the last.
    pub next: Option<CallPlace>,
}

/// `GET /v1/concurrency`
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    pub account: AccountId,
    /// `None`: elastic.
    pub limit: Option<u32>,
    pub floor: u32,
    pub in_use: u32,
    pub remaining: u32,
    pub organization_total: u32,
    pub organization_in_use: u32,
}

/// What a reconcile did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Listed calls that are live and were renewed.
    pub renewed: u32,
    /// Calls of the source freed because two complete lists did not name them.
    pub freed: u32,
    /// Calls of the source that this list did not name and the next may free.
    pub missing: u32,
    /// Listed calls that are not live here: the stack should end them.
    pub unknown: u32,
}
