//! What a stack asks, parsed: every field is within its limits.

use hub::call::{CallPlace, Direction, Outcome};

/// `POST /v1/calls/admit`
#[derive(Clone, Debug, Default)]
pub struct Admit<'a> {
    /// 1 to 128 visible ASCII characters.
    pub call_id: &'a str,
    pub direction: Direction,
    pub from: &'a str,
    pub to: &'a str,
    pub agent_id: &'a str,
    /// The carrier that takes the call; empty: not said.
    pub provider: &'a str,
    pub source: &'a str,
    /// 1 to 86,400.
    pub requested_s: Option<u32>,
    /// 10 to 14,400 unless configured otherwise: the stack cannot renew.
    pub lease_s: Option<u32>,
}

/// `POST /v1/calls/renew`
#[derive(Clone, Debug)]
pub struct Renew<'a> {
    pub call_id: &'a str,
    pub token: Option<&'a str>,
    pub requested_s: Option<u32>,
}

/// `POST /v1/calls/release`
#[derive(Clone, Debug)]
pub struct Release<'a> {
    pub call_id: &'a str,
    pub token: Option<&'a str>,
    pub outcome: Option<Outcome>,
    /// 0 to `Rate::SECONDS_MAX`.
    pub billable_s: Option<u32>,
    /// A JSON value as it came, at most 4 KiB.
    pub costs: Option<&'a str>,
}

/// `POST /v1/calls/reconcile`
#[derive(Clone, Debug)]
pub struct Reconcile<'a> {
    pub source: &'a str,
    /// The call ids that the source knows as live.
    pub live: Vec<&'a str>,
    /// Whether `live` is everything that the source has; only then anything is freed.
    pub complete: bool,
}

/// `GET /v1/calls`
#[derive(Clone, Debug)]
pub struct ListLive<'a> {
    pub source: Option<&'a str>,
    /// The last call of the page before; `None`: from the first.
    pub after: Option<CallPlace>,
    /// 1 to 1,000.
    pub limit: usize,
}
