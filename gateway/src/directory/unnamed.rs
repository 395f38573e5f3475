//! What a whole reading of a shard does not name any more.

use std::collections::HashSet;

use hub::cap::CapId;
use hub::deck::DeckId;
use hub::directory::Change;
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};

use super::Directory;

/// What a whole reading names.
#[derive(Debug, Default)]
pub struct Named {
    accounts: HashSet<AccountId>,
    keys: HashSet<KeyHash>,
    resources: HashSet<CapId>,
    decks: HashSet<DeckId>,
}

impl<'a> FromIterator<&'a Change> for Named {
    fn from_iter<I: IntoIterator<Item = &'a Change>>(changes: I) -> Self {
        let mut named = Self::default();
        for change in changes {
            match change {
                Change::Account(config) => drop(named.accounts.insert(config.id)),
                Change::Key { hash, .. } => drop(named.keys.insert(*hash)),
                Change::Resource(config) => drop(named.resources.insert(config.id)),
                Change::Deck(config) => drop(named.decks.insert(config.id)),
                _ => {}
            }
        }
        named
    }
}

impl Directory {
    /// The end of everything of a shard that is known here and not named.
    pub fn unnamed(&self, shard: u8, named: &Named) -> Vec<Change> {
        let mut gone = Vec::new();
        for key in &self.keys {
            if !named.keys.contains(key.key()) && self.shard_of(key.opens.scope) == Some(shard) {
                gone.push(Change::KeyGone { hash: *key.key(), organization: None });
            }
        }
        self.visit_accounts(|account| {
            let is_here = account.organization.shard == shard && !account.id.is_shadow();
            if is_here && !named.accounts.contains(&account.id) {
                let organization = account.organization.id;
                gone.push(Change::AccountGone { id: account.id, organization });
            }
        });
        self.visit_organizations(|it| {
            let Some(own) = it.resources().filter(|_| it.shard == shard) else { return };
            own.visit(|kind, name, id| {
                if !named.resources.contains(&id) {
                    let (organization, name) = (it.id, name.into());
                    gone.push(Change::ResourceGone { organization, kind, name, id });
                }
            });
        });
        for deck in self.decks.iter().filter(|deck| !named.decks.contains(&deck.id)) {
            if let Some(organization) = deck.organization().filter(|it| it.shard() == shard) {
                gone.push(Change::DeckGone { organization, id: deck.id });
            }
        }
        gone
    }

    /// Where a key is published.
    fn shard_of(&self, scope: KeyScope) -> Option<u8> {
        match scope {
            KeyScope::Operator => Some(0),
            KeyScope::Organization(id) => Some(id.real().shard()),
            KeyScope::Account(id) => {
                self.accounts.get(&id.real()).map(|account| account.organization.shard)
            }
        }
    }
}
