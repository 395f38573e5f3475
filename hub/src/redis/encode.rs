//! Requests as the arguments of the scripts. The bytes of calls, leases and records travel as they are;
//! beside them what the scripts look into. A number that Redis could not keep exactly is an error here.

use crate::call::{Call, CallPlace, Record};
use crate::cap::CapId;
use crate::directory::{Billing, WalletConfig};
use crate::id::{AccountId, HolderId};
pub use crate::redis::pack::OutOfRange;
use crate::redis::pack::Packer;
use crate::state::exchange::{Begin, Exchange, Mail, Message};
use crate::state::record_codec::{write_call, write_lease, write_record};
use crate::state::request::{Event, Lease, Request, Sync};
use crate::state::request_codec::write_wallet;

/// First byte of a letter.
pub(super) mod letter {
    pub const RECALL: u8 = b'R';
    pub const RECALL_MONEY: u8 = b'W';
    pub const MESSAGE: u8 = b'M';
}

/// A new incarnation, with all configuration: no exchange counts between the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning {
    pub begin: Begin,
    pub configuration: Vec<Request>,
}

/// The argument of a script.
type Argument = Result<Vec<u8>, OutOfRange>;

pub fn exchange(exchange: &Exchange) -> Argument {
    let mut packer = Packer::default();
    packer.list(18);
    packer.number(exchange.incarnation);
    packer.number(exchange.number);
    packer.flag(exchange.claim.is_some());
    packer.number(exchange.claim.map_or(0, |claim| claim.saw_ms));
    packer.number(exchange.claim.map_or(0, |claim| claim.elapsed_ms));
    packer.number(exchange.mail_seen);
    packer.flag(exchange.complete);
    packer.flag(exchange.leaving);
    pack_holder(&mut packer, exchange.sync.holder);
    pack_sync(&mut packer, &exchange.sync);
    packer.number(exchange.first_record);
    packer.list(exchange.mail.len());
    for (to, mail) in &exchange.mail {
        packer.list(2);
        pack_holder(&mut packer, *to);
        pack_mail(&mut packer, mail);
    }
    packer.list(exchange.reap.len());
    for standstill in &exchange.reap {
        packer.list(2);
        pack_holder(&mut packer, standstill.holder);
        packer.number(standstill.beat);
    }
    packer.list(exchange.find.len());
    for key in &exchange.find {
        pack_name(&mut packer, key.account, &key.call_id);
    }
    packer.finish()
}

pub fn begin(beginning: &Beginning) -> Argument {
    let Beginning { begin, configuration } = beginning;
    let mut packer = Packer::default();
    packer.list(8);
    packer.number(begin.incarnation);
    packer.list(begin.holders.len());
    begin.holders.iter().for_each(|id| pack_holder(&mut packer, *id));
    packer.number(begin.learn_min_ms);
    packer.number(begin.learn_max_ms);
    packer.number(begin.call_lease_s.into());
    packer.number(begin.clock_ms);
    packer.number(begin.clock_seen_ms);
    pack_configuration(&mut packer, configuration);
    packer.finish()
}

pub fn confirm(holder: HolderId) -> Argument {
    let mut packer = Packer::default();
    packer.list(1);
    pack_holder(&mut packer, holder);
    packer.finish()
}

pub fn bury(holder: HolderId) -> Argument {
    let mut packer = Packer::default();
    packer.list(1);
    pack_holder(&mut packer, holder);
    packer.finish()
}

pub fn standing() -> Argument {
    let mut packer = Packer::default();
    packer.list(0);
    packer.finish()
}

/// What a publication is to its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// A part of the whole directory anew.
    Anew = 1,
    /// The last part of that.
    LastAnew = 2,
}

/// An entry of a directory: its name and the bytes of its change.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Of `configuration` only what changes configuration.
pub fn publish(number: u64, part: Part, configuration: &[Request], entries: &[Entry]) -> Argument {
    let mut packer = Packer::default();
    packer.list(4);
    packer.number(number);
    packer.number(part as u64);
    pack_configuration(&mut packer, configuration);
    packer.list(entries.len());
    for (name, change) in entries {
        packer.list(2);
        packer.bytes(name);
        packer.bytes(change);
    }
    packer.finish()
}

/// What was published in an incarnation after its publication `after`.
pub fn recent(incarnation: u64, after: u64) -> Argument {
    let mut packer = Packer::default();
    packer.list(2);
    packer.number(incarnation);
    packer.number(after);
    packer.finish()
}

/// A page of the directory, to be read or to be swept: the first of `cursor` 0, else where the one before
/// ended.
pub fn page(cursor: &[u8]) -> Argument {
    let mut packer = Packer::default();
    packer.list(1);
    packer.bytes(cursor);
    packer.finish()
}

/// Of an account, or the owner of a wallet.
pub fn account(id: AccountId) -> Argument {
    let mut packer = Packer::default();
    packer.list(1);
    pack_account(&mut packer, id);
    packer.finish()
}

pub fn account_use(id: AccountId, holder: Option<HolderId>) -> Argument {
    let mut packer = Packer::default();
    packer.list(2);
    pack_account(&mut packer, id);
    match holder {
        Some(holder) => pack_holder(&mut packer, holder),
        None => packer.bytes(b""),
    }
    packer.finish()
}

pub fn live_calls(id: AccountId, after: Option<CallPlace>, most: u32) -> Argument {
    let mut packer = Packer::default();
    packer.list(3);
    pack_account(&mut packer, id);
    packer.bytes(after.map(CallPlace::to_bytes).as_ref().map_or(&[], <[u8; _]>::as_slice));
    packer.number(most.into());
    packer.finish()
}

pub fn acknowledge(incarnation: u64, through: u64) -> Argument {
    let mut packer = Packer::default();
    packer.list(2);
    packer.number(incarnation);
    packer.number(through);
    packer.finish()
}

pub fn forget(count: u32) -> Argument {
    let mut packer = Packer::default();
    packer.list(1);
    packer.number(count.into());
    packer.finish()
}

/// At most `count_max` records that follow the one numbered `after`.
pub fn records(after: u64, count_max: u32) -> Argument {
    let mut packer = Packer::default();
    packer.list(2);
    packer.number(after);
    packer.number(count_max.into());
    packer.finish()
}

fn pack_holder(packer: &mut Packer, id: HolderId) {
    packer.bytes(&id.0.to_le_bytes());
}

fn pack_account(packer: &mut Packer, id: AccountId) {
    packer.bytes(&id.to_bytes());
}

fn pack_name(packer: &mut Packer, account: AccountId, call_id: &[u8]) {
    packer.bytes_of(AccountId::LEN + call_id.len(), |writer| {
        writer.fixed(account.to_bytes());
        writer.0.extend_from_slice(call_id);
    });
}

fn pack_sync(packer: &mut Packer, sync: &Sync) {
    packer.list(sync.events.len());
    sync.events.iter().for_each(|event| pack_event(packer, event));
    packer.list(sync.holdings.len());
    for holding in &sync.holdings {
        packer.list(4);
        pack_account(packer, holding.counter);
        packer.number(holding.granted);
        packer.number(holding.returned);
        packer.number(holding.unflushed_max.into());
    }
    packer.list(sync.wants.len());
    for want in &sync.wants {
        packer.list(3);
        pack_account(packer, want.counter);
        packer.number(want.units.into());
        packer.flag(want.recalled);
    }
    packer.list(sync.purses.len());
    for purse in &sync.purses {
        packer.list(4);
        pack_account(packer, purse.owner);
        packer.signed(purse.granted.micros());
        packer.signed(purse.returned.micros());
        packer.signed(purse.unflushed_max.micros());
    }
    packer.list(sync.funds.len());
    for fund in &sync.funds {
        packer.list(3);
        pack_account(packer, fund.owner);
        packer.signed(fund.least.micros());
        packer.signed(fund.most.micros());
    }
}

fn pack_event(packer: &mut Packer, event: &Event) {
    match event {
        Event::Admitted { call, lease } => pack_leased(packer, "admitted", call, lease),
        Event::Wanted { call, lease, has_unit: false } => {
            pack_leased(packer, "wanted", call, lease);
        }
        Event::Wanted { call, lease, has_unit: true } => {
            pack_leased(packer, "wanted-on-unit", call, lease);
        }
        Event::Renewed { call, lease } => pack_leased(packer, "renewed", call, lease),
        Event::Adopted { call, lease } => pack_leased(packer, "adopted", call, lease),
        Event::Withdrawn(call) => {
            packer.list(4);
            pack_call(packer, "withdrawn", call);
        }
        Event::Ended(record) => pack_record(packer, record),
    }
}

/// What happened, to which call, and how it is billed.
fn pack_call(packer: &mut Packer, kind: &str, call: &Call) {
    let facts = call.facts();
    packer.bytes(kind.as_bytes());
    pack_name(packer, call.account(), call.call_id());
    packer.bytes_of(16, |writer| {
        writer.fixed(facts.admission.to_le_bytes());
        writer.fixed(facts.admitted_us.to_le_bytes());
    });
    packer.number(match facts.pins.as_ref().map(|pins| pins.billing) {
        None => 0,
        Some(Billing::Isolated) => 1,
        Some(Billing::Consolidated) => 2,
    });
}

fn pack_leased(packer: &mut Packer, kind: &str, call: &Call, lease: &Lease) {
    packer.list(9);
    pack_call(packer, kind, call);
    let caps = call.caps();
    packer.bytes_of(caps.as_slice().len() * CapId::LEN, |writer| {
        caps.as_slice().iter().for_each(|id| writer.fixed(id.to_bytes()));
    });
    packer.number(lease.deadline.into());
    packer.signed(lease.hold.micros());
    pack_written(packer, |writer| write_call(writer, call));
    pack_written(packer, |writer| write_lease(writer, lease));
}

fn pack_record(packer: &mut Packer, record: &Record) {
    packer.list(8);
    pack_call(packer, "ended", &record.call);
    packer.number(record.forget_at.into());
    packer.number(record.revision.into());
    packer.signed(record.taken().micros());
    pack_written(packer, |writer| write_record(writer, record));
}

fn pack_written(packer: &mut Packer, write: impl FnOnce(&mut crate::codec::Writer<'_>)) {
    let mut bytes = Vec::new();
    write(&mut crate::codec::Writer(&mut bytes));
    packer.bytes(&bytes);
}

fn pack_mail(packer: &mut Packer, mail: &Mail) {
    match mail {
        Mail::Recall(id) => pack_recall(packer, letter::RECALL, *id),
        Mail::RecallMoney(id) => pack_recall(packer, letter::RECALL_MONEY, *id),
        Mail::Message(Message { from, ticket, body }) => {
            packer.bytes_of(1 + 16 + 8 + body.len(), |writer| {
                writer.byte(letter::MESSAGE);
                writer.fixed(from.0.to_le_bytes());
                writer.fixed(ticket.to_le_bytes());
                writer.0.extend_from_slice(body);
            });
        }
    }
}

fn pack_recall(packer: &mut Packer, tag: u8, id: AccountId) {
    packer.bytes_of(1 + AccountId::LEN, |writer| {
        writer.byte(tag);
        writer.fixed(id.to_bytes());
    });
}

fn pack_configuration(packer: &mut Packer, requests: &[Request]) {
    let changes = |request: &&Request| {
        matches!(
            request,
            Request::Organization { .. }
                | Request::Counter { .. }
                | Request::CounterGone { .. }
                | Request::Cap { .. }
                | Request::CapGone { .. }
                | Request::Wallet(_)
        )
    };
    packer.list(requests.iter().filter(changes).count());
    requests.iter().filter(changes).for_each(|request| pack_change(packer, request));
}

fn pack_change(packer: &mut Packer, request: &Request) {
    match request {
        Request::Organization { id, version, total } => {
            packer.list(4);
            packer.bytes(b"organization");
            pack_account(packer, *id);
            packer.number(*version);
            packer.number((*total).into());
        }
        Request::Counter { id, organization, version, floor, cap, outbound_cap } => {
            packer.list(7);
            packer.bytes(b"counter");
            pack_account(packer, *id);
            pack_account(packer, *organization);
            packer.number(*version);
            packer.number((*floor).into());
            packer.number((*cap).into());
            pack_limit(packer, *outbound_cap);
        }
        Request::Cap { id, version, most } => {
            packer.list(4);
            packer.bytes(b"cap");
            packer.bytes(&id.to_bytes());
            packer.number(*version);
            pack_limit(packer, *most);
        }
        Request::CapGone { id } => {
            packer.list(2);
            packer.bytes(b"cap_gone");
            packer.bytes(&id.to_bytes());
        }
        Request::CounterGone { id } => {
            packer.list(2);
            packer.bytes(b"counter_gone");
            pack_account(packer, *id);
        }
        Request::Wallet(config) => pack_wallet(packer, config),
        Request::TakeOver { .. }
        | Request::Sync(_)
        | Request::Acknowledge { .. }
        | Request::Forget { .. } => {}
    }
}

/// Unlimited is below every limit.
fn pack_limit(packer: &mut Packer, most: Option<u32>) {
    packer.signed(most.map_or(-1, i64::from));
}

fn pack_wallet(packer: &mut Packer, config: &WalletConfig) {
    packer.list(6);
    packer.bytes(b"wallet");
    pack_account(packer, config.owner);
    packer.number(config.sequence);
    packer.signed(config.escrow.micros());
    packer.signed(config.posted.micros());
    pack_written(packer, |writer| write_wallet(writer, config));
}
