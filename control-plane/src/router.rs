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

use crate::access::{self, Permit, Subject};
use crate::idempotency::Idempotency;
use crate::principal;
use crate::problem::{Kind, Problem};
use crate::request::{Request, read_body};
use crate::{Shared, audit, compatibility, keys, organizations, sub_accounts, usage, wallets};

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
    use Permit::{Account, Operator, Organization, TestKey};
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const PATCH: MethodFilter = MethodFilter::PATCH;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    vec![
        route(POST,   "/v1/organizations",                        Subject::Installation, Operator,     organizations::create::handle),
        route(GET,    "/v1/organizations/{id}",                   Subject::Organization, Operator,     organizations::read::handle),
        route(PATCH,  "/v1/organizations/{id}",                   Subject::Organization, Operator,     organizations::patch::handle),
        route(GET,    "/v1/organizations/{id}/wallet",            Subject::Organization, Operator,     wallets::read::handle),
        route(GET,    "/v1/organizations/{id}/wallet/entries",    Subject::Organization, Operator,     wallets::entries::handle),
        route(POST,   "/v1/organizations/{id}/wallet/recharge",   Subject::Organization, Operator,     wallets::recharge::handle),
        route(GET,    "/v1/organization",                         Subject::Own,          Organization, organizations::read::handle),
        route(PATCH,  "/v1/organization",                         Subject::Own,          Organization, organizations::patch::handle),
        route(GET,    "/v1/organization/wallet",                  Subject::Own,          Organization, wallets::read::handle),
        route(GET,    "/v1/organization/wallet/entries",          Subject::Own,          Organization, wallets::entries::handle),
        route(POST,   "/v1/sub-accounts",                         Subject::Own,          Organization, sub_accounts::create::handle),
        route(GET,    "/v1/sub-accounts",                         Subject::Own,          Organization, sub_accounts::list::handle),
        route(GET,    "/v1/sub-accounts/{id}",                    Subject::SubAccount,   TestKey,      sub_accounts::read::handle),
        route(PATCH,  "/v1/sub-accounts/{id}",                    Subject::SubAccount,   Organization, sub_accounts::patch::handle),
        route(DELETE, "/v1/sub-accounts/{id}",                    Subject::SubAccount,   Organization, sub_accounts::delete::handle),
        route(POST,   "/v1/sub-accounts/{id}/suspend",            Subject::SubAccount,   Organization, sub_accounts::status::suspend),
        route(POST,   "/v1/sub-accounts/{id}/reactivate",         Subject::SubAccount,   Organization, sub_accounts::status::reactivate),
        route(GET,    "/v1/sub-accounts/{id}/wallet",             Subject::SubAccount,   Account,      wallets::read::handle),
        route(GET,    "/v1/sub-accounts/{id}/wallet/entries",     Subject::SubAccount,   Account,      wallets::entries::handle),
        route(POST,   "/v1/sub-accounts/{id}/wallet/recharge",    Subject::SubAccount,   Organization, wallets::recharge::handle),
        route(GET,    "/v1/sub-accounts/{id}/api-keys",           Subject::SubAccount,   Organization, keys::list::handle),
        route(POST,   "/v1/sub-accounts/{id}/api-keys",           Subject::SubAccount,   Organization, keys::create::handle),
        route(DELETE, "/v1/sub-accounts/{id}/api-keys/{key_id}",  Subject::SubAccount,   Organization, keys::revoke::handle),
        route(GET,    "/v1/sub-accounts/{id}/calls",              Subject::SubAccount,   Account,      usage::calls::handle),
        route(GET,    "/v1/sub-accounts/{id}/usage",              Subject::SubAccount,   Account,      usage::totals::handle),
        route(GET,    "/v1/usage",                                Subject::Own,          Account,      usage::totals::handle),
        route(GET,    "/v1/audit",                                Subject::Own,          Organization, audit::list::handle),
        route(GET,    "/v1/audit/export",                         Subject::Own,          Organization, audit::export::handle),
        route(GET,    "/v1/sub-accounts/{id}/audit",              Subject::SubAccount,   Organization, audit::list::handle),
        route(GET,    "/v1/sub-accounts/{id}/audit/export",       Subject::SubAccount,   Organization, audit::export::handle),
        route(POST,   "/sub-accounts/create",                     Subject::Own,          Organization, compatibility::create::handle),
        route(GET,    "/sub-accounts/all",                        Subject::Own,          Organization, compatibility::list::handle),
        route(GET,    "/sub-accounts/all/usage",                  Subject::Own,          Organization, compatibility::all_usage::handle),
        route(PATCH,  "/sub-accounts/{uuid}",                     Subject::SubAccount,   Organization, compatibility::patch::handle),
        route(DELETE, "/sub-accounts/{uuid}",                     Subject::SubAccount,   Organization, compatibility::delete::handle),
        route(GET,    "/sub-accounts/{uuid}/usage",               Subject::SubAccount,   Account,      compatibility::usage::handle),
        route(GET,    "/user/me",                                 Subject::Own,          TestKey,      compatibility::me::handle),
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
    let principal = principal::authenticate(&app, request.headers()).await?;
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
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
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
