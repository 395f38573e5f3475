//! A successful answer: a status and a JSON body whose bytes are fixed before the change commits.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::precondition::Tag;
use crate::problem::Problem;

/// Whether the client asks for this media type by name.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(media_type)
    })
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    repeated: bool,
    cookie: Option<HeaderValue>,
    tag: Option<HeaderValue>,
}

impl Answer {
    pub(crate) fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(StatusCode::OK, body)
    }

    pub(crate) fn created(body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(StatusCode::CREATED, body)
    }

    pub(crate) const fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// The client has what it asks for.
    pub(crate) fn not_modified(tag: &Tag) -> Result<Self, Problem> {
        Self::empty(StatusCode::NOT_MODIFIED).tagged(tag)
    }

    const fn empty(status: StatusCode) -> Self {
        Self { status, body: Vec::new(), repeated: false, cookie: None, tag: None }
    }

    /// Shows the tag of the object that is answered.
    pub(crate) fn tagged(mut self, tag: &Tag) -> Result<Self, Problem> {
        self.tag = Some(tag.header()?);
        Ok(self)
    }

    /// An answer that was given before, as it was.
    pub(crate) fn repeated(status: u16, body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
            body,
            repeated: true,
            cookie: None,
            tag: None,
        }
    }

    /// Sets or removes the cookie of a session; it is not stored with the answer.
    #[must_use]
    pub(crate) fn with_cookie(mut self, cookie: HeaderValue) -> Self {
        self.cookie = Some(cookie);
        self
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::internal)?;
        Ok(Self { body, ..Self::empty(status) })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        if matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            headers.remove(header::CONTENT_TYPE);
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // Answers may carry a secret, and none may be taken for the state of a later moment.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(tag) = self.tag {
            headers.insert(header::ETAG, tag);
        }
        if let Some(cookie) = self.cookie {
            headers.insert(header::SET_COOKIE, cookie);
        }
        if self.repeated {
            headers.insert(
                HeaderName::from_static("idempotency-replayed"),
                HeaderValue::from_static("true"),
            );
        }
        response
    }
}
