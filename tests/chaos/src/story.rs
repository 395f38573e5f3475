//! What the client of one call knows of it, and what follows for the limit.
//!
//! A client is told "admitted" with a lease. It holds a slot, surely, from the arrival of that answer
//! to the first of: the sending of its release; the sending of the request that was answered "has
//! ended" or "never seen"; the end of its lease, which is at least `expires_in_s` after the *sending*
//! of the last request that was answered so, for the gateway counted from a later instant. Nothing
//! else ends it: not the death of the gateway that said so, not a hub that lost its memory, not a
//! partition. The gateway's death leaves its calls to the hub until that lease is over, and those that
//! the hub had not heard of are covered by what is kept for them. So this number is never above the
//! limit, in whatever weather (invariant I1).
//!
//! It holds a slot possibly from the sending of its first admit, for any try whose answer is missing
//! may have been granted, to the answer that says that it is over: a receipt; "never seen", but only
//! for a request sent when everything had been whole for [`SETTLED_REQUESTS`]: a frozen gateway may
//! have had the admit in its sockets until then. A look-up says "ended" as soon as the gateway knows that
//! has the call: the slot is free when the hub has heard it, [`HEARD_WITHIN`] later at the most.

use std::time::Duration;

use support::Nanos;
use support::history::Span;

/// What waited in the sockets of a process that was frozen has been answered so long after.
pub const SETTLED_REQUESTS: Duration = Duration::from_secs(2);

/// What a gateway tells the hub without being waited for is there so long after.
pub const HEARD_WITHIN: Duration = Duration::from_millis(100);

/// How a call ended, as its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody has said it yet.
    Open,
    Receipt(Receipt),
    /// Never seen.
    Unknown,
    /// Refused for slots at the first try: it never was.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub cause: String,
    pub billable_s: u32,
    pub cost_micros: i64,
}

#[derive(Clone, Debug)]
pub struct Story {
    pub call_id: String,
    /// The gateway that admitted it.
    pub gateway: usize,
    /// The sending of the first admit.
    pub asked: Nanos,
    /// The first answer "admitted".
    pub told: Option<Nanos>,
    /// The end of the lease, at the earliest.
    pub leased_until: Nanos,
    /// The sending of what ends it, or showed that it had ended.
    pub hung_up: Option<Nanos>,
    /// The newest token, if the client keeps such.
    pub token: Option<String>,
    /// The answer that says that it is over.
    pub over: Option<Nanos>,
    /// When it ended, says the answer.
    pub ended: Option<Nanos>,
    pub end: End,
    /// It was said to be over while its lease went on.
    pub is_cut_short: bool,
    /// The seconds that it may be charged for, least and most: what the client reported, or what its
    /// own clock says.
    pub seconds: (u32, u32),
}

impl Story {
    pub fn new(call_id: String, gateway: usize, asked: Nanos) -> Self {
        Self {
            call_id,
            gateway,
            asked,
            told: None,
            leased_until: 0,
            hung_up: None,
            token: None,
            over: None,
            ended: None,
            end: End::Open,
            is_cut_short: false,
            seconds: (0, 0),
        }
    }

    /// It is live, says an answer to a request sent at `sent`.
    pub fn lives(&mut self, sent: Nanos, heard: Nanos, expires_in_s: u64) {
        self.told.get_or_insert(heard);
        self.leased_until = self.leased_until.max(sent + expires_in_s * 1_000_000_000);
    }

    /// The client sent what ends it, or learned by it that it had ended.
    pub fn hangs_up(&mut self, sent: Nanos) {
        self.hung_up = Some(self.hung_up.map_or(sent, |earlier| earlier.min(sent)));
    }

    pub fn is_over(&mut self, heard: Nanos, end: End) {
        (self.over, self.end) = (Some(heard), end);
    }

    /// As [`Story::is_over`], by a look-up that says when it `ended`.
    pub fn was_seen_over(&mut self, heard: Nanos, ended: Option<Nanos>, end: End) {
        let within = Nanos::try_from(HEARD_WITHIN.as_nanos()).unwrap_or(0);
        self.is_over(heard.saturating_add(within), end);
        self.ended = ended;
    }

    /// As the history checker takes it; nothing when it never was.
    pub fn span(&self) -> Option<Span> {
        (self.end != End::Refused).then(|| Span {
            account: 0,
            possibly_from: self.asked,
            surely_from: self.told,
            surely_to: self.leased_until.min(self.hung_up.unwrap_or(Nanos::MAX)),
            possibly_to: self.over.unwrap_or(Nanos::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_call_counts_surely_until_its_release_is_sent_or_its_lease_may_be_over() {
        let mut story = Story::new("c".to_owned(), 0, SECOND);
        story.lives(2 * SECOND, 3 * SECOND, 10);
        let span = story.span().expect("it was");
        assert_eq!((span.possibly_from, span.surely_from), (SECOND, Some(3 * SECOND)));
        assert_eq!((span.surely_to, span.possibly_to), (12 * SECOND, Nanos::MAX));
        story.lives(8 * SECOND, 9 * SECOND, 10);
        assert_eq!(story.span().expect("it was").surely_to, 18 * SECOND);
        story.hangs_up(11 * SECOND);
        story.hangs_up(12 * SECOND);
        story.is_over(14 * SECOND, End::Unknown);
        let span = story.span().expect("it was");
        assert_eq!((span.surely_to, span.possibly_to), (11 * SECOND, 14 * SECOND));
    }

    #[test]
    fn who_was_refused_at_once_never_was_and_who_heard_nothing_may_be_live() {
        let mut refused = Story::new("c".to_owned(), 0, SECOND);
        refused.is_over(2 * SECOND, End::Refused);
        assert!(refused.span().is_none());
        let lost = Story::new("c".to_owned(), 0, SECOND).span().expect("perhaps it is");
        assert_eq!((lost.surely_from, lost.possibly_to), (None, Nanos::MAX));
    }
}
