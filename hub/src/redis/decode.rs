//! What the scripts answer, as what the state machine answers. Tables of a reply have no order in Redis;
//! here they are sorted, as the state machine has them.

use redis::Value;
use triomphe::Arc;

use crate::call::Record;
use crate::codec::{self, Reader};
use crate::denial::Scope;
use crate::embedded::{AccountUse, WalletUse};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::redis::encode::letter;
use crate::redis::hub::{Member, ShardStanding};
use crate::shared::{CallsInUse, HeldCall};
use crate::state::calls::Live;
use crate::state::exchange::{Found, Funding, Mail, Message, Reply, Standing, Terms};
use crate::state::record_codec::{read_call, read_lease, read_record};
use crate::state::request::{Answer, Funded, Wanted};

/// Why a script applied nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the shard's memory was begun on another server or history: a new incarnation must begin"
    )]
    Unsealed,
    #[error("the shard's memory is of protocol {0}, which this version does not know")]
    OtherProtocol(String),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The answer is not one of a script of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer that this version cannot read: {0}")]
pub struct Malformed(pub &'static str);

impl From<codec::Malformed> for Malformed {
    fn from(problem: codec::Malformed) -> Self {
        Self(problem.0)
    }
}

/// The values of a list, taken from the front.
struct Values(std::vec::IntoIter<Value>);

impl Values {
    fn of(value: Value) -> Result<Self, Malformed> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(Malformed("a list")),
        }
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        self.0.next().ok_or(Malformed("a list is too short"))
    }

    fn signed(&mut self) -> Result<i64, Malformed> {
        match self.value()? {
            Value::Int(number) => Ok(number),
            _ => Err(Malformed("a number")),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.signed()?.try_into().map_err(|_| Malformed("a number is negative"))
    }

    fn small(&mut self) -> Result<u32, Malformed> {
        self.signed()?.try_into().map_err(|_| Malformed("a number is too large"))
    }

    fn amount(&mut self) -> Result<Amount, Malformed> {
        self.signed().map(Amount::from_micros)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(Malformed("bytes")),
        }
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        self.signed().map(|number| number == 1)
    }

    /// A list of bytes.
    fn all_bytes(&mut self) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut list = Self::of(self.value()?)?;
        let length = list.0.len();
        (0..length).map(|_| list.bytes()).collect()
    }

    fn account(&mut self) -> Result<AccountId, Malformed> {
        account(&self.bytes()?)
    }

    fn holder(&mut self) -> Result<HolderId, Malformed> {
        holder(&self.bytes()?)
    }

    fn positions(&mut self) -> Result<Vec<usize>, Malformed> {
        let positions = Self::of(self.value()?)?.0.map(|position| match position {
            Value::Int(position) => position.try_into().map_err(|_| Malformed("a position")),
            _ => Err(Malformed("a position")),
        });
        positions.collect()
    }

    /// A list whose items are lists.
    fn lists<T>(
        &mut self,
        read: impl FnMut(&mut Values) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let lists = Self::of(self.value()?)?.0.map(Self::of);
        let mut read = read;
        lists.map(|list| read(&mut list?)).collect()
    }
}

fn account(bytes: &[u8]) -> Result<AccountId, Malformed> {
    let bytes = bytes.try_into().map_err(|_| Malformed("an account id"))?;
    AccountId::from_bytes(bytes).ok_or(Malformed("an account id"))
}

fn holder(bytes: &[u8]) -> Result<HolderId, Malformed> {
    let bytes = bytes.try_into().map_err(|_| Malformed("a holder id"))?;
    Ok(HolderId(u128::from_le_bytes(bytes)))
}

/// What follows the code that every answer begins with.
fn applied(value: Value) -> Result<Values, Refusal> {
    let mut values = Values::of(value)?;
    match values.signed()? {
        0 => Ok(values),
        1 => Err(Refusal::Unsealed),
        2 => Err(Refusal::OtherProtocol(String::from_utf8_lossy(&values.bytes()?).into_owned())),
        _ => Err(Malformed("an unknown answer").into()),
    }
}

/// The answer of a script that only says that it was applied.
pub fn done(value: Value) -> Result<(), Refusal> {
    applied(value).map(drop)
}

/// Whether the incarnation began: there was none as new.
pub fn begun(value: Value) -> Result<bool, Refusal> {
    Ok(applied(value)?.flag()?)
}

/// Records with their numbers.
pub fn records(value: Value) -> Result<Vec<(u64, Record)>, Refusal> {
    let mut values = applied(value)?;
    let first = values.number()?;
    let records = Values::of(values.value()?)?.0.map(|record| match record {
        Value::BulkString(bytes) => Ok(read_record(&mut Reader(&bytes))?),
        _ => Err(Malformed("a record")),
    });
    Ok((first..)
        .zip(records)
        .map(|(number, record)| Ok((number, record?)))
        .collect::<Result<Vec<_>, Malformed>>()?)
}

/// How the shard stands; members in the order of their ids.
pub fn standing(value: Value) -> Result<ShardStanding, Refusal> {
    let mut values = applied(value)?;
    let (incarnation, is_learning) = (values.number()?, values.flag()?);
    let mut members = values.lists(|member| {
        let (id, confirmed, dying) = (member.holder()?, member.flag()?, member.flag()?);
        Ok(Member { id, confirmed, dying })
    })?;
    members.sort_unstable();
    let (directory, last_record) = (values.number()?, values.number()?);
    let (acknowledged, clock_ms) = (values.number()?, values.number()?);
    Ok(ShardStanding {
        incarnation,
        is_learning,
        members,
        directory,
        last_record,
        acknowledged,
        clock_ms,
    })
}

pub fn account_use(value: Value) -> Result<CallsInUse, Refusal> {
    let mut values = applied(value)?;
    Ok(CallsInUse {
        account: AccountUse { leased: values.small()?, live: values.small()? },
        own: values.small()?,
        organization: values.small()?,
    })
}

/// Live calls in the order of their admission.
pub fn live_calls(value: Value) -> Result<Vec<HeldCall>, Refusal> {
    let calls = applied(value)?.lists(|call| {
        let (holder, Live { call, lease, .. }) = live(call)?;
        Ok(HeldCall { holder, call, lease })
    })?;
    Ok(calls)
}

pub fn wallet_use(value: Value) -> Result<WalletUse, Refusal> {
    let mut values = applied(value)?;
    Ok(WalletUse { held: values.amount()?, spent: values.amount()?, idle: values.amount()? })
}

/// What a reader is told of the directory.
#[derive(Debug)]
pub struct Recent {
    pub incarnation: u64,
    /// The last publication by the directory's own count; 0: nothing counts yet.
    pub revision: u64,
    /// Entries of publications below do not count.
    pub floor: u64,
    /// What changed since; `None`: that is not known any more.
    pub entries: Option<Vec<Vec<u8>>>,
}

pub fn recent(value: Value) -> Result<Recent, Refusal> {
    let mut values = applied(value)?;
    let (incarnation, revision) = (values.number()?, values.number()?);
    let (floor, is_known) = (values.number()?, values.flag()?);
    let entries = values.all_bytes()?;
    Ok(Recent { incarnation, revision, floor, entries: is_known.then_some(entries) })
}

/// The cursor of the next page, and entries: names and values in turn.
pub fn page(value: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>), Refusal> {
    let mut values = applied(value)?;
    Ok((values.bytes()?, values.all_bytes()?))
}

/// The cursor of the next page.
pub fn swept(value: Value) -> Result<Vec<u8>, Refusal> {
    Ok(applied(value)?.bytes()?)
}

/// The reply to an exchange, and the directory's revision.
pub fn reply(value: Value) -> Result<(Reply, u64), Refusal> {
    let mut values = applied(value)?;
    let mut reply = Reply {
        standing: standing_of(&values.bytes()?)?,
        incarnation: values.number()?,
        clock_ms: values.number()?,
        learning: values.flag()?,
        answer: Answer::default(),
        terms: Vec::new(),
        funding: Vec::new(),
        found: Vec::new(),
        mail: Vec::new(),
        due: Vec::new(),
        beats: Vec::new(),
        records_acknowledged: 0,
    };
    let revision = values.number()?;
    if reply.standing == Standing::Member {
        read_member(&mut values, &mut reply)?;
    }
    Ok((reply, revision))
}

fn read_member(values: &mut Values, reply: &mut Reply) -> Result<(), Malformed> {
    reply.answer.wanted = values.lists(wanted)?;
    reply.answer.decided = values.lists(wanted)?;
    reply.answer.funded = values.lists(funded)?;
    reply.answer.rejected = values.positions()?;
    reply.answer.deferred = values.positions()?;
    reply.terms = values.lists(|terms| {
        Ok(Terms {
            counter: terms.account()?,
            granted: terms.number()?,
            unflushed_max: terms.small()?,
        })
    })?;
    reply.terms.sort_unstable_by_key(|terms| terms.counter);
    reply.funding =
        values.lists(|one| Ok(Funding { owner: one.account()?, granted: one.amount()? }))?;
    reply.funding.sort_unstable_by_key(|funding| funding.owner);
    reply.found = values.lists(found)?;
    let letters = Values::of(values.value()?)?.0.map(|letter| match letter {
        Value::BulkString(bytes) => mail(&bytes),
        _ => Err(Malformed("a letter")),
    });
    reply.mail = letters.collect::<Result<_, _>>()?;
    reply.due = values.lists(|due| Ok(live(due)?.1))?;
    reply.beats = values.lists(|beat| Ok((beat.holder()?, beat.number()?)))?;
    reply.beats.sort_unstable();
    reply.records_acknowledged = values.number()?;
    Ok(())
}

fn standing_of(word: &[u8]) -> Result<Standing, Malformed> {
    Ok(match word {
        b"member" => Standing::Member,
        b"other-incarnation" => Standing::OtherIncarnation,
        b"unreported" => Standing::Unreported,
        b"outdated" => Standing::Outdated,
        b"gone" => Standing::Gone,
        _ => return Err(Malformed("an unknown standing")),
    })
}

fn wanted(values: &mut Values) -> Result<Wanted, Malformed> {
    Ok(match values.bytes()?.as_slice() {
        b"granted" => Wanted::Granted(values.small()?),
        b"recall" => Wanted::Recall,
        b"refused" => {
            let scope = match values.bytes()?.as_slice() {
                b"account" => Scope::Account,
                b"organization" => Scope::Organization,
                _ => return Err(Malformed("an unknown scope")),
            };
            Wanted::Refused { scope, limit: values.small()? }
        }
        b"capped" => {
            let position = values.small()?.try_into().map_err(|_| Malformed("a cap's position"))?;
            Wanted::Capped { position, limit: values.small()? }
        }
        b"unknown" => Wanted::Unknown,
        b"learning" => Wanted::Learning,
        _ => return Err(Malformed("an unknown answer to a want")),
    })
}

fn funded(values: &mut Values) -> Result<Funded, Malformed> {
    Ok(match values.bytes()?.as_slice() {
        b"granted" => Funded::Granted(values.amount()?),
        b"recall" => Funded::Recall,
        b"empty" => Funded::Empty(values.amount()?),
        b"learning" => Funded::Learning,
        _ => return Err(Malformed("an unknown answer to a fund")),
    })
}

fn found(values: &mut Values) -> Result<Found, Malformed> {
    Ok(match values.bytes()?.as_slice() {
        b"nothing" => Found::Nothing,
        b"live" => {
            let (holder, live) = live(&mut Values::of(values.value()?)?)?;
            Found::Live(holder, live)
        }
        b"ended" => Found::Ended(Arc::new(read_record(&mut Reader(&values.bytes()?))?)),
        _ => return Err(Malformed("an unknown find")),
    })
}

/// The deadline beside the bytes counts: a call that lost its holder lives longer than it knew.
fn live(values: &mut Values) -> Result<(Option<HolderId>, Live), Malformed> {
    let call = read_call(&mut Reader(&values.bytes()?))?;
    let mut lease = read_lease(&mut Reader(&values.bytes()?))?;
    lease.deadline = values.small()?;
    let at = values.bytes()?;
    let at = if at.is_empty() { None } else { Some(holder(&at)?) };
    Ok((at, Live::orphan(call, lease)))
}

pub(super) fn mail(bytes: &[u8]) -> Result<Mail, Malformed> {
    let mut reader = Reader(bytes);
    Ok(match reader.byte()? {
        letter::RECALL => Mail::Recall(account(reader.0)?),
        letter::RECALL_MONEY => Mail::RecallMoney(account(reader.0)?),
        letter::MESSAGE => Mail::Message(Message {
            from: HolderId(u128::from_le_bytes(reader.fixed()?)),
            ticket: u64::from_le_bytes(reader.fixed()?),
            body: reader.0.into(),
        }),
        _ => return Err(Malformed("an unknown letter")),
    })
}
