//! Every route of the control plane, one line each: method, path, what it is about, who may, and
//! what the OpenAPI document says of it. And what every request goes through on its way: time limit,
//! authentication, allowance, permission, body limit.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, RawPathParams, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{RequestExt as _, Router};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::access::{self, Subject};
use crate::allowance::Left;
use crate::description::{Operation, document};
use crate::fields::Fields;
use crate::idempotency::Idempotency;
use crate::permission::Permit;
use crate::principal::{self, Principal};
use crate::problem::{Kind, Problem};
use crate::request::{Request, read_body};
use crate::{
    Shared, audit, compatibility, decks, delegations, invitations, invoices, keys, members,
    organizations, resets, resources, sessions, sub_accounts, tokens, usage, users, viewer,
    wallets, webhooks,
};

/// The longest that a request takes, its body's arrival included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// One line of the table.
pub(crate) struct Route {
    pub(crate) method: MethodFilter,
    pub(crate) path: &'static str,
    pub(crate) subject: Subject,
    pub(crate) permit: Permit,
    pub(crate) describe: fn() -> Operation,
    handler: MethodRouter<Shared>,
}

#[expect(clippy::too_many_lines, reason = "a table has as many lines as it has rows")]
#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    use resources::{Agents, Numbers, Providers};
    use Permit::{Adjust, Administer, AdministerAccount, Allocate, Anyone, Configure, Delegate, Entrust, Equip, Maintain, Operator, Oversee, Own, Read, Review, See, SignedIn, User};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    vec![
        route(GET,    "/openapi.json",                                          Subject::Installation, Anyone,            document::handle,                      document::describe),
        route(GET,    "/docs",                                                  Subject::Installation, Anyone,            viewer::page,                          viewer::describe_page),
        route(GET,    "/docs/start.js",                                         Subject::Installation, Anyone,            viewer::start,                         viewer::describe_script),
        route(GET,    "/docs/swagger-ui-bundle.js",                             Subject::Installation, Anyone,            viewer::script,                        viewer::describe_script),
        route(GET,    "/docs/swagger-ui.css",                                   Subject::Installation, Anyone,            viewer::style,                         viewer::describe_style),
        route(POST,   "/v1/sessions",                                           Subject::Installation, Anyone,            sessions::create::handle,              sessions::create::describe),
        route(POST,   "/v1/invitations/accept",                                 Subject::Installation, Anyone,            invitations::accept::handle,           invitations::accept::describe),
        route(POST,   "/v1/password-resets",                                    Subject::Installation, Anyone,            resets::request::handle,               resets::request::describe),
        route(POST,   "/v1/password-resets/complete",                           Subject::Installation, Anyone,            resets::complete::handle,              resets::complete::describe),
        route(DELETE, "/v1/sessions",                                           Subject::User,         SignedIn,          sessions::end::all,                    sessions::end::describe_all),
        route(DELETE, "/v1/sessions/current",                                   Subject::User,         SignedIn,          sessions::end::current,                sessions::end::describe_current),
        route(GET,    "/v1/me",                                                 Subject::User,         User,              users::me::handle,                     users::me::describe),
        route(POST,   "/v1/me/password",                                        Subject::User,         SignedIn,          users::change_password::handle,        users::change_password::describe),
        route(GET,    "/v1/me/tokens",                                          Subject::User,         SignedIn,          tokens::list::handle,                  tokens::list::describe),
        route(POST,   "/v1/me/tokens",                                          Subject::User,         SignedIn,          tokens::create::handle,                tokens::create::describe),
        route(DELETE, "/v1/me/tokens/{token_id}",                               Subject::User,         SignedIn,          tokens::revoke::handle,                tokens::revoke::describe),
        route(POST,   "/v1/organizations",                                      Subject::Installation, Operator,          organizations::create::handle,         organizations::create::describe),
        route(GET,    "/v1/organizations/{id}",                                 Subject::Organization, Operator,          organizations::read::handle,           organizations::read::describe),
        route(PATCH,  "/v1/organizations/{id}",                                 Subject::Organization, Operator,          organizations::patch::handle,          organizations::patch::describe),
        route(GET,    "/v1/organizations/{id}/wallet",                          Subject::Organization, Operator,          wallets::read::handle,                 wallets::read::describe),
        route(PATCH,  "/v1/organizations/{id}/wallet",                          Subject::Organization, Operator,          wallets::patch::handle,                wallets::patch::describe),
        route(GET,    "/v1/organizations/{id}/wallet/entries",                  Subject::Organization, Operator,          wallets::entries::handle,              wallets::entries::describe),
        route(POST,   "/v1/organizations/{id}/wallet/recharge",                 Subject::Organization, Operator,          wallets::recharge::handle,             wallets::recharge::describe),
        route(POST,   "/v1/organizations/{id}/wallet/adjust",                   Subject::Organization, Operator,          wallets::adjust::handle,               wallets::adjust::describe),
        route(POST,   "/v1/organizations/{id}/wallet/refund",                   Subject::Organization, Operator,          wallets::adjust::refund,               wallets::adjust::describe_refund),
        route(GET,    "/v1/organizations/{id}/wallet/recharge-attempts",                Subject::Organization, Operator,          wallets::attempts::list::handle,       wallets::attempts::list::describe),
        route(POST,   "/v1/organizations/{id}/wallet/recharge-attempts",                Subject::Organization, Operator,          wallets::attempts::open::handle,       wallets::attempts::open::describe),
        route(POST,   "/v1/organizations/{id}/wallet/recharge-attempts/{attempt_id}/decline", Subject::Organization, Operator,          wallets::attempts::close::decline,     wallets::attempts::close::describe_decline),
        route(POST,   "/v1/organizations/{id}/wallet/recharge-attempts/{attempt_id}/cancel", Subject::Organization, Operator,          wallets::attempts::close::cancel,      wallets::attempts::close::describe_cancel),
        route(GET,    "/v1/organizations/{id}/api-keys",                        Subject::Organization, Operator,          keys::list::handle,                    keys::list::describe),
        route(POST,   "/v1/organizations/{id}/api-keys",                        Subject::Organization, Operator,          keys::create::handle,                  keys::create::describe),
        route(DELETE, "/v1/organizations/{id}/api-keys/{key_id}",               Subject::Organization, Operator,          keys::revoke::handle,                  keys::revoke::describe),
        route(POST,   "/v1/organizations/{id}/api-keys/{key_id}/rotate",        Subject::Organization, Operator,          keys::rotate::handle,                  keys::rotate::describe),
        route(GET,    "/v1/organizations/{id}/members",                         Subject::Organization, Operator,          members::list::handle,                 members::list::describe),
        route(GET,    "/v1/organizations/{id}/invitations",                     Subject::Organization, Operator,          invitations::list::handle,             invitations::list::describe),
        route(POST,   "/v1/organizations/{id}/invitations",                     Subject::Organization, Operator,          invitations::create::handle,           invitations::create::describe_organization),
        route(GET,    "/v1/organization",                                       Subject::Own,          Oversee,           organizations::read::handle,           organizations::read::describe),
        route(PATCH,  "/v1/organization",                                       Subject::Own,          Administer,        organizations::patch::handle,          organizations::patch::describe),
        route(GET,    "/v1/organization/wallet",                                Subject::Own,          Oversee,           wallets::read::handle,                 wallets::read::describe),
        route(PATCH,  "/v1/organization/wallet",                                Subject::Own,          Administer,        wallets::patch::handle,                wallets::patch::describe),
        route(GET,    "/v1/organization/wallet/entries",                        Subject::Own,          Oversee,           wallets::entries::handle,              wallets::entries::describe),
        route(GET,    "/v1/organization/wallet/recharge-attempts",                      Subject::Own,          Oversee,           wallets::attempts::list::handle,       wallets::attempts::list::describe),
        route(POST,   "/v1/organization/wallet/recharge-attempts",                      Subject::Own,          Administer,        wallets::attempts::open::handle,       wallets::attempts::open::describe),
        route(POST,   "/v1/organization/wallet/recharge-attempts/{attempt_id}/decline", Subject::Own,          Administer,        wallets::attempts::close::decline,     wallets::attempts::close::describe_decline),
        route(POST,   "/v1/organization/wallet/recharge-attempts/{attempt_id}/cancel",  Subject::Own,          Administer,        wallets::attempts::close::cancel,      wallets::attempts::close::describe_cancel),
        route(GET,    "/v1/organization/api-keys",                              Subject::Own,          Own,               keys::list::handle,                    keys::list::describe),
        route(POST,   "/v1/organization/api-keys",                              Subject::Own,          Own,               keys::create::handle,                  keys::create::describe),
        route(DELETE, "/v1/organization/api-keys/{key_id}",                     Subject::Own,          Own,               keys::revoke::handle,                  keys::revoke::describe),
        route(POST,   "/v1/organization/api-keys/{key_id}/rotate",              Subject::Own,          Own,               keys::rotate::handle,                  keys::rotate::describe),
        route(GET,    "/v1/members",                                            Subject::Own,          Administer,        members::list::handle,                 members::list::describe),
        route(PATCH,  "/v1/members/{user_id}",                                  Subject::Own,          Administer,        members::patch::handle,                members::patch::describe),
        route(DELETE, "/v1/members/{user_id}",                                  Subject::Own,          Administer,        members::remove::handle,               members::remove::describe),
        route(POST,   "/v1/members/{user_id}/transfer-ownership",               Subject::Own,          Own,               members::transfer::handle,             members::transfer::describe),
        route(GET,    "/v1/invitations",                                        Subject::Own,          Administer,        invitations::list::handle,             invitations::list::describe),
        route(POST,   "/v1/invitations",                                        Subject::Own,          Administer,        invitations::create::handle,           invitations::create::describe_organization),
        route(DELETE, "/v1/invitations/{invitation_id}",                        Subject::Own,          Administer,        invitations::revoke::handle,           invitations::revoke::describe),
        route(POST,   "/v1/sub-accounts",                                       Subject::Own,          Allocate,          sub_accounts::create::handle,          sub_accounts::create::describe),
        route(GET,    "/v1/sub-accounts",                                       Subject::Own,          Oversee,           sub_accounts::list::handle,            sub_accounts::list::describe),
        route(GET,    "/v1/sub-accounts/{id}",                                  Subject::SubAccount,   See,               sub_accounts::read::handle,            sub_accounts::read::describe),
        route(PATCH,  "/v1/sub-accounts/{id}",                                  Subject::SubAccount,   Adjust,            sub_accounts::patch::handle,           sub_accounts::patch::describe),
        route(DELETE, "/v1/sub-accounts/{id}",                                  Subject::SubAccount,   Administer,        sub_accounts::delete::handle,          sub_accounts::delete::describe),
        route(POST,   "/v1/sub-accounts/{id}/suspend",                          Subject::SubAccount,   Administer,        sub_accounts::status::suspend,         sub_accounts::status::describe_suspend),
        route(POST,   "/v1/sub-accounts/{id}/reactivate",                       Subject::SubAccount,   Administer,        sub_accounts::status::reactivate,      sub_accounts::status::describe_reactivate),
        route(GET,    "/v1/sub-accounts/{id}/wallet",                           Subject::SubAccount,   Read,              wallets::read::handle,                 wallets::read::describe),
        route(PATCH,  "/v1/sub-accounts/{id}/wallet",                           Subject::SubAccount,   AdministerAccount, wallets::patch::handle,                wallets::patch::describe),
        route(GET,    "/v1/sub-accounts/{id}/wallet/entries",                   Subject::SubAccount,   Read,              wallets::entries::handle,              wallets::entries::describe),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge",                  Subject::SubAccount,   Administer,        wallets::recharge::handle,             wallets::recharge::describe),
        route(POST,   "/v1/sub-accounts/{id}/wallet/adjust",                    Subject::SubAccount,   Administer,        wallets::adjust::handle,               wallets::adjust::describe),
        route(POST,   "/v1/sub-accounts/{id}/wallet/refund",                    Subject::SubAccount,   Administer,        wallets::adjust::refund,               wallets::adjust::describe_refund),
        route(GET,    "/v1/sub-accounts/{id}/wallet/recharge-attempts",                 Subject::SubAccount,   Read,              wallets::attempts::list::handle,       wallets::attempts::list::describe),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge-attempts",                 Subject::SubAccount,   Administer,        wallets::attempts::open::handle,       wallets::attempts::open::describe),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge-attempts/{attempt_id}/decline", Subject::SubAccount,   Administer,        wallets::attempts::close::decline,     wallets::attempts::close::describe_decline),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge-attempts/{attempt_id}/cancel", Subject::SubAccount,   Administer,        wallets::attempts::close::cancel,      wallets::attempts::close::describe_cancel),
        route(GET,    "/v1/sub-accounts/{id}/api-keys",                         Subject::SubAccount,   AdministerAccount, keys::list::handle,                    keys::list::describe),
        route(POST,   "/v1/sub-accounts/{id}/api-keys",                         Subject::SubAccount,   Entrust,           keys::create::handle,                  keys::create::describe),
        route(DELETE, "/v1/sub-accounts/{id}/api-keys/{key_id}",                Subject::SubAccount,   Entrust,           keys::revoke::handle,                  keys::revoke::describe),
        route(POST,   "/v1/sub-accounts/{id}/api-keys/{key_id}/rotate",         Subject::SubAccount,   Entrust,           keys::rotate::handle,                  keys::rotate::describe),
        route(GET,    "/v1/sub-accounts/{id}/members",                          Subject::SubAccount,   AdministerAccount, members::list::handle,                 members::list::describe),
        route(PATCH,  "/v1/sub-accounts/{id}/members/{user_id}",                Subject::SubAccount,   Entrust,           members::patch::handle,                members::patch::describe),
        route(DELETE, "/v1/sub-accounts/{id}/members/{user_id}",                Subject::SubAccount,   Entrust,           members::remove::handle,               members::remove::describe),
        route(GET,    "/v1/sub-accounts/{id}/invitations",                      Subject::SubAccount,   AdministerAccount, invitations::list::handle,             invitations::list::describe),
        route(POST,   "/v1/sub-accounts/{id}/invitations",                      Subject::SubAccount,   Entrust,           invitations::create::handle,           invitations::create::describe_sub_account),
        route(DELETE, "/v1/sub-accounts/{id}/invitations/{invitation_id}",      Subject::SubAccount,   Entrust,           invitations::revoke::handle,           invitations::revoke::describe),
        route(GET,    "/v1/delegations",                                        Subject::Own,          Administer,        delegations::list::handle,             delegations::list::describe),
        route(GET,    "/v1/sub-accounts/{id}/delegations",                      Subject::SubAccount,   AdministerAccount, delegations::list::handle,             delegations::list::describe),
        route(POST,   "/v1/sub-accounts/{id}/delegations",                      Subject::SubAccount,   Delegate,          delegations::open::handle,             delegations::open::describe),
        route(DELETE, "/v1/sub-accounts/{id}/delegations/{delegation_id}",      Subject::SubAccount,   Administer,        delegations::end::handle,              delegations::end::describe),
        route(GET,    "/v1/sub-accounts/{id}/calls",                            Subject::SubAccount,   Read,              usage::calls::handle,                  usage::calls::describe_sub_account),
        route(GET,    "/v1/sub-accounts/{id}/usage",                            Subject::SubAccount,   Read,              usage::totals::handle,                 usage::totals::describe_sub_account),
        route(GET,    "/v1/sub-accounts/{id}/usage/refused-demand",             Subject::SubAccount,   Read,              usage::refused_demand::handle,         usage::refused_demand::describe_sub_account),
        route(POST,   "/v1/workspaces",                                         Subject::Own,          Allocate,          sub_accounts::create::workspace,       sub_accounts::create::describe_workspace),
        route(GET,    "/v1/workspaces",                                         Subject::Own,          Oversee,           sub_accounts::list::workspaces,        sub_accounts::list::describe),
        route(GET,    "/v1/workspaces/{id}",                                    Subject::Workspace,    See,               sub_accounts::read::handle,            sub_accounts::read::describe),
        route(PATCH,  "/v1/workspaces/{id}",                                    Subject::Workspace,    Adjust,            sub_accounts::patch::handle,           sub_accounts::patch::describe_workspace),
        route(DELETE, "/v1/workspaces/{id}",                                    Subject::Workspace,    Administer,        sub_accounts::delete::handle,          sub_accounts::delete::describe),
        route(POST,   "/v1/workspaces/{id}/suspend",                            Subject::Workspace,    Administer,        sub_accounts::status::suspend,         sub_accounts::status::describe_suspend),
        route(POST,   "/v1/workspaces/{id}/reactivate",                         Subject::Workspace,    Administer,        sub_accounts::status::reactivate,      sub_accounts::status::describe_reactivate),
        route(GET,    "/v1/workspaces/{id}/api-keys",                           Subject::Workspace,    AdministerAccount, keys::list::handle,                    keys::list::describe),
        route(POST,   "/v1/workspaces/{id}/api-keys",                           Subject::Workspace,    Entrust,           keys::create::handle,                  keys::create::describe),
        route(DELETE, "/v1/workspaces/{id}/api-keys/{key_id}",                  Subject::Workspace,    Entrust,           keys::revoke::handle,                  keys::revoke::describe),
        route(POST,   "/v1/workspaces/{id}/api-keys/{key_id}/rotate",           Subject::Workspace,    Entrust,           keys::rotate::handle,                  keys::rotate::describe),
        route(GET,    "/v1/workspaces/{id}/members",                            Subject::Workspace,    AdministerAccount, members::list::handle,                 members::list::describe),
        route(PATCH,  "/v1/workspaces/{id}/members/{user_id}",                  Subject::Workspace,    Entrust,           members::patch::handle,                members::patch::describe),
        route(DELETE, "/v1/workspaces/{id}/members/{user_id}",                  Subject::Workspace,    Entrust,           members::remove::handle,               members::remove::describe),
        route(GET,    "/v1/workspaces/{id}/invitations",                        Subject::Workspace,    AdministerAccount, invitations::list::handle,             invitations::list::describe),
        route(POST,   "/v1/workspaces/{id}/invitations",                        Subject::Workspace,    Entrust,           invitations::create::handle,           invitations::create::describe_sub_account),
        route(DELETE, "/v1/workspaces/{id}/invitations/{invitation_id}",        Subject::Workspace,    Entrust,           invitations::revoke::handle,           invitations::revoke::describe),
        route(GET,    "/v1/workspaces/{id}/calls",                              Subject::Workspace,    Read,              usage::calls::handle,                  usage::calls::describe_sub_account),
        route(GET,    "/v1/workspaces/{id}/usage",                              Subject::Workspace,    Read,              usage::totals::handle,                 usage::totals::describe_sub_account),
        route(GET,    "/v1/workspaces/{id}/audit",                              Subject::Workspace,    Review,            audit::list::handle,                   audit::list::describe_sub_account),
        route(GET,    "/v1/workspaces/{id}/audit/export",                       Subject::Workspace,    Review,            audit::export::handle,                 audit::export::describe_sub_account),
        route(GET,    "/v1/workspaces/{id}/usage/refused-demand",               Subject::Workspace,    Read,              usage::refused_demand::handle,         usage::refused_demand::describe_sub_account),
        route(GET,    "/v1/calls",                                              Subject::Own,          Read,              usage::calls::handle,                  usage::calls::describe_organization),
        route(GET,    "/v1/usage",                                              Subject::Own,          Read,              usage::totals::handle,                 usage::totals::describe_organization),
        route(GET,    "/v1/usage/refused-demand",                               Subject::Own,          Read,              usage::refused_demand::handle,         usage::refused_demand::describe_organization),
        route(GET,    "/v1/organizations/{id}/invoicing",                       Subject::Organization, Operator,          invoices::configure::handle,           invoices::configure::describe),
        route(PATCH,  "/v1/organizations/{id}/invoicing",                       Subject::Organization, Operator,          invoices::configure::patch,            invoices::configure::describe_patch),
        route(GET,    "/v1/organization/invoicing",                             Subject::Own,          Oversee,           invoices::configure::handle,           invoices::configure::describe),
        route(PATCH,  "/v1/organization/invoicing",                             Subject::Own,          Administer,        invoices::configure::patch,            invoices::configure::describe_patch),
        route(GET,    "/v1/sub-accounts/{id}/billing-details",                  Subject::SubAccount,   Read,              invoices::details::handle,             invoices::details::describe),
        route(PATCH,  "/v1/sub-accounts/{id}/billing-details",                  Subject::SubAccount,   AdministerAccount, invoices::details::patch,              invoices::details::describe_patch),
        route(POST,   "/v1/invoices",                                           Subject::Own,          Administer,        invoices::create::handle,              invoices::create::describe),
        route(GET,    "/v1/invoices",                                           Subject::Own,          Read,              invoices::list::handle,                invoices::list::describe),
        route(GET,    "/v1/invoices/{invoice_id}",                              Subject::Own,          Read,              invoices::read::handle,                invoices::read::describe),
        route(POST,   "/v1/invoices/{invoice_id}/credit-notes",                 Subject::Own,          Administer,        invoices::credit_notes::create::handle, invoices::credit_notes::create::describe),
        route(GET,    "/v1/credit-notes",                                       Subject::Own,          Read,              invoices::credit_notes::list::handle,  invoices::credit_notes::list::describe),
        route(GET,    "/v1/credit-notes/{credit_note_id}",                      Subject::Own,          Read,              invoices::credit_notes::read::handle,  invoices::credit_notes::read::describe),
        route(POST,   "/v1/user-webhooks",                                      Subject::Own,          Configure,         webhooks::create::handle,              webhooks::create::describe),
        route(GET,    "/v1/user-webhooks",                                      Subject::Own,          Configure,         webhooks::list::handle,                webhooks::list::describe),
        route(GET,    "/v1/user-webhooks/{webhook_id}",                         Subject::Own,          Configure,         webhooks::list::one,                   webhooks::list::describe_one),
        route(PATCH,  "/v1/user-webhooks/{webhook_id}",                         Subject::Own,          Configure,         webhooks::patch::handle,               webhooks::patch::describe),
        route(DELETE, "/v1/user-webhooks/{webhook_id}",                         Subject::Own,          Configure,         webhooks::remove::handle,              webhooks::remove::describe),
        route(POST,   "/v1/user-webhooks/{webhook_id}/test",                    Subject::Own,          Configure,         webhooks::test::handle,                webhooks::test::describe),
        route(GET,    "/v1/user-webhooks/{webhook_id}/deliveries",              Subject::Own,          Configure,         webhooks::deliveries::list,            webhooks::deliveries::describe_list),
        route(POST,   "/v1/webhook-deliveries/{delivery_id}/redeliver",         Subject::Own,          Configure,         webhooks::deliveries::redeliver,       webhooks::deliveries::describe_redeliver),
        route(POST,   "/v1/rate-decks",                                         Subject::Own,          Administer,        decks::create::handle,                 decks::create::describe),
        route(GET,    "/v1/rate-decks",                                         Subject::Own,          Oversee,           decks::list::handle,                   decks::list::describe),
        route(GET,    "/v1/rate-decks/{deck_id}",                               Subject::Own,          Oversee,           decks::list::one,                      decks::list::describe_one),
        route(PATCH,  "/v1/rate-decks/{deck_id}",                               Subject::Own,          Administer,        decks::patch::handle,                  decks::patch::describe),
        route(DELETE, "/v1/rate-decks/{deck_id}",                               Subject::Own,          Administer,        decks::delete::handle,                 decks::delete::describe),
        route(POST,   "/v1/rate-decks/{deck_id}/versions",                      Subject::Own,          Administer,        decks::import::handle,                 decks::import::describe),
        route(GET,    "/v1/rate-decks/{deck_id}/versions",                      Subject::Own,          Oversee,           decks::versions::list,                 decks::versions::describe_list),
        route(GET,    "/v1/rate-decks/{deck_id}/versions/{version}",            Subject::Own,          Oversee,           decks::versions::one,                  decks::versions::describe_one),
        route(DELETE, "/v1/rate-decks/{deck_id}/versions/{version}",            Subject::Own,          Administer,        decks::versions::withdraw,             decks::versions::describe_withdraw),
        route(GET,    "/v1/rate-decks/{deck_id}/versions/{version}/rows",       Subject::Own,          Oversee,           decks::versions::rows,                 decks::versions::describe_rows),
        route(GET,    "/v1/price",                                              Subject::Own,          See,               decks::price::handle,                  decks::price::describe),
        route(GET,    "/v1/sub-accounts/{id}/price",                            Subject::SubAccount,   See,               decks::price::handle,                  decks::price::describe),
        route(GET,    "/v1/workspaces/{id}/price",                              Subject::Workspace,    See,               decks::price::handle,                  decks::price::describe),
        route(POST,   "/v1/agents",                                             Subject::Own,          Equip,             resources::create::handle::<Agents>,   resources::create::describe::<Agents>),
        route(GET,    "/v1/agents",                                             Subject::Own,          See,               resources::list::handle::<Agents>,     resources::list::describe::<Agents>),
        route(GET,    "/v1/agents/{resource_id}",                               Subject::Own,          See,               resources::read::handle::<Agents>,     resources::read::describe::<Agents>),
        route(PATCH,  "/v1/agents/{resource_id}",                               Subject::Own,          Equip,             resources::patch::handle::<Agents>,    resources::patch::describe::<Agents>),
        route(DELETE, "/v1/agents/{resource_id}",                               Subject::Own,          Equip,             resources::delete::handle::<Agents>,   resources::delete::describe::<Agents>),
        route(POST,   "/v1/phone-numbers",                                      Subject::Own,          Equip,             resources::create::handle::<Numbers>,  resources::create::describe::<Numbers>),
        route(GET,    "/v1/phone-numbers",                                      Subject::Own,          See,               resources::list::handle::<Numbers>,    resources::list::describe::<Numbers>),
        route(GET,    "/v1/phone-numbers/{resource_id}",                        Subject::Own,          See,               resources::read::handle::<Numbers>,    resources::read::describe::<Numbers>),
        route(PATCH,  "/v1/phone-numbers/{resource_id}",                        Subject::Own,          Equip,             resources::patch::handle::<Numbers>,   resources::patch::describe::<Numbers>),
        route(DELETE, "/v1/phone-numbers/{resource_id}",                        Subject::Own,          Equip,             resources::delete::handle::<Numbers>,  resources::delete::describe::<Numbers>),
        route(POST,   "/v1/providers",                                          Subject::Own,          Maintain,          resources::create::handle::<Providers>, resources::create::describe::<Providers>),
        route(GET,    "/v1/providers",                                          Subject::Own,          See,               resources::list::handle::<Providers>,  resources::list::describe::<Providers>),
        route(GET,    "/v1/providers/{resource_id}",                            Subject::Own,          See,               resources::read::handle::<Providers>,  resources::read::describe::<Providers>),
        route(PATCH,  "/v1/providers/{resource_id}",                            Subject::Own,          Maintain,          resources::patch::handle::<Providers>, resources::patch::describe::<Providers>),
        route(DELETE, "/v1/providers/{resource_id}",                            Subject::Own,          Maintain,          resources::delete::handle::<Providers>, resources::delete::describe::<Providers>),
        route(GET,    "/v1/audit",                                              Subject::Own,          Oversee,           audit::list::handle,                   audit::list::describe_organization),
        route(GET,    "/v1/audit/export",                                       Subject::Own,          Oversee,           audit::export::handle,                 audit::export::describe_organization),
        route(GET,    "/v1/sub-accounts/{id}/audit",                            Subject::SubAccount,   Review,            audit::list::handle,                   audit::list::describe_sub_account),
        route(GET,    "/v1/sub-accounts/{id}/audit/export",                     Subject::SubAccount,   Review,            audit::export::handle,                 audit::export::describe_sub_account),
        route(POST,   "/sub-accounts/create",                                   Subject::Own,          Allocate,          compatibility::create::handle,         compatibility::create::describe),
        route(GET,    "/sub-accounts/all",                                      Subject::Own,          Oversee,           compatibility::list::handle,           compatibility::list::describe),
        route(GET,    "/sub-accounts/all/usage",                                Subject::Own,          Oversee,           compatibility::all_usage::handle,      compatibility::all_usage::describe),
        route(PATCH,  "/sub-accounts/{uuid}",                                   Subject::SubAccount,   Adjust,            compatibility::patch::handle,          compatibility::patch::describe),
        route(DELETE, "/sub-accounts/{uuid}",                                   Subject::SubAccount,   Administer,        compatibility::delete::handle,         compatibility::delete::describe),
        route(GET,    "/sub-accounts/{uuid}/usage",                             Subject::SubAccount,   Read,              compatibility::usage::handle,          compatibility::usage::describe),
        route(GET,    "/user/me",                                               Subject::Own,          See,               compatibility::me::handle,             compatibility::me::describe),
    ]
}

/// The whole API.
pub(crate) fn router(app: &Shared) -> Router {
    let mut router = Router::new();
    for Route { path, subject, permit, describe, handler, .. } in routes() {
        let operation = describe();
        let reads_query = operation.reads_query() || compatibility::owns(path);
        let body_bytes_max = operation.body_bytes_max();
        let gate = Gate { app: Arc::clone(app), subject, permit, reads_query, body_bytes_max };
        router = router.route(path, handler.route_layer(from_fn_with_state(gate, admit)));
    }
    router
        .fallback(|| async {
            Problem::new(Kind::NotFound, "there is nothing at this path; the API begins with /v1/")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "the Allow header lists the methods of this path")
        })
        .layer(from_fn(limit_time))
        .layer(from_fn(compatibility::refusal::reshape))
        .with_state(Arc::clone(app))
}

fn route<H, T>(
    method: MethodFilter,
    path: &'static str,
    subject: Subject,
    permit: Permit,
    handler: H,
    describe: fn() -> Operation,
) -> Route
where
    H: Handler<T, Shared>,
    T: 'static,
{
    Route { method, path, subject, permit, describe, handler: on(method, handler) }
}

/// What stands before the handler of one route.
#[derive(Clone)]
struct Gate {
    app: Shared,
    subject: Subject,
    permit: Permit,
    /// Else nothing may stand there.
    reads_query: bool,
    body_bytes_max: usize,
}

/// Lets a request through whose principal may make it and has sent few enough, with its body read.
async fn admit(State(gate): State<Gate>, request: axum::extract::Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let source = peer.map(|ConnectInfo(address)| address.ip());
    let (principal, left) = match introduce(&gate, request.headers(), source).await {
        Ok(introduced) => introduced,
        Err(problem) => return problem.into_response(),
    };
    let mut response = carry_out(gate, principal, request, next).await.into_response();
    if let Some(left) = left {
        left.tell(response.headers_mut());
    }
    response
}

/// Who asks, and what is left of its allowance. Who shows nothing that counts is counted by address.
async fn introduce(
    gate: &Gate,
    headers: &HeaderMap,
    source: Option<IpAddr>,
) -> Result<(Principal, Option<Left>), Problem> {
    let Gate { app, permit, .. } = gate;
    if *permit == Permit::Anyone {
        return Ok((Principal::nobody(), app.allowances.spend_openly(source)?));
    }
    match principal::authenticate(app, headers, hub::clock::now_us()).await {
        Ok(principal) => {
            let left = app.allowances.spend(&principal)?;
            Ok((principal, Some(left)))
        }
        Err(problem) if problem.is(Kind::Unauthenticated) => {
            let left = app.allowances.spend_openly(source)?;
            Err(match left {
                Some(left) => left.told_by(problem),
                None => problem,
            })
        }
        Err(problem) => Err(problem),
    }
}

async fn carry_out(
    Gate { app, subject, permit, reads_query, body_bytes_max }: Gate,
    principal: Principal,
    mut request: axum::extract::Request,
    next: Next,
) -> Result<Response, Problem> {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    // Only what a browser adds by itself can be forged: a cookie, or nothing at all.
    if !reads && (principal.is_session() || permit == Permit::Anyone) {
        principal::refuse_forgery(request.headers(), principal.is_session())?;
    }
    let nowhere = || Problem::new(Kind::NotFound, "there is nothing of this name");
    // What is no text names nothing, and no database could look for it.
    let path: RawPathParams = request.extract_parts().await.map_err(|_| nowhere())?;
    if path.iter().any(|(_, value)| value.contains(char::is_control)) {
        return Err(nowhere());
    }
    let id = path.iter().find_map(|(name, id)| match name {
        "id" => Some(id.to_owned()),
        "uuid" => Some(compatibility::uuid::sub_account(id)),
        _ => None,
    });
    let access = access::decide(&app, principal, (subject, permit), reads, id.as_deref()).await?;
    if reads {
        delegations::note_read(&app, &access, request.uri().path()).await?;
    }
    let (mut parts, body) = request.into_parts();
    if !reads_query {
        Fields::of_query(parts.uri.query()).finish()?;
    }
    let body = read_body(body, body_bytes_max).await?;
    let idempotency =
        Idempotency::of(&access.principal, &parts.method, &parts.uri, &parts.headers, &body)?;
    let read = Request::new(access, idempotency, &parts, body)?;
    parts.extensions.insert(read);
    let handled = next.run(axum::extract::Request::from_parts(parts, Body::empty()));
    if reads {
        return Ok(handled.await);
    }
    // A change is carried out to its end, also when its client goes away between the commit and
    // the hub; closing the control plane waits for the permit.
    let in_flight = Arc::clone(&app.changes)
        .acquire_owned()
        .await
        .map_err(|_| Problem::new(Kind::Busy, "shutting down"))?;
    #[expect(clippy::disallowed_methods, reason = "awaited below; closing waits for its permit")]
    let carried_out = tokio::spawn(async move {
        let response = handled.await;
        drop(in_flight);
        response
    });
    carried_out.await.map_err(Problem::internal)
}

async fn limit_time(request: axum::extract::Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(Kind::Busy, "the request took too long; a change may still be carried out")
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests;
