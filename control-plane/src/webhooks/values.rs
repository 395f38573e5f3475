//! How the fields of a webhook are read.

use http::Uri;

use super::event::EventKind;
use crate::description::schema::{self, Schema};
use crate::fields::Raw;
use crate::fields::values::text;

const URL_CHARACTERS_MAX: usize = 2_048;
const SECRET_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=256;

/// What a request has, with what it must have.
pub(super) fn asked(is_required: bool) -> Schema {
    let needed = |schema: Schema| if is_required { schema.required() } else { schema };
    schema::asked([
        (
            "url",
            needed(
                schema::pattern("^https?://[^/?#@\\s]+([/?][^#\\s]*)?$")
                    .at_most(URL_CHARACTERS_MAX),
            )
            .about("https, and a public host, unless the installation allows others"),
        ),
        ("events", needed(schema::list(kind()).items(1..=EventKind::ALL.len()))),
        ("is_active", schema::flag()),
        (
            "secret",
            schema::characters(SECRET_CHARACTERS)
                .about("what deliveries are signed with; whsec_ and base64, or any visible ASCII"),
        ),
    ])
}

pub(super) fn kind() -> Schema {
    schema::labels(EventKind::ALL.map(EventKind::name))
}

/// An absolute URL without credentials. In plain text only where private networks may be reached: an
/// installation that is tried out.
pub(super) fn url(plain_allowed: bool) -> impl FnOnce(&Raw) -> Result<String, String> {
    move |raw| {
        let expected = || {
            let schemes = if plain_allowed { "https:// or http://" } else { "https://" };
            format!(
                "expected a URL of at most {URL_CHARACTERS_MAX} characters that begins with {schemes} and names a host, without user, password and fragment"
            )
        };
        let given = text(raw).map_err(|_| expected())?;
        let parsed: Uri = given.parse().map_err(|_| expected())?;
        let scheme = parsed.scheme_str();
        let known = scheme == Some("https") || plain_allowed && scheme == Some("http");
        let authority = parsed.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let has_host = parsed.host().is_some_and(|host| !host.is_empty());
        if !known
            || !has_host
            || authority.contains('@')
            || given.contains('#')
            || given.len() > URL_CHARACTERS_MAX
        {
            return Err(expected());
        }
        Ok(given)
    }
}

/// A list of one or more kinds, without repetition.
pub(super) fn events(raw: &Raw) -> Result<Vec<EventKind>, String> {
    let expected = || {
        let known = EventKind::ALL.map(EventKind::name).join(", ");
        format!("expected a list of one or more of {known}")
    };
    let names: Vec<String> = raw.list().ok_or_else(expected)?;
    let mut kinds = Vec::new();
    for name in names {
        let kind = EventKind::named(&name).ok_or_else(expected)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { Err(expected()) } else { Ok(kinds) }
}

/// What deliveries are signed with: any characters that can be seen.
pub(super) fn secret(raw: &Raw) -> Result<String, String> {
    let expected = "expected 16 to 256 visible ASCII characters; one that begins with whsec_ goes on in base64";
    let given = text(raw).map_err(|_| expected.to_owned())?;
    let visible = given.bytes().all(|byte| byte.is_ascii_graphic());
    if visible
        && SECRET_CHARACTERS.contains(&given.len())
        && super::signature::key(&given).is_some()
    {
        Ok(given)
    } else {
        Err(expected.to_owned())
    }
}
