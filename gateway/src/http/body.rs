//! Reads the body of a request within its limit, and tells how it is to be understood.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap};
use http_body::Body as _;
use http_body_util::BodyExt;
use hub::denial::{BadField, Denial, Reason};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::Refused;
use super::connection::{Connection, Phase};
use super::parameters::{Parameters, shortened};
use super::settings::{BODY_MAX, LARGE_BODY_MAX};

/// A body, with its share of the memory for large ones.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads a body of an ordinary operation.
pub(super) async fn small(body: Incoming, connection: &Connection) -> Result<Bytes, Refused> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    connection.enter(Phase::Body);
    let bytes = collected(body, BODY_MAX).await;
    connection.enter(Phase::Engine);
    bytes
}

/// Reads a body of batch or reconcile; waits while others fill the memory for such.
pub(super) async fn large(body: Incoming, connection: &Connection) -> Result<Read, Refused> {
    let declared = body.size_hint().upper().unwrap_or(LARGE_BODY_MAX as u64);
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    if declared > LARGE_BODY_MAX {
        return Err(Reason::TooLarge.into());
    }
    connection.enter(Phase::Body);
    let share = match u32::try_from(declared) {
        Ok(bytes) if declared > BODY_MAX => {
            let large_bodies = Arc::clone(&connection.worker.process.large_bodies);
            large_bodies.acquire_many_owned(bytes).await.ok()
        }
        _ => None,
    };
    let bytes = collected(body, LARGE_BODY_MAX).await;
    connection.enter(Phase::Engine);
    Ok(Read { bytes: bytes?, _share: share })
}

async fn collected(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Refused> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Reason::TooLarge.into());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    // Nearly always one frame, which is then not copied.
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        let Ok(data) = frame.map_err(|_| unreadable())?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(Reason::TooLarge.into());
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            let declared = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            all.reserve((first.len() + data.len() + declared).min(bytes_max));
            all.extend_from_slice(&first);
            first = Bytes::new();
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The body broke off or its chunks are malformed.
fn unreadable() -> Refused {
    let problem = "is incomplete or wrongly encoded".to_owned();
    Denial::InvalidRequest(vec![BadField { field: "body".to_owned(), problem }]).into()
}

/// Reads the parameters of a body: as JSON where its type says so; else as JSON when it begins with
/// `{`, as no form does, else as a form.
pub(super) fn parameters<'a>(
    parameters: &mut Parameters<'a>,
    headers: &HeaderMap,
    body: &'a [u8],
) -> Result<(), Refused> {
    let media = media_type(headers);
    if media.eq_ignore_ascii_case("application/json") || ends_with_json(media) {
        parameters.read_json(body);
        return Ok(());
    }
    // Stacks and curl send what they are told to with whatever type is their default.
    let undeclared = ["", "application/x-www-form-urlencoded", "text/plain", "text/json"];
    if undeclared.iter().any(|known| media.eq_ignore_ascii_case(known)) {
        if body.trim_ascii_start().starts_with(b"{") {
            parameters.read_json(body);
        } else {
            parameters.read_form(body);
        }
        return Ok(());
    }
    if body.is_empty() {
        return Ok(());
    }
    let problem = format!(
        "{:?} is not read here; expected application/json or application/x-www-form-urlencoded",
        shortened(media)
    );
    Err(Denial::InvalidRequest(vec![BadField { field: "content-type".to_owned(), problem }]).into())
}

/// The media type without its parameters; empty when there is none.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    value.split(';').next().unwrap_or_default().trim()
}

fn ends_with_json(media: &str) -> bool {
    media.len() > 5 && media.as_bytes()[media.len() - 5..].eq_ignore_ascii_case(b"+json")
}
