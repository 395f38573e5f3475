//! Entity tags of configuration objects, and the requests that depend on them: `If-Match` for changes
//! of what the client has seen, `If-None-Match` for reads of what it has not.
//!
//! A tag is made of what can be configured, so it changes when that does, and only then: live numbers
//! (calls in use, balances) are not in it.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::problem::{Kind, Problem};

/// Tags that are looked at in one request.
const TAGS_MAX: usize = 64;
/// Bytes of the digest that a tag shows: 96 bits.
const DIGEST_BYTES: usize = 12;

/// A strong tag, with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// Of an object's configuration as answers show it.
    pub(crate) fn of(configuration: &impl Serialize) -> Result<Self, Problem> {
        let text = serde_json::to_vec(configuration).map_err(Problem::internal)?;
        let digest = Sha256::digest(text);
        let digits = crate::keys::hexadecimal(&digest[..DIGEST_BYTES]);
        Ok(Self(format!("\"{digits}\"")))
    }

    /// As a header has it, with its quotes.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, Problem> {
        HeaderValue::from_str(&self.0).map_err(Problem::internal)
    }
}

/// What a header lists.
#[derive(Clone, Debug)]
enum Listed {
    /// `*`
    Any,
    Tags(Vec<String>),
}

/// What a request says of the object that it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    matching: Option<Listed>,
    none_matching: Option<Listed>,
}

impl Preconditions {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            matching: listed(headers, &header::IF_MATCH)?,
            none_matching: listed(headers, &header::IF_NONE_MATCH)?,
        })
    }

    /// Refuses a change of what is not what the client has seen. To be asked in the change's own
    /// transaction.
    pub(crate) fn check(&self, current: &Tag) -> Result<(), Problem> {
        match &self.matching {
            Some(Listed::Tags(tags)) if !tags.contains(&current.0) => Err(Problem::new(
                Kind::PreconditionFailed,
                "it has changed since the tag in If-Match: read it again, and send its ETag",
            )
            .with_header(header::ETAG, current.header()?)),
            _ => Ok(()),
        }
    }

    /// Whether the client that reads has it already. Tags are compared weakly here, as a cache may have
    /// made them weak.
    pub(crate) fn is_known(&self, current: &Tag) -> bool {
        match &self.none_matching {
            Some(Listed::Any) => true,
            Some(Listed::Tags(tags)) => {
                tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current.0)
            }
            None => false,
        }
    }
}

fn listed(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Listed>, Problem> {
    let refused = || {
        let expected =
            format!("expected * or at most {TAGS_MAX} tags in quotes, separated by commas");
        Problem::field(name.as_str(), expected)
    };
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| refused())?;
        tags.extend(text.split(',').map(|tag| tag.trim_ascii().to_owned()));
    }
    match &tags[..] {
        [] => return Ok(None),
        [any] if any == "*" => return Ok(Some(Listed::Any)),
        _ => {}
    }
    let is_tag = |tag: &String| {
        let quoted = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.is_some_and(|inner| inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
    };
    if tags.len() > TAGS_MAX || !tags.iter().all(is_tag) {
        return Err(refused());
    }
    Ok(Some(Listed::Tags(tags)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answered, Harness, named, text};

    fn read(name: &'static str, value: &str) -> Result<Preconditions, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header value"));
        Preconditions::of(&headers)
    }

    #[test]
    fn tags_are_compared_strongly_for_changes_and_weakly_for_reads() {
        let tag = Tag::of(&1).expect("a tag");
        let weak = format!("W/{}", tag.0);
        for (value, matches, is_known) in [
            ("*", true, true),
            (tag.0.as_str(), true, true),
            (weak.as_str(), false, true),
            ("\"x\"", false, false),
            (&format!("\"x\", {}", tag.0), true, true),
        ] {
            let matching = read("if-match", value).expect("tags");
            assert_eq!(matching.check(&tag).is_ok(), matches, "{value}");
            let none_matching = read("if-none-match", value).expect("tags");
            assert_eq!(none_matching.is_known(&tag), is_known, "{value}");
        }
        for value in ["x", "\"", "\"a\" \"b\"", "", "*, \"a\"", "w/\"a\""] {
            assert!(read("if-match", value).is_err(), "{value:?}");
        }
    }

    async fn with(
        harness: &Harness,
        header: (&str, &str),
        method: &str,
        path: &str,
        body: Value,
    ) -> Answered {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        harness.send_with(&harness.organization, method, path, &[header], body.into_bytes()).await
    }

    fn tag(answered: &Answered) -> String {
        answered.headers["etag"].to_str().expect("text").to_owned()
    }

    #[tokio::test]
    async fn members_and_keys_are_changed_as_they_were_seen_in_their_list() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let account = format!("/v1/sub-accounts/{id}");
        let user = harness.user("ana@example.com", &id, crate::permission::Role::Viewer).await;
        for (list, own, change) in [
            ("members", "user_id", ("PATCH", "", json!({"role": "admin"}))),
            ("api-keys", "id", ("POST", "/rotate", json!({"old_key_ends": "in_24_hours"}))),
        ] {
            let list = format!("{account}/{list}");
            let listed =
                async || harness.get(&harness.organization, &list).await.body["data"][0].clone();
            let first = listed().await;
            let (path, seen) = (format!("{list}/{}", text(&first[own])), text(&first["etag"]));
            let (method, rest, body) = change;
            let at = format!("{path}{rest}");
            let stale = with(&harness, ("if-match", "\"stale\""), method, &at, body.clone()).await;
            assert_eq!((stale.status, tag(&stale)), (412, seen.clone()), "{}", stale.body);
            let done = with(&harness, ("if-match", &seen), method, &at, body).await;
            assert!(done.status < 300, "{}", done.body);
            let gone = with(&harness, ("if-match", &seen), "DELETE", &path, Value::Null).await;
            assert_eq!(gone.status, 412, "it has changed: {}", gone.body);
            let now = text(&listed().await["etag"]);
            assert_ne!(now, seen);
            let gone = with(&harness, ("if-match", &now), "DELETE", &path, Value::Null).await;
            assert_eq!(gone.status, 204, "{}", gone.body);
        }
        assert!(user.starts_with("user_"));
    }

    #[tokio::test]
    async fn who_has_not_seen_a_change_does_not_undo_it() {
        let harness = Harness::new().await;
        let body = json!({"name": "Acme", "concurrency_limit": 1, "billing_mode": "isolated"});
        let made = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
        let id = text(&made.body["sub_account_id"]);
        let account = format!("/v1/sub-accounts/{id}");
        for path in [account.as_str(), "/v1/organization"] {
            let first = harness.get(&harness.organization, path).await;
            let seen = tag(&first);
            let known = with(&harness, ("if-none-match", &seen), "GET", path, Value::Null).await;
            assert_eq!((known.status, known.bytes.len(), tag(&known)), (304, 0, seen.clone()));
            let changed =
                with(&harness, ("if-match", &seen), "PATCH", path, json!({"name": "New"})).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
            assert_ne!(tag(&changed), seen);
            let lost =
                with(&harness, ("if-match", &seen), "PATCH", path, json!({"name": "Lost"})).await;
            assert_eq!((lost.status, &lost.body["reason"]), (412, &json!("precondition_failed")));
            assert_eq!(tag(&lost), tag(&changed), "the refusal tells the tag of now");
            let read = with(&harness, ("if-none-match", &seen), "GET", path, Value::Null).await;
            assert_eq!((read.status, &read.body["name"]), (200, &json!("New")));
            assert_eq!(tag(&read), tag(&changed));
            let any =
                with(&harness, ("if-match", "*"), "PATCH", path, json!({"name": "Any"})).await;
            assert_eq!(any.status, 200);
            let bad = with(&harness, ("if-match", "x"), "PATCH", path, json!({})).await;
            assert_eq!((bad.status, named(&bad.body)), (400, vec!["if-match".to_owned()]));
        }
        assert_eq!(tag(&made).len(), 2 + 2 * DIGEST_BYTES);
        let read = harness.get(&harness.organization, &account).await;
        harness.recharge(&id, "5").await;
        let richer = harness.get(&harness.organization, &account).await;
        assert_ne!(richer.body["wallet"], read.body["wallet"]);
        assert_eq!(tag(&richer), tag(&read), "money is no configuration");
        for (method, path) in [("POST", format!("{account}/suspend")), ("DELETE", account.clone())]
        {
            let stale = with(&harness, ("if-match", "\"stale\""), method, &path, Value::Null).await;
            assert_eq!(stale.status, 412, "{method}");
        }
        let current = tag(&richer);
        let suspend = format!("{account}/suspend");
        let suspended = with(&harness, ("if-match", &current), "POST", &suspend, Value::Null).await;
        assert_eq!(suspended.status, 200);
        let gone = format!("{account}?balance=refund");
        let gone =
            with(&harness, ("if-match", &tag(&suspended)), "DELETE", &gone, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
}
