//! How an account is presented: labels, by which its organization finds its way, and the name and logo
//! that its members are shown under the organization's brand. Nothing is decided by any of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Given, Raw, values};
use crate::problem::Problem;

/// Labels of one account.
const LABELS_MAX: usize = 32;
/// The longest name of a label, in characters.
const LABEL_NAME_MAX: usize = 63;
/// The longest value of a label, in characters.
const LABEL_VALUE_MAX: usize = 120;
/// The longest address of a logo, in characters.
const LOGO_URL_MAX: usize = 2_048;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Presentation {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) display_name: Option<String>,
    pub(crate) logo_url: Option<String>,
}

/// What a request says of it.
#[derive(Default)]
pub(crate) struct Asked {
    labels: Given<BTreeMap<String, String>>,
    display_name: Given<String>,
    logo_url: Given<String>,
}

/// The members of answers.
pub(crate) fn shown() -> [(&'static str, Schema); 3] {
    [
        ("labels", schema::by_name(schema::text()).example(json!({"tier": "gold"}))),
        ("display_name", schema::text().or_null().example("Acme Voice")),
        ("logo_url", schema::text().or_null().example("https://cdn.example.com/acme.png")),
    ]
}

/// The members of requests.
pub(crate) fn asked() -> [(&'static str, Schema); 3] {
    let value = schema::pattern(r"^[^\u0000-\u001f\u007f-\u009f]{0,120}$");
    let labels = schema::by_name(value).members(LABELS_MAX, r"^[A-Za-z0-9._/-]{1,63}$");
    let in_host = r"[A-Za-z0-9.:\[\]-]*";
    let after = r"[/?#][!#$%&()*+,./0-9:;=?@A-Z\[\]_a-z~-]*";
    let logo_url = schema::pattern(&format!(r"^https://[A-Za-z0-9\[]{in_host}({after})?$"))
        .at_most(LOGO_URL_MAX);
    [
        (
            "labels",
            labels
                .or_null()
                .about("stand for all that the account has; null removes them")
                .example(json!({"tier": "gold"})),
        ),
        (
            "display_name",
            schema::name().or_null().about("what its members are shown").example("Acme Voice"),
        ),
        (
            "logo_url",
            logo_url
                .or_null()
                .about("a picture that its members are shown, by https")
                .example("https://cdn.example.com/acme.png"),
        ),
    ]
}

/// Reads `labels`, `display_name` and `logo_url`.
pub(crate) fn read(fields: &mut Fields) -> Asked {
    let labels: Given<BTreeMap<String, String>> =
        fields.given_object("labels", |labels| Some(labels.rest(label).into_iter().collect()));
    if matches!(&labels, Given::Value(labels) if labels.len() > LABELS_MAX) {
        fields.refuse("labels", format!("expected at most {LABELS_MAX} labels"));
    }
    Asked {
        labels,
        display_name: fields.given("display_name", values::name),
        logo_url: fields.given("logo_url", logo_url),
    }
}

impl Asked {
    /// Merges into what an account has: labels that are given stand for all.
    pub(crate) fn merge_into(self, present: &mut Presentation) {
        let labels = self.labels.merged(Some(std::mem::take(&mut present.labels)));
        present.labels = labels.unwrap_or_default();
        present.display_name = self.display_name.merged(present.display_name.take());
        present.logo_url = self.logo_url.merged(present.logo_url.take());
    }
}

impl Presentation {
    /// From the columns `labels`, `display_name` and `logo_url`.
    pub(super) fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let labels: String = row.try_get("labels")?;
        Ok(Self {
            labels: serde_json::from_str(&labels).map_err(Problem::internal)?,
            display_name: row.try_get("display_name")?,
            logo_url: row.try_get("logo_url")?,
        })
    }

    /// The column `labels`.
    pub(super) fn labels_text(&self) -> String {
        json!(self.labels).to_string()
    }
}

fn label(name: &str, value: &Raw) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if !(1..=LABEL_NAME_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(format!(
            "expected a name of 1 to {LABEL_NAME_MAX} letters, digits, dots, hyphens, underscores and slashes"
        ));
    }
    let value = values::text(value).ok().filter(|value| {
        value.chars().count() <= LABEL_VALUE_MAX && !value.chars().any(char::is_control)
    });
    value.ok_or_else(|| {
        format!("expected a string of at most {LABEL_VALUE_MAX} characters, no control characters")
    })
}

/// An address that a page may show: `https`, a host, nothing that could end an attribute.
fn logo_url(raw: &Raw) -> Result<String, String> {
    let url = values::text(raw).unwrap_or_default();
    let rest = url.strip_prefix("https://").filter(|_| url.len() <= LOGO_URL_MAX);
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte);
    if !host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        || !host.bytes().all(in_host)
        || !url.bytes().all(in_url)
    {
        return Err(format!(
            "expected an address that begins with https:// and a host, at most {LOGO_URL_MAX} characters"
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn an_account_is_presented_as_its_organization_says_to_its_own_key_too() {
        let harness = Harness::new().await;
        let body = json!({"name": "acme-17", "concurrency_limit": 1, "labels": {"tier": "gold", "crm/id": "4711"},
            "display_name": "Acme Voice", "logo_url": "https://cdn.example.com/acme.png?v=2"});
        let made =
            harness.send(&harness.organization, "POST", "/v1/sub-accounts", body.clone()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let path = format!("/v1/sub-accounts/{}", text(&made.body["sub_account_id"]));
        let read = harness.get(&text(&made.body["api_key"]), &path).await;
        for name in ["name", "labels", "display_name", "logo_url"] {
            assert_eq!((&made.body[name], &read.body[name]), (&body[name], &body[name]), "{name}");
        }
        let changed = json!({"labels": {"tier": "silver"}, "logo_url": null});
        let changed = harness.send(&harness.organization, "PATCH", &path, changed).await;
        assert_eq!(
            changed.body["labels"],
            json!({"tier": "silver"}),
            "labels are given as a whole"
        );
        assert_eq!(changed.body["display_name"], json!("Acme Voice"));
        assert_eq!(changed.body["logo_url"], Value::Null);
        let cleared = json!({"labels": null, "display_name": null});
        harness.send(&harness.organization, "PATCH", &path, cleared).await;
        let listed = harness.get(&harness.organization, "/v1/sub-accounts").await;
        assert_eq!(listed.body["data"][0]["labels"], json!({}));
        assert_eq!(listed.body["data"][0]["display_name"], Value::Null);
    }

    #[tokio::test]
    async fn what_cannot_be_shown_is_named() {
        let harness = Harness::new().await;
        let (id, _) = harness.isolated(1).await;
        let path = format!("/v1/sub-accounts/{id}");
        let many: serde_json::Map<String, Value> =
            (0..=super::LABELS_MAX).map(|index| (index.to_string(), json!(""))).collect();
        for (body, fields) in [
            (
                json!({"labels": {"a b": "x", "": "x", "ok": 7, "long": "x".repeat(121)}}),
                vec!["labels.a b", "labels.", "labels.ok", "labels.long"],
            ),
            (json!({"labels": ["a"], "display_name": " "}), vec!["labels", "display_name"]),
            (json!({"labels": many}), vec!["labels"]),
            (json!({"logo_url": "http://example.com/a.png"}), vec!["logo_url"]),
            (json!({"logo_url": "https:///a.png"}), vec!["logo_url"]),
            (json!({"logo_url": "https://me@example.com/"}), vec!["logo_url"]),
            (json!({"logo_url": "https://example.com/\"onload=\"x"}), vec!["logo_url"]),
            (json!({"logo_url": "javascript:alert(1)"}), vec!["logo_url"]),
            (
                json!({"logo_url": format!("https://example.com/{}", "x".repeat(2_048))}),
                vec!["logo_url"],
            ),
        ] {
            let refused = harness.send(&harness.organization, "PATCH", &path, body.clone()).await;
            assert_eq!(refused.status, 400, "{body}");
            let mut named = named(&refused.body);
            named.sort();
            let mut fields = fields;
            fields.sort_unstable();
            assert_eq!(named, fields, "{body}");
        }
        let repeated = br#"{"labels":{"a":"1","a":"2"}}"#.to_vec();
        let refused = harness.send_with(&harness.organization, "PATCH", &path, &[], repeated).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["labels.a".to_owned()]));
    }
}
