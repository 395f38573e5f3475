//! Every route of the control plane, one line each: method, path, what it is about, who may. And
//! what every request goes through on its way: time limit, authentication, permission, body limit.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{RequestExt as _, Router};
use http::{HeaderValue, Method, header};

use crate::access::{self, Subject};
use crate::idempotency::Idempotency;
use crate::permission::Permit;
use crate::principal::{self, Identity, Principal};
use crate::problem::{Kind, Problem};
use crate::request::{Request, read_body};
use crate::{
    Shared, audit, compatibility, invitations, keys, members, organizations, sessions,
    sub_accounts, usage, users, wallets,
};

/// The longest that a request takes, its body's arrival included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// One line of the table.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "the permission test walks it"))]
    pub(crate) method: MethodFilter,
    pub(crate) path: &'static str,
    pub(crate) subject: Subject,
    pub(crate) permit: Permit,
    handler: MethodRouter<Shared>,
}

#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    use Permit::{Administer, AdministerAccount, Allocate, Anyone, Operator, Oversee, Own, Read, See, User};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    vec![
        route(POST,   "/v1/sessions",                                             Subject::Installation, Anyone,            sessions::create::handle),
        route(POST,   "/v1/invitations/accept",                                   Subject::Installation, Anyone,            invitations::accept::handle),
        route(DELETE, "/v1/sessions",                                             Subject::User,         User,              sessions::end::all),
        route(DELETE, "/v1/sessions/current",                                     Subject::User,         User,              sessions::end::current),
        route(GET,    "/v1/me",                                                   Subject::User,         User,              users::me::handle),
        route(POST,   "/v1/organizations",                                        Subject::Installation, Operator,          organizations::create::handle),
        route(GET,    "/v1/organizations/{id}",                                   Subject::Organization, Operator,          organizations::read::handle),
        route(PATCH,  "/v1/organizations/{id}",                                   Subject::Organization, Operator,          organizations::patch::handle),
        route(GET,    "/v1/organizations/{id}/wallet",                            Subject::Organization, Operator,          wallets::read::handle),
        route(GET,    "/v1/organizations/{id}/wallet/entries",                    Subject::Organization, Operator,          wallets::entries::handle),
        route(POST,   "/v1/organizations/{id}/wallet/recharge",                   Subject::Organization, Operator,          wallets::recharge::handle),
        route(GET,    "/v1/organizations/{id}/members",                           Subject::Organization, Operator,          members::list::handle),
        route(GET,    "/v1/organizations/{id}/invitations",                       Subject::Organization, Operator,          invitations::list::handle),
        route(POST,   "/v1/organizations/{id}/invitations",                       Subject::Organization, Operator,          invitations::create::handle),
        route(GET,    "/v1/organization",                                         Subject::Own,          Oversee,           organizations::read::handle),
        route(PATCH,  "/v1/organization",                                         Subject::Own,          Administer,        organizations::patch::handle),
        route(GET,    "/v1/organization/wallet",                                  Subject::Own,          Oversee,           wallets::read::handle),
        route(GET,    "/v1/organization/wallet/entries",                          Subject::Own,          Oversee,           wallets::entries::handle),
        route(GET,    "/v1/members",                                              Subject::Own,          Administer,        members::list::handle),
        route(PATCH,  "/v1/members/{user_id}",                                    Subject::Own,          Administer,        members::patch::handle),
        route(DELETE, "/v1/members/{user_id}",                                    Subject::Own,          Administer,        members::remove::handle),
        route(POST,   "/v1/members/{user_id}/transfer-ownership",                 Subject::Own,          Own,               members::transfer::handle),
        route(GET,    "/v1/invitations",                                          Subject::Own,          Administer,        invitations::list::handle),
        route(POST,   "/v1/invitations",                                          Subject::Own,          Administer,        invitations::create::handle),
        route(DELETE, "/v1/invitations/{invitation_id}",                          Subject::Own,          Administer,        invitations::revoke::handle),
        route(POST,   "/v1/sub-accounts",                                         Subject::Own,          Allocate,          sub_accounts::create::handle),
        route(GET,    "/v1/sub-accounts",                                         Subject::Own,          Oversee,           sub_accounts::list::handle),
        route(GET,    "/v1/sub-accounts/{id}",                                    Subject::SubAccount,   See,               sub_accounts::read::handle),
        route(PATCH,  "/v1/sub-accounts/{id}",                                    Subject::SubAccount,   Allocate,          sub_accounts::patch::handle),
        route(DELETE, "/v1/sub-accounts/{id}",                                    Subject::SubAccount,   Administer,        sub_accounts::delete::handle),
        route(POST,   "/v1/sub-accounts/{id}/suspend",                            Subject::SubAccount,   Administer,        sub_accounts::status::suspend),
        route(POST,   "/v1/sub-accounts/{id}/reactivate",                         Subject::SubAccount,   Administer,        sub_accounts::status::reactivate),
        route(GET,    "/v1/sub-accounts/{id}/wallet",                             Subject::SubAccount,   Read,              wallets::read::handle),
        route(GET,    "/v1/sub-accounts/{id}/wallet/entries",                     Subject::SubAccount,   Read,              wallets::entries::handle),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge",                    Subject::SubAccount,   Administer,        wallets::recharge::handle),
        route(GET,    "/v1/sub-accounts/{id}/api-keys",                           Subject::SubAccount,   AdministerAccount, keys::list::handle),
        route(POST,   "/v1/sub-accounts/{id}/api-keys",                           Subject::SubAccount,   AdministerAccount, keys::create::handle),
        route(DELETE, "/v1/sub-accounts/{id}/api-keys/{key_id}",                  Subject::SubAccount,   AdministerAccount, keys::revoke::handle),
        route(GET,    "/v1/sub-accounts/{id}/members",                            Subject::SubAccount,   AdministerAccount, members::list::handle),
        route(PATCH,  "/v1/sub-accounts/{id}/members/{user_id}",                  Subject::SubAccount,   AdministerAccount, members::patch::handle),
        route(DELETE, "/v1/sub-accounts/{id}/members/{user_id}",                  Subject::SubAccount,   AdministerAccount, members::remove::handle),
        route(GET,    "/v1/sub-accounts/{id}/invitations",                        Subject::SubAccount,   AdministerAccount, invitations::list::handle),
        route(POST,   "/v1/sub-accounts/{id}/invitations",                        Subject::SubAccount,   AdministerAccount, invitations::create::handle),
        route(DELETE, "/v1/sub-accounts/{id}/invitations/{invitation_id}",        Subject::SubAccount,   AdministerAccount, invitations::revoke::handle),
        route(GET,    "/v1/sub-accounts/{id}/calls",                              Subject::SubAccount,   Read,              usage::calls::handle),
        route(GET,    "/v1/sub-accounts/{id}/usage",                              Subject::SubAccount,   Read,              usage::totals::handle),
        route(POST,   "/v1/workspaces",                                           Subject::Own,          Allocate,          sub_accounts::create::workspace),
        route(GET,    "/v1/workspaces",                                           Subject::Own,          Oversee,           sub_accounts::list::workspaces),
        route(GET,    "/v1/workspaces/{id}",                                      Subject::Workspace,    See,               sub_accounts::read::handle),
        route(PATCH,  "/v1/workspaces/{id}",                                      Subject::Workspace,    Allocate,          sub_accounts::patch::handle),
        route(DELETE, "/v1/workspaces/{id}",                                      Subject::Workspace,    Administer,        sub_accounts::delete::handle),
        route(POST,   "/v1/workspaces/{id}/suspend",                              Subject::Workspace,    Administer,        sub_accounts::status::suspend),
        route(POST,   "/v1/workspaces/{id}/reactivate",                           Subject::Workspace,    Administer,        sub_accounts::status::reactivate),
        route(GET,    "/v1/workspaces/{id}/api-keys",                             Subject::Workspace,    AdministerAccount, keys::list::handle),
        route(POST,   "/v1/workspaces/{id}/api-keys",                             Subject::Workspace,    AdministerAccount, keys::create::handle),
        route(DELETE, "/v1/workspaces/{id}/api-keys/{key_id}",                    Subject::Workspace,    AdministerAccount, keys::revoke::handle),
        route(GET,    "/v1/workspaces/{id}/members",                              Subject::Workspace,    AdministerAccount, members::list::handle),
        route(PATCH,  "/v1/workspaces/{id}/members/{user_id}",                    Subject::Workspace,    AdministerAccount, members::patch::handle),
        route(DELETE, "/v1/workspaces/{id}/members/{user_id}",                    Subject::Workspace,    AdministerAccount, members::remove::handle),
        route(GET,    "/v1/workspaces/{id}/invitations",                          Subject::Workspace,    AdministerAccount, invitations::list::handle),
        route(POST,   "/v1/workspaces/{id}/invitations",                          Subject::Workspace,    AdministerAccount, invitations::create::handle),
        route(DELETE, "/v1/workspaces/{id}/invitations/{invitation_id}",          Subject::Workspace,    AdministerAccount, invitations::revoke::handle),
        route(GET,    "/v1/workspaces/{id}/calls",                                Subject::Workspace,    Read,              usage::calls::handle),
        route(GET,    "/v1/workspaces/{id}/usage",                                Subject::Workspace,    Read,              usage::totals::handle),
        route(GET,    "/v1/workspaces/{id}/audit",                                Subject::Workspace,    Oversee,           audit::list::handle),
        route(GET,    "/v1/workspaces/{id}/audit/export",                         Subject::Workspace,    Oversee,           audit::export::handle),
        route(GET,    "/v1/usage",                                                Subject::Own,          Read,              usage::totals::handle),
        route(GET,    "/v1/audit",                                                Subject::Own,          Oversee,           audit::list::handle),
        route(GET,    "/v1/audit/export",                                         Subject::Own,          Oversee,           audit::export::handle),
        route(GET,    "/v1/sub-accounts/{id}/audit",                              Subject::SubAccount,   Oversee,           audit::list::handle),
        route(GET,    "/v1/sub-accounts/{id}/audit/export",                       Subject::SubAccount,   Oversee,           audit::export::handle),
        route(POST,   "/sub-accounts/create",                                     Subject::Own,          Allocate,          compatibility::create::handle),
        route(GET,    "/sub-accounts/all",                                        Subject::Own,          Oversee,           compatibility::list::handle),
        route(GET,    "/sub-accounts/all/usage",                                  Subject::Own,          Oversee,           compatibility::all_usage::handle),
        route(PATCH,  "/sub-accounts/{uuid}",                                     Subject::SubAccount,   Allocate,          compatibility::patch::handle),
        route(DELETE, "/sub-accounts/{uuid}",                                     Subject::SubAccount,   Administer,        compatibility::delete::handle),
        route(GET,    "/sub-accounts/{uuid}/usage",                               Subject::SubAccount,   Read,              compatibility::usage::handle),
        route(GET,    "/user/me",                                                 Subject::Own,          See,               compatibility::me::handle),
    ]
}

/// The whole API.
pub(crate) fn router(app: &Shared) -> Router {
    let mut router = Router::new();
    for Route { path, subject, permit, handler, .. } in routes() {
        let gate = Gate { app: Arc::clone(app), subject, permit };
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
) -> Route
where
    H: Handler<T, Shared>,
    T: 'static,
{
    Route { method, path, subject, permit, handler: on(method, handler) }
}

/// What stands before the handler of one route.
#[derive(Clone)]
struct Gate {
    app: Shared,
    subject: Subject,
    permit: Permit,
}

/// Lets a request through whose key may make it, with its body read.
async fn admit(
    State(gate): State<Gate>,
    mut request: axum::extract::Request,
    next: Next,
) -> Result<Response, Problem> {
    let Gate { app, subject, permit } = gate;
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let principal = if permit == Permit::Anyone {
        Principal::nobody()
    } else {
        principal::authenticate(&app, request.headers(), hub::clock::now_us()).await?
    };
    if !reads && !matches!(principal.identity, Identity::Key(_)) {
        let by_session = matches!(principal.identity, Identity::User(_));
        principal::refuse_forgery(request.headers(), by_session)?;
    }
    let path: RawPathParams = request.extract_parts().await.map_err(Problem::internal)?;
    let id = path.iter().find_map(|(name, id)| match name {
        "id" => Some(id.to_owned()),
        "uuid" => Some(compatibility::uuid::sub_account(id)),
        _ => None,
    });
    let access = access::decide(&app, principal, subject, permit, id.as_deref()).await?;
    let (mut parts, body) = request.into_parts();
    let body = read_body(body).await?;
    let idempotency =
        Idempotency::of(&access.principal, &parts.method, &parts.uri, &parts.headers, &body)?;
    let read = Request::new(access, idempotency, &parts, body);
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
