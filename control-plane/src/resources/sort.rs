//! The three sorts of resources as routes name them, and the words for each.

use hub::directory::ResourceKind;

use crate::description::schema::{self, Schema};
use crate::problem::Kind;

/// What a route is about.
pub(crate) trait Sort: 'static {
    const KIND: ResourceKind;
}

pub(crate) struct Agents;
pub(crate) struct Numbers;
pub(crate) struct Providers;

impl Sort for Agents {
    const KIND: ResourceKind = ResourceKind::Agent;
}

impl Sort for Numbers {
    const KIND: ResourceKind = ResourceKind::Number;
}

impl Sort for Providers {
    const KIND: ResourceKind = ResourceKind::Provider;
}

/// What is said of a kind.
pub(super) struct Words {
    pub(super) one: &'static str,
    /// Its name in the document.
    pub(super) component: &'static str,
    /// What its ids begin with.
    pub(super) prefix: &'static str,
    /// Of one of them.
    pub(super) path: &'static str,
    /// The field that people read.
    pub(super) label: &'static str,
    pub(super) unknown: Kind,
    /// As the audit names what was done.
    pub(super) created: &'static str,
    pub(super) updated: &'static str,
    pub(super) deleted: &'static str,
    /// What the document calls its operations.
    pub(super) summaries: Summaries,
}

pub(super) struct Summaries {
    pub(super) list: &'static str,
    pub(super) create: &'static str,
    pub(super) read: &'static str,
    pub(super) patch: &'static str,
    pub(super) delete: &'static str,
}

pub(super) const fn words(kind: ResourceKind) -> &'static Words {
    match kind {
        ResourceKind::Agent => &AGENT,
        ResourceKind::Number => &NUMBER,
        ResourceKind::Provider => &PROVIDER,
    }
}

const AGENT: Words = Words {
    one: "agent",
    component: "Agent",
    prefix: "agt",
    path: "/v1/agents/{resource_id}",
    label: "name",
    unknown: Kind::UnknownAgent,
    created: "agent.created",
    updated: "agent.updated",
    deleted: "agent.deleted",
    summaries: Summaries {
        list: "List agents",
        create: "Create an agent",
        read: "Read an agent",
        patch: "Change an agent",
        delete: "Delete an agent",
    },
};

const NUMBER: Words = Words {
    one: "phone number",
    component: "PhoneNumber",
    prefix: "num",
    path: "/v1/phone-numbers/{resource_id}",
    label: "label",
    unknown: Kind::UnknownPhoneNumber,
    created: "phone_number.created",
    updated: "phone_number.updated",
    deleted: "phone_number.deleted",
    summaries: Summaries {
        list: "List phone numbers",
        create: "Create a phone number",
        read: "Read a phone number",
        patch: "Change a phone number",
        delete: "Delete a phone number",
    },
};

const PROVIDER: Words = Words {
    one: "provider",
    component: "Provider",
    prefix: "prv",
    path: "/v1/providers/{resource_id}",
    label: "label",
    unknown: Kind::UnknownProvider,
    created: "provider.created",
    updated: "provider.updated",
    deleted: "provider.deleted",
    summaries: Summaries {
        list: "List providers",
        create: "Create a provider",
        read: "Read a provider",
        patch: "Change a provider",
        delete: "Delete a provider",
    },
};

/// The id in the path of a route that is about one of them.
pub(crate) fn id_parameter(path: &str) -> Schema {
    let of_path = ResourceKind::ALL.into_iter().map(words).find(|words| words.path == path);
    let words = of_path.unwrap_or(&AGENT);
    schema::id(words.prefix).about(format!("the {}", words.one))
}
