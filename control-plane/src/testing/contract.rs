//! What the OpenAPI document promises, held against every answer that a test gets: the status is one
//! of those described, the body fits its schema and has no member that is not described, and what was
//! carried out fits the schema of the request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::Answered;
use crate::compatibility;
use crate::description::document;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| document::document(&["india", "us", "eu"].map(str::to_owned)));

static COMPONENTS: LazyLock<Value> =
    LazyLock::new(|| json!({"schemas": closed(DOCUMENT["components"]["schemas"].clone())}));

thread_local! {
    /// Those that were made, by the text of their schema.
    static VALIDATORS: RefCell<HashMap<String, Rc<Validator>>> = RefCell::default();
}

/// Fails the test where the document and an answer differ; else the operation's path there, if it is
/// there.
pub(crate) fn assert_kept(
    method: &str,
    target: &str,
    body: &[u8],
    answered: &Answered,
) -> Option<&'static str> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some((known, operation)) = operation(method, path) else {
        assert!([404, 405].contains(&answered.status), "{method} {target}: no such operation");
        return None;
    };
    let asked = format!("{method} {target}");
    assert_answer(&asked, operation, answered);
    if (200..300).contains(&answered.status) && !compatibility::owns(path) {
        assert_query(&asked, operation, query);
        assert_body(&asked, operation, body);
    }
    Some(known)
}

/// The operation of a request, and its path in the document.
pub(crate) fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let is_parameter = |segment: &&str| segment.starts_with('{');
    let fits = |known: &str| {
        known.split('/').count() == path.split('/').count()
            && known
                .split('/')
                .zip(path.split('/'))
                .all(|(known, asked)| is_parameter(&known) || known == asked)
    };
    let known = paths.iter().filter(|(known, _)| fits(known));
    let (known, item) =
        known.min_by_key(|(known, _)| known.split('/').filter(is_parameter).count())?;
    let operation = item.get(method.to_ascii_lowercase())?;
    Some((known, operation))
}

fn assert_answer(asked: &str, operation: &Value, answered: &Answered) {
    let response = &operation["responses"][answered.status.to_string()];
    assert!(
        response.is_object(),
        "{asked}: {} is not described: {}",
        answered.status,
        answered.body
    );
    let response = resolved(response);
    let Some(content) = response["content"].as_object() else {
        assert!(answered.bytes.is_empty(), "{asked}: a body that is not described");
        return;
    };
    let media_type = answered.headers["content-type"].to_str().expect("text");
    let media_type = media_type.split(';').next().unwrap_or_default();
    let described = content.get(media_type);
    let described = described.unwrap_or_else(|| panic!("{asked}: {media_type} is not described"));
    if media_type.ends_with("json") && media_type != "application/x-ndjson" {
        assert_fits(asked, &closed(described["schema"].clone()), &answered.body);
    }
    let headers = response["headers"].as_object().cloned().unwrap_or_default();
    for (name, header) in headers {
        let given = answered.headers.get(name.as_str());
        assert!(given.is_some() || header["required"] != json!(true), "{asked}: no {name}");
    }
}

fn assert_query(asked: &str, operation: &Value, query: &str) {
    let parameters = operation["parameters"].as_array().expect("parameters");
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let is_it = |parameter: &&Value| parameter["in"] == "query" && parameter["name"] == *name;
        let parameter = parameters.iter().find(is_it);
        let schema =
            &parameter.unwrap_or_else(|| panic!("{asked}: {name} is not described"))["schema"];
        let value = match schema["type"].as_str() {
            Some("integer" | "boolean") => serde_json::from_str(&text).expect("a number or a flag"),
            _ => json!(text),
        };
        assert_fits(asked, schema, &value);
    }
}

fn assert_body(asked: &str, operation: &Value, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{asked}: a body that is not described");
    assert_fits(asked, schema, &body);
}

fn assert_fits(asked: &str, schema: &Value, value: &Value) {
    let validator = validator(schema);
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{asked}: {}\n{value}", faults.join("\n"));
}

fn validator(schema: &Value) -> Rc<Validator> {
    let make = || {
        let mut root = schema.clone();
        root["components"] = COMPONENTS.clone();
        let made = jsonschema::draft202012::options().should_validate_formats(true).build(&root);
        Rc::new(made.expect("a schema"))
    };
    VALIDATORS
        .with_borrow_mut(|known| Rc::clone(known.entry(schema.to_string()).or_insert_with(make)))
}

fn resolved(part: &Value) -> &Value {
    let Some(reference) = part["$ref"].as_str() else { return part };
    DOCUMENT.pointer(reference.trim_start_matches('#')).expect("a component")
}

/// The schema without members that it does not describe, where it does not allow them by name.
fn closed(mut schema: Value) -> Value {
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// The document as everybody reads it.
pub(crate) fn paths() -> &'static Map<String, Value> {
    DOCUMENT["paths"].as_object().expect("paths")
}
