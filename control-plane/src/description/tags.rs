//! How the document groups operations: by the last segment of their path that names a group.

use serde_json::{Value, json};

use crate::compatibility;

/// Tags by the segment of a path that says what an operation is about: the last of a path counts.
const TAGS: &[(&str, &str, &str)] = &[
    (
        "sub-accounts",
        "Sub-accounts",
        "Isolated tenants of an organization: slots, billing, region, presentation.",
    ),
    ("workspaces", "Workspaces", "Parts of an organization itself, billed to it."),
    ("organizations", "Organizations", "What organizations bought, and their settings."),
    ("organization", "Organizations", ""),
    ("wallet", "Wallets", "Prepaid money. Every movement is an entry of the double-entry ledger."),
    ("recharge-attempts", "Wallets", ""),
    ("invoices", "Invoices", "What calls were charged, as documents: invoices and credit notes."),
    ("credit-notes", "Invoices", ""),
    ("invoicing", "Invoices", ""),
    ("billing-details", "Invoices", ""),
    ("rate-decks", "Rate decks", "What calls cost by direction and destination."),
    ("price", "Rate decks", ""),
    (
        "api-keys",
        "API keys",
        "Keys of organizations, sub-accounts and workspaces. A secret is shown once, and stored as a hash.",
    ),
    (
        "agents",
        "Resources",
        "What calls name besides their account: agents, phone numbers, providers.",
    ),
    ("phone-numbers", "Resources", ""),
    ("providers", "Resources", ""),
    ("members", "People", "Members of organizations and of sub-accounts, and invitations."),
    ("invitations", "People", ""),
    ("sessions", "Sessions", "Signing in with an e-mail address and a password."),
    ("me", "Sessions", ""),
    ("password-resets", "Sessions", ""),
    ("password", "Sessions", ""),
    (
        "delegations",
        "Delegations",
        "An organization's people in one of its accounts, for a reason.",
    ),
    ("tokens", "API tokens", "What a user's programs show in its place."),
    ("calls", "Usage", "What finished calls were and cost."),
    ("usage", "Usage", ""),
    ("refused-demand", "Usage", ""),
    ("audit", "Audit", "Who changed what: entries sealed into a hash chain per organization."),
    ("user-webhooks", "Webhooks", "Events, sent to a URL: signed, tried again, logged."),
    ("webhook-deliveries", "Webhooks", ""),
    ("openapi.json", "Documentation", "This document, and a page that shows it."),
    ("docs", "Documentation", ""),
];

const SECOND_SURFACE: (&str, &str) = (
    "Second surface",
    "The requests of clients of another platform, over the same data. Success is 200, unknown fields are ignored, sub-accounts are named by UUIDs.",
);

pub(super) fn tag(path: &str) -> &'static str {
    if compatibility::owns(path) {
        return SECOND_SURFACE.0;
    }
    let of = |segment| TAGS.iter().find(|(known, ..)| *known == segment).map(|(_, tag, _)| *tag);
    path.rsplit('/').find_map(of).unwrap_or_default()
}

pub(super) fn tags() -> Vec<Value> {
    let tags = TAGS.iter().map(|(_, name, about)| (*name, *about));
    let described = tags.chain([SECOND_SURFACE]).filter(|(_, about)| !about.is_empty());
    described.map(|(name, about)| json!({"name": name, "description": about})).collect()
}
