//! What gateways write to each other through the hub: a question about a call that the other one has,
//! and its answer. Whoever waits no longer is not found, and a lost letter is a lost answer.

use std::sync::Arc;

use hub::call::{Call, CallPlace, Outcome, Record};
use hub::clock;
use hub::codec::{Malformed, Reader, Writer};
use hub::denial::Reason;
use hub::id::{AccountId, HolderId};
use hub::state::exchange::Message;
use hub::state::record_codec::{
    read_call, read_lease, read_record, write_call, write_lease, write_record,
};
use hub::state::request::Lease;
use tokio::sync::oneshot;

use crate::accounts::Account;
use crate::admission::calls::{Entry, Standing};
use crate::answer::CallView;
use crate::engine::{Engine, Hub, Refusal};
use crate::request::{Release, Renew};
use crate::sharing::{Patience, Sharing};

/// First byte of a letter.
const QUESTION: u8 = 1;
const REPLY: u8 = 2;

/// What is asked of the gateway that has a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    /// Whether its stack was told of it: who admitted it may be about to undo it.
    Stands,
    Answer {
        answered_us: i64,
    },
    Renew {
        requested_s: Option<u32>,
    },
    Release {
        outcome: Option<Outcome>,
        billable_s: Option<u32>,
        costs: Option<Box<str>>,
    },
    /// The call's stack does not have it any more.
    Lost {
        place: CallPlace,
    },
}

/// What it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Live(Call, Lease),
    Ended(triomphe::Arc<Record>),
    Refused(Reason),
}

/// A question, and about which call.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    account: AccountId,
    call_id: Box<str>,
    question: Question,
}

impl Engine {
    /// Asks another gateway, and waits for what it says.
    pub(super) async fn ask(
        &self,
        sharing: &Sharing,
        account: &Account,
        (holder, call_id): (HolderId, &str),
        question: Question,
        patience: &Patience,
    ) -> Result<Reply, Reason> {
        let ticket = sharing.ticket();
        let asked = Asked { account: account.id, call_id: call_id.into(), question };
        let (told, reply) = oneshot::channel();
        sharing.shard(account.organization.shard).change(|state, now| {
            state.waiting.letter(ticket, told);
            let from = state.link.holder();
            let message = Message { from, ticket, body: asked.to_bytes().into() };
            state.link.write_to(holder, message, now);
        });
        let body = patience.wait(reply).await?;
        Reply::from_bytes(&body).map_err(|_| Reason::HubUnavailable)
    }

    /// A letter came. A reply goes to who waits for it, a question to who has the time to answer it.
    pub(super) fn read_letter(sharing: &Sharing, shard: u8, message: Message) {
        match message.body.split_first() {
            Some((&REPLY, body)) => {
                let waiter = sharing.shard(shard).state.lock().waiting.take_letter(message.ticket);
                if waiter.is_none_or(|waiter| waiter.send(body.into()).is_err()) {
                    tracing::trace!("nobody waits any more");
                }
            }
            Some((&QUESTION, _)) => sharing.question(shard, message),
            _ => tracing::warn!("a letter of another version"),
        }
    }

    /// Does what another gateway asks for, which may take a while, and says how it went.
    pub(super) async fn reply_to(self: Arc<Self>, shard: u8, message: Message) {
        let Hub::Shared(sharing) = &self.hub else {
            return;
        };
        let reply = match Asked::from_bytes(message.body.get(1..).unwrap_or_default()) {
            Ok(asked) => self.carry_out_question(asked).await,
            Err(malformed) => {
                tracing::warn!(%malformed, "a letter that cannot be read");
                return;
            }
        };
        sharing.shard(shard).change(|state, now| {
            let from = state.link.holder();
            let body = reply.to_bytes().into();
            state.link.write_to(message.from, Message { from, ticket: message.ticket, body }, now);
        });
    }

    async fn carry_out_question(&self, Asked { account, call_id, question }: Asked) -> Reply {
        let Some(account) = self.directory.account(account) else {
            return Reply::Refused(Reason::UnknownAccount);
        };
        // Whoever asks looks again: it was here a moment ago.
        if self.calls.place(account.id, call_id.as_bytes()).find().is_none() {
            return Reply::Refused(Reason::HubUnavailable);
        }
        let now_us = clock::now_us();
        match question {
            Question::Stands => {
                let stands = self.until_owned(&account, &call_id).await;
                self.as_it_stands(&account, &call_id, stands.map_err(Refusal::from))
            }
            Question::Answer { answered_us } => {
                let answered = self.answer(&account, &call_id, answered_us).await;
                self.as_it_stands(&account, &call_id, answered.map(drop))
            }
            Question::Renew { requested_s } => {
                let renew = Renew { call_id: &call_id, token: None, requested_s };
                let renewed = self.renew(&account, &renew, now_us).await;
                self.as_it_stands(&account, &call_id, renewed.map(drop))
            }
            Question::Lost { place } => {
                self.end_lost(&account, &call_id, place);
                self.as_it_stands(&account, &call_id, Ok(()))
            }
            Question::Release { outcome, billable_s, costs } => {
                let costs = costs.as_deref();
                let release =
                    Release { call_id: &call_id, token: None, outcome, billable_s, costs };
                match self.release(&account, &release, now_us).await {
                    Ok(CallView::Ended(record)) => Reply::Ended(record),
                    Ok(CallView::Live(_)) => Reply::Refused(Reason::HubUnavailable),
                    Err(denial) => Reply::Refused(denial.reason()),
                }
            }
        }
    }

    /// Waits until it is certain whether a call is this gateway's.
    async fn until_owned(&self, account: &Account, call_id: &str) -> Result<(), Reason> {
        let is_open = || match self.calls.place(account.id, call_id.as_bytes()).find() {
            Some(Entry::Live(live)) => live.standing != Standing::Owned,
            _ => false,
        };
        let mut patience = Patience::new();
        while is_open() {
            patience.pause().await?;
        }
        Ok(())
    }

    /// The call after what was done to it.
    fn as_it_stands(&self, account: &Account, call_id: &str, done: Result<(), Refusal>) -> Reply {
        match done {
            Err(Refusal::Denied(denial)) => return Reply::Refused(denial.reason()),
            Err(Refusal::Ended(CallView::Ended(record))) => return Reply::Ended(record),
            Err(Refusal::Ended(CallView::Live(_))) => return Reply::Refused(Reason::CallEnded),
            Ok(()) => {}
        }
        match self.calls.place(account.id, call_id.as_bytes()).find() {
            Some(Entry::Live(live)) => Reply::Live(live.call.clone(), live.lease),
            Some(Entry::Ended(record)) => Reply::Ended(triomphe::Arc::clone(record)),
            None => Reply::Refused(Reason::HubUnavailable),
        }
    }
}

impl Asked {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![QUESTION];
        let mut writer = Writer(&mut bytes);
        writer.fixed(self.account.to_bytes());
        writer.bytes(self.call_id.as_bytes());
        match &self.question {
            Question::Stands => writer.byte(3),
            Question::Lost { place } => {
                writer.byte(4);
                writer.fixed(place.to_bytes());
            }
            Question::Answer { answered_us } => {
                writer.byte(0);
                writer.signed(*answered_us);
            }
            Question::Renew { requested_s } => {
                writer.byte(1);
                writer.optional(requested_s.map(u64::from), Writer::unsigned);
            }
            Question::Release { outcome, billable_s, costs } => {
                writer.byte(2);
                writer.optional(*outcome, |writer, outcome| writer.byte(outcome as u8));
                writer.optional(billable_s.map(u64::from), Writer::unsigned);
                writer.optional(costs.as_ref(), |writer, costs| writer.bytes(costs.as_bytes()));
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let account = AccountId::from_bytes(&reader.fixed()?).ok_or(Malformed("an account"))?;
        let call_id = reader.text()?.into();
        let question = match reader.byte()? {
            0 => Question::Answer { answered_us: reader.signed()? },
            1 => Question::Renew { requested_s: reader.optional(Reader::small)? },
            2 => Question::Release {
                outcome: reader.optional(|reader| one_of(&Outcome::ALL, reader.byte()?))?,
                billable_s: reader.optional(Reader::small)?,
                costs: reader.optional(|reader| reader.text().map(Into::into))?,
            },
            3 => Question::Stands,
            4 => Question::Lost { place: CallPlace::from_bytes(reader.fixed()?) },
            _ => return Err(Malformed("a question")),
        };
        Ok(Self { account, call_id, question })
    }
}

impl Reply {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![REPLY];
        let mut writer = Writer(&mut bytes);
        match self {
            Self::Live(call, lease) => {
                writer.byte(0);
                write_call(&mut writer, call);
                write_lease(&mut writer, lease);
            }
            Self::Ended(record) => {
                writer.byte(1);
                write_record(&mut writer, record);
            }
            Self::Refused(reason) => {
                writer.byte(2);
                writer.byte(*reason as u8);
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        Ok(match reader.byte()? {
            0 => Self::Live(read_call(&mut reader)?, read_lease(&mut reader)?),
            1 => Self::Ended(triomphe::Arc::new(read_record(&mut reader)?)),
            2 => Self::Refused(one_of(&Reason::ALL, reader.byte()?)?),
            _ => return Err(Malformed("a reply")),
        })
    }
}

fn one_of<T: Copy>(all: &[T], position: u8) -> Result<T, Malformed> {
    all.get(usize::from(position)).copied().ok_or(Malformed("a word that is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        AccountId::from_bytes(&[1; AccountId::LEN]).expect("an id")
    }

    #[test]
    fn questions_read_back_as_written_and_cut_ones_are_refused() {
        for question in [
            Question::Stands,
            Question::Lost { place: CallPlace { admitted_us: 1 << 50, admission: 7 } },
            Question::Answer { answered_us: -7 },
            Question::Renew { requested_s: Some(60) },
            Question::Renew { requested_s: None },
            Question::Release {
                outcome: Some(Outcome::Busy),
                billable_s: Some(0),
                costs: Some("{}".into()),
            },
        ] {
            let asked = Asked { account: account(), call_id: "a@b".into(), question };
            let bytes = asked.to_bytes();
            assert_eq!(Asked::from_bytes(&bytes[1..]), Ok(asked));
            for end in 1..bytes.len() {
                assert!(Asked::from_bytes(&bytes[1..end]).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn every_reason_is_told_as_it_is() {
        for reason in Reason::ALL {
            let bytes = Reply::Refused(reason).to_bytes();
            assert_eq!(Reply::from_bytes(&bytes[1..]), Ok(Reply::Refused(reason)));
        }
        assert!(Reply::from_bytes(&[2, 200]).is_err());
    }
}
