//! The OpenAPI 3.1 document: the route table with what each operation says of itself. Made once, at
//! the start; the committed copy is compared with it.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodFilter;
use http::{StatusCode, header};
use hub::id::AccountKind;
use serde_json::{Map, Value, json};

use super::schema::{self, DEFINITION, REGIONS, Schema};
use super::tags::{tag, tags};
use super::{Operation, Tagged, refusals};
use crate::Shared;
use crate::access::Subject;
use crate::compatibility;
use crate::permission::Permit;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::resources;
use crate::router::{Route, routes};

const ABOUT: &str = "\
Organizations, sub-accounts, people, keys, wallets and usage of a Ringfence installation.

- **Who asks**: an API key, as bearer, `X-API-Key` or Basic user name or password; or the cookie of a session.
- **What belongs to somebody else** is answered as what does not exist: 404.
- **Unknown and repeated fields** are refused, and every bad field is named at once.
- **`Idempotency-Key`** on a POST: the same request again gets the stored answer for 24 hours.
- **Money** is decimal strings in major units, **times** are RFC 3339 in UTC.
- **Lists** are pages: `next_cursor` is the `cursor` of the next one, null at the end.
- **`ETag`** of organizations, sub-accounts and resources: with `If-Match` a change of what is not what was seen is refused (412).
- **`X-RateLimit-Limit`, `-Remaining`, `-Reset`** (seconds until it is whole again) tell what is left of the requests that the key or user may send in a second; beyond it 429 with `Retry-After`.
- **Refusals** are `application/problem+json` (RFC 9457); `reason` is what to branch on.";

/// `GET /openapi.json`
pub(crate) fn describe() -> Operation {
    let document = schema::answered([("openapi", schema::text()), ("paths", schema::anything())]);
    Operation::new("Read this document", "The OpenAPI 3.1 document of this control plane.").answers(
        StatusCode::OK,
        "The document.",
        document.open(),
    )
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, Problem> {
    request.query().finish()?;
    Ok(([(header::CONTENT_TYPE, "application/json")], app.document.clone()).into_response())
}

/// The document of an installation with these regions, as it is served.
pub(crate) fn bytes(regions: &[String]) -> Bytes {
    document(regions).to_string().into()
}

pub(crate) fn document(regions: &[String]) -> Value {
    let routes = routes();
    let (mut paths, mut responses, mut schemas) = (Map::new(), Map::new(), Map::new());
    for route in &routes {
        let operation = (route.describe)();
        let mut described = operation.document(route, &routes, &mut responses);
        if route.path.starts_with(WORKSPACES) {
            say_workspace(&mut described);
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method_name(route.method).to_ascii_lowercase()] = described;
    }
    let (mut paths, mut responses) = (Value::Object(paths), Value::Object(responses));
    for part in [&mut paths, &mut responses] {
        settle(part, regions, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ringfence control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the control plane that serves this document"}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": allowance_headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

/// Where operations are those of sub-accounts, but for what they are about.
const WORKSPACES: &str = "/v1/workspaces";

/// Says of a workspace what is said of a sub-account.
fn say_workspace(operation: &mut Value) {
    for name in ["summary", "description"] {
        if let Some(Value::String(text)) = operation.get_mut(name) {
            *text = text.replace("sub-account", "workspace");
        }
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        for (_, response) in responses {
            if let Some(Value::String(text)) = response.get_mut("description") {
                *text = text.replace("sub-account", "workspace");
            }
        }
    }
}

/// Moves named schemas to the components, and puts the installation's regions in.
fn settle(part: &mut Value, regions: &[String], schemas: &mut Map<String, Value>) {
    match part {
        Value::Object(object) => {
            if object.remove(REGIONS).is_some() {
                let is_nullable = object["type"].is_array();
                let mut words: Vec<Value> = regions.iter().map(|region| json!(region)).collect();
                words.extend(is_nullable.then_some(Value::Null));
                object.insert("enum".to_owned(), Value::Array(words));
            }
            if let Some(mut definition) = object.remove(DEFINITION) {
                settle(&mut definition, regions, schemas);
                let name = object["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                schemas.insert(name.unwrap_or_default().to_owned(), definition);
            }
            object.values_mut().for_each(|value| settle(value, regions, schemas));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| settle(value, regions, schemas)),
        _ => {}
    }
}

impl Operation {
    fn document(
        self,
        route: &Route,
        routes: &[Route],
        components: &mut Map<String, Value>,
    ) -> Value {
        let compares = self.tag == Some(Tagged::Compared);
        let reads = route.method == MethodFilter::GET;
        let mut refuses = self.refuses;
        refuses.extend((compares && !reads).then_some(Kind::PreconditionFailed));
        let mut responses = refusals::responses(route, &refuses, components);
        if compares && reads {
            responses.insert("304".to_owned(), not_modified());
        }
        let links = self.makes.as_ref().map(|made| made.links(routes)).unwrap_or_default();
        for mut answer in self.answers {
            if self.tag.is_some() && !answer.content.is_empty() {
                answer.headers.push(("ETag", tag_schema()));
            }
            let status = answer.status.as_str().to_owned();
            responses.insert(status, answer.document(route, &links));
        }
        let mut operation = json!({
            "operationId": operation_id(route),
            "summary": self.summary,
            "description": format!("{}\n\n**Who may**: {}.", self.about, route.permit.who()),
            "tags": [tag(route.path)],
            "security": security(route.permit),
            "parameters": parameters(route, self.query, compares),
            "responses": responses,
        });
        if let Some(body) = self.body {
            let is_json = body.media_type == "application/json";
            let is_required = !is_json || body.schema.has_required_members();
            let content = json!({"schema": body.schema.into_json(), "example": body.example});
            operation["requestBody"] =
                json!({"required": is_required, "content": {body.media_type: content}});
        }
        operation
    }
}

impl super::Answered {
    fn document(self, route: &Route, links: &Map<String, Value>) -> Value {
        let mut headers = refusals::allowance();
        let replays = route.method == MethodFilter::POST && route.permit != Permit::Anyone;
        let replayed = schema::labels(["true"])
            .about("only where this is the stored answer of an earlier request");
        let common = replays.then_some(("Idempotency-Replayed", replayed));
        for (name, schema) in common.into_iter().chain(self.headers) {
            headers.insert(name.to_owned(), described(schema));
        }
        let mut content = Map::new();
        for (media_type, schema) in self.content {
            content.insert(media_type.to_owned(), json!({"schema": schema.into_json()}));
        }
        let mut answer = json!({"description": self.about});
        for (name, part) in [("headers", headers), ("content", content), ("links", links.clone())] {
            if !part.is_empty() {
                answer[name] = Value::Object(part);
            }
        }
        answer
    }
}

impl super::Made {
    /// Every operation that takes the id next.
    fn links(&self, routes: &[Route]) -> Map<String, Value> {
        let parameter = self.path.rsplit('/').next().unwrap_or_default().trim_matches(['{', '}']);
        let expression = format!("$response.body#/{}", self.member);
        let next = routes.iter().filter(|route| route.path.starts_with(self.path));
        let link = |route: &Route| {
            let id = operation_id(route);
            (id.clone(), json!({"operationId": id, "parameters": {parameter: expression}}))
        };
        next.map(link).collect()
    }
}

/// A schema as a parameter or a header has it: what it means stands beside it.
fn described(schema: Schema) -> Value {
    let is_required = schema.is_required();
    let mut schema = schema.into_json();
    let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    let mut described = json!({"schema": schema});
    if let Some(about) = about {
        described["description"] = about;
    }
    if is_required {
        described["required"] = json!(true);
    }
    described
}

fn parameters(route: &Route, query: Vec<(&'static str, Schema)>, compares: bool) -> Vec<Value> {
    let placed = |place: &str, name: &str, schema: Schema| {
        let mut parameter = described(schema);
        parameter["in"] = json!(place);
        parameter["name"] = json!(name);
        parameter
    };
    let mut parameters = Vec::new();
    for name in path_parameters(route.path) {
        parameters.push(placed("path", name, path_parameter(route, name).required()));
    }
    parameters.extend(query.into_iter().map(|(name, schema)| placed("query", name, schema)));
    for (name, schema) in headers(route).into_iter().chain(precondition(route, compares)) {
        parameters.push(placed("header", name, schema));
    }
    parameters
}

/// The names in braces.
pub(super) fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(route: &Route, name: &str) -> Schema {
    match (name, route.subject) {
        ("id", Subject::Organization) => {
            schema::account_id(AccountKind::Organization).about("the organization")
        }
        ("id", Subject::Workspace) => {
            schema::account_id(AccountKind::Workspace).about("the workspace")
        }
        ("id", _) => schema::account_id(AccountKind::SubAccount).about("the sub-account"),
        ("uuid", _) => {
            schema::any_of([schema::uuid(), schema::account_id(AccountKind::SubAccount)])
                .about("the sub-account, by either of its names")
        }
        ("key_id", _) => schema::id("key").about("the API key"),
        ("user_id", _) => schema::id("user").about("the member"),
        ("invitation_id", _) => schema::id("invitation").about("the invitation"),
        ("delegation_id", _) => schema::id("delegation").about("the delegation"),
        ("token_id", _) => schema::id("token").about("the API token"),
        ("webhook_id", _) => schema::id("webhook").about("the webhook"),
        ("delivery_id", _) => schema::id("msg").about("the delivery"),
        ("deck_id", _) => schema::id("deck").about("the rate deck"),
        ("version", _) => schema::count().about("the number of the version"),
        ("invoice_id", _) => schema::id("inv").about("the invoice"),
        ("attempt_id", _) => schema::id("rca").about("the recharge attempt"),
        ("credit_note_id", _) => schema::id("crn").about("the credit note"),
        ("resource_id", _) => resources::id_parameter(route.path),
        (_, _) => schema::text(),
    }
}

fn headers(route: &Route) -> Vec<(&'static str, Schema)> {
    let mut headers = Vec::new();
    if route.method == MethodFilter::POST && route.permit != Permit::Anyone {
        let key = schema::pattern(r"^[!-~]([ -~]{0,253}[!-~])?$").about(
            "names this request: sent again with the same key and body within 24 hours, it gets the stored answer and changes nothing; with another body it is refused",
        );
        headers.push(("Idempotency-Key", key));
    }
    let by_members = !matches!(route.subject, Subject::Installation | Subject::User);
    if by_members && route.permit != Permit::Operator && !compatibility::owns(route.path) {
        let account = schema::any_account_id().about(
            "of a user who is a member of several accounts: the one to act in; keys have one",
        );
        headers.push(("Ringfence-Account", account));
    }
    headers
}

fn precondition(route: &Route, compares: bool) -> Option<(&'static str, Schema)> {
    let tags = |about: &str| {
        let tags = r#"^(\*|(W/)?"[!#-+\--~]*"(, ?(W/)?"[!#-+\--~]*"){0,63})$"#;
        schema::pattern(tags).about(about).example("*")
    };
    match (compares, route.method == MethodFilter::GET) {
        (false, _) => None,
        (true, true) => Some((
            "If-None-Match",
            tags(
                "tags that are known: the answer is 304 where the configuration still has one of them, whatever calls and money have done",
            ),
        )),
        (true, false) => Some((
            "If-Match",
            tags(
                "the tag that was seen: the change is refused where it is not that of now; `*` is any",
            ),
        )),
    }
}

fn tag_schema() -> Schema {
    schema::pattern("^\"[0-9a-f]{24}\"$").about("strong; changes when what can be configured does, and only then; not in the stored answer to a repeated request")
}

fn not_modified() -> Value {
    let mut tag = described(tag_schema());
    tag["required"] = json!(true);
    let mut headers = refusals::allowance();
    headers.insert("ETag".to_owned(), tag);
    json!({"description": "The client has the configuration of now.", "headers": headers})
}

fn allowance_headers() -> Value {
    let header = |about| json!({"schema": {"type": "integer", "minimum": 0}, "description": about});
    json!({
        "X-RateLimit-Limit": header("requests that the key or user, or without one the address, may send in a second"),
        "X-RateLimit-Remaining": header("how many of them are left"),
        "X-RateLimit-Reset": header("seconds until all of them are there again"),
    })
}

/// `getSubAccountsByIdWallet`
pub(super) fn operation_id(route: &Route) -> String {
    let mut id = method_name(route.method).to_ascii_lowercase();
    for segment in route.path.split('/').filter(|segment| !["", "v1"].contains(segment)) {
        let name = segment.trim_matches(['{', '}']);
        id.push_str(if name == segment { "" } else { "By" });
        for word in name.split(['-', '_', '.']) {
            id.push_str(&word[..1].to_ascii_uppercase());
            id.push_str(&word[1..]);
        }
    }
    id
}

fn security(permit: Permit) -> Value {
    match permit {
        Permit::Anyone => json!([]),
        Permit::SignedIn | Permit::Delegate => json!([{"session": []}]),
        Permit::User => json!([{"bearer": []}, {"session": []}]),
        Permit::Operator => json!([{"bearer": []}, {"api_key": []}, {"basic": []}]),
        _ => json!([{"bearer": []}, {"api_key": []}, {"basic": []}, {"session": []}]),
    }
}

fn security_schemes() -> Value {
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or an API token of a user"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "an API key"},
        "basic": {"type": "http", "scheme": "basic", "description": "an API key as user name or as password"},
        "session": {
            "type": "apiKey", "in": "cookie", "name": crate::sessions::cookie::NAME,
            "description": "set by `POST /v1/sessions`; changes also need the header `X-Requested-With`, or an `Origin` that is this host",
        },
    })
}

pub(crate) fn method_name(method: MethodFilter) -> &'static str {
    let names = [
        (MethodFilter::GET, "GET"),
        (MethodFilter::POST, "POST"),
        (MethodFilter::PATCH, "PATCH"),
        (MethodFilter::PUT, "PUT"),
        (MethodFilter::DELETE, "DELETE"),
    ];
    names.into_iter().find(|(filter, _)| *filter == method).map_or("", |(_, name)| name)
}
