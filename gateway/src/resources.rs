//! What calls name besides their account: agents, phone numbers, providers; and the caps that go with
//! some of them. An admit that names another account's is refused; one that names something with a cap
//! counts against it, with its account's outbound cap if that has one. With an embedded hub the counts are
//! here, as the only gateway has all calls; a shared hub counts itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use hub::call::Direction;
use hub::cap::{CapId, Caps};
use hub::denial::{BadField, CapOf, Denial, Reason};
use hub::directory::{ResourceConfig, ResourceKind, number_digits};
use hub::id::AccountId;

use crate::accounts::Account;
use crate::request::Admit;

/// A cap, and the calls that count against it here.
#[derive(Debug)]
pub struct Cap {
    id: CapId,
    /// `u32::MAX`: unlimited.
    most: AtomicU32,
    /// Live calls, and ended ones that the hub has yet to record.
    taken: AtomicU32,
    /// Those ended ones.
    ended: AtomicU32,
}

/// Whether one more call may count against a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Taken,
    /// So many calls are live.
    Full(u32),
    /// As soon as the hub has recorded what has ended.
    Soon(u32),
}

impl Cap {
    pub fn new(id: CapId) -> Self {
        let most = AtomicU32::new(u32::MAX);
        Self { id, most, taken: AtomicU32::new(0), ended: AtomicU32::new(0) }
    }

    /// `None`: unlimited.
    pub fn limit(&self, most: Option<u32>) {
        self.most.store(most.unwrap_or(u32::MAX), Ordering::Release);
    }

    /// Whether nothing has it, and no call counts.
    pub fn is_unused(this: &Arc<Self>) -> bool {
        Arc::strong_count(this) == 1 && this.taken.load(Ordering::Acquire) == 0
    }

    fn take(&self) -> Room {
        let most = self.most.load(Ordering::Acquire);
        let one_more = |taken: u32| (taken < most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Room::Taken,
            Err(taken) if taken.saturating_sub(self.ended.load(Ordering::Acquire)) < most => {
                Room::Soon(most)
            }
            Err(_) => Room::Full(most),
        }
    }

    /// A call of the process before counts whatever the limit is by now.
    pub fn adopt(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// A call that counts has ended; it counts until that is recorded.
    pub fn end(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    pub fn free_ended(&self) {
        self.give_back();
        self.ended.fetch_sub(1, Ordering::AcqRel);
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A cap, and what of the call it is of.
type Taken = (CapOf, Arc<Cap>);

/// The caps of one call, in the order in which they are looked at. Nearly all calls have none.
#[derive(Clone, Debug, Default)]
pub struct Named(Option<Box<[Taken]>>);

/// Why a call does not get all its caps; it has got none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capped {
    pub of: CapOf,
    pub limit: u32,
    /// There is room as soon as the hub has recorded what has ended.
    pub soon: bool,
}

impl From<Capped> for Denial {
    fn from(Capped { of, limit, .. }: Capped) -> Self {
        Self::Capped { of, limit }
    }
}

impl Named {
    fn of(caps: Vec<Taken>) -> Self {
        Self((!caps.is_empty()).then(|| caps.into()))
    }

    fn all(&self) -> &[Taken] {
        self.0.as_deref().unwrap_or_default()
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn ids(&self) -> Caps {
        self.all().iter().map(|(_, cap)| cap.id).collect()
    }

    /// What the cap at a position of [`Named::ids`] is of.
    pub fn at(&self, position: u8) -> Option<CapOf> {
        self.all().get(usize::from(position)).map(|(of, _)| *of)
    }

    /// All or none.
    pub fn take(&self) -> Result<(), Capped> {
        for (position, (of, cap)) in self.all().iter().enumerate() {
            let (limit, soon) = match cap.take() {
                Room::Taken => continue,
                Room::Full(limit) => (limit, false),
                Room::Soon(limit) => (limit, true),
            };
            self.all()[..position].iter().for_each(|(_, cap)| cap.give_back());
            return Err(Capped { of: *of, limit, soon });
        }
        Ok(())
    }

    pub fn give_back(&self) {
        self.all().iter().for_each(|(_, cap)| cap.give_back());
    }
}

/// An agent, a number or a provider.
#[derive(Debug)]
struct Resource {
    version: u64,
    id: CapId,
    /// `None`: any account of the organization may name it.
    account: Option<AccountId>,
    cap: Option<Arc<Cap>>,
}

type Map = DashMap<Box<str>, Resource, RandomState>;

/// Everything of one organization that calls name.
#[derive(Debug, Default)]
pub struct Resources {
    kinds: [Map; ResourceKind::ALL.len()],
}

impl Resources {
    fn of(&self, kind: ResourceKind) -> &Map {
        &self.kinds[kind as usize]
    }

    /// `cap` is the counter of the resource's cap, if it has one.
    pub fn set(&self, config: &ResourceConfig, cap: Option<Arc<Cap>>) {
        let map = self.of(config.kind);
        if map.get(&config.name).is_some_and(|known| known.version > config.version) {
            return;
        }
        let ResourceConfig { version, id, account, .. } = *config;
        map.insert(config.name.clone(), Resource { version, id, account, cap });
    }

    /// A later resource of the same name stays.
    pub fn remove(&self, kind: ResourceKind, name: &str, id: CapId) {
        self.of(kind).remove_if(name, |_, known| known.id == id);
    }

    /// Every name, its kind and its id.
    pub fn visit(&self, mut visit: impl FnMut(ResourceKind, &str, CapId)) {
        for kind in ResourceKind::ALL {
            self.of(kind).iter().for_each(|entry| visit(kind, entry.key(), entry.id));
        }
    }

    /// The cap of what a call of the account names, if it has one; `None`: there is nothing of that name.
    /// `Err`: it is another account's.
    fn named(
        &self,
        kind: ResourceKind,
        name: &str,
        account: AccountId,
    ) -> Option<Result<Option<Arc<Cap>>, Reason>> {
        let known = self.of(kind).get(name)?;
        Some(match known.account {
            Some(owner) if owner != account.real() => Err(Reason::Forbidden),
            _ => Ok(known.cap.clone()),
        })
    }
}

/// The caps against which a call is to count. Refused when it names another account's agent or number, or
/// a provider that its organization does not have. Calls of test keys count against none.
#[inline]
pub fn named(
    account: &Account,
    outbound: Option<&Arc<Cap>>,
    call: &Admit<'_>,
) -> Result<Named, Denial> {
    let outbound = outbound.filter(|_| call.direction == Direction::Outbound);
    let resources = account.organization.resources();
    if resources.is_none() && outbound.is_none() && call.provider.is_empty() {
        return Ok(Named::default());
    }
    look_up(account, outbound, call)
}

fn look_up(
    account: &Account,
    outbound: Option<&Arc<Cap>>,
    call: &Admit<'_>,
) -> Result<Named, Denial> {
    let resources = account.organization.resources();
    let mut caps = Vec::new();
    caps.extend(outbound.map(|cap| (CapOf::Outbound, Arc::clone(cap))));
    if let Some(resources) = resources {
        if !call.agent_id.is_empty() {
            resources.named(ResourceKind::Agent, call.agent_id, account.id).transpose()?;
        }
        let own_number = match call.direction {
            Direction::Outbound => call.from,
            Direction::Inbound => call.to,
        };
        if let Some(digits) = number_digits(own_number) {
            let cap = resources.named(ResourceKind::Number, &digits, account.id).transpose()?;
            caps.extend(cap.flatten().map(|cap| (CapOf::Number, cap)));
        }
    }
    if !call.provider.is_empty() {
        let cap = resources
            .and_then(|it| it.named(ResourceKind::Provider, call.provider, account.id))
            .ok_or_else(|| unknown_provider(call.provider))??;
        caps.extend(cap.map(|cap| (CapOf::Provider, cap)));
    }
    if account.id.is_shadow() {
        caps.clear();
    }
    Ok(Named::of(caps))
}

fn unknown_provider(name: &str) -> Denial {
    let problem = format!("{name:?}: expected the name of a provider of the organization");
    Denial::InvalidRequest(vec![BadField { field: "provider".into(), problem }])
}

#[cfg(test)]
mod tests {
    use hub::id::Ulid;

    use super::*;

    fn cap(number: u128, most: Option<u32>) -> Arc<Cap> {
        let cap = Cap::new(CapId::of(Ulid(number)));
        cap.limit(most);
        Arc::new(cap)
    }

    #[test]
    fn a_call_takes_all_its_caps_or_none() {
        let (wide, narrow) = (cap(1, Some(5)), cap(2, Some(1)));
        let both = Named::of(vec![
            (CapOf::Number, Arc::clone(&wide)),
            (CapOf::Provider, Arc::clone(&narrow)),
        ]);
        assert_eq!(both.take(), Ok(()));
        let refused = Capped { of: CapOf::Provider, limit: 1, soon: false };
        for _ in 0..9 {
            assert_eq!(both.take(), Err(refused));
        }
        assert_eq!(wide.taken.load(Ordering::Relaxed), 1, "a refusal takes nothing");
        narrow.end();
        assert_eq!(both.take(), Err(Capped { soon: true, ..refused }));
        narrow.free_ended();
        assert_eq!(both.take(), Ok(()));
    }

    #[test]
    fn a_lowered_cap_admits_nothing_until_use_has_fallen() {
        let cap = cap(1, None);
        (0..3).for_each(|_| cap.adopt());
        cap.limit(Some(2));
        assert_eq!(cap.take(), Room::Full(2));
        cap.end();
        cap.free_ended();
        assert_eq!(cap.take(), Room::Full(2));
        cap.end();
        cap.free_ended();
        assert_eq!(cap.take(), Room::Taken);
    }
}
