//! One request of a principal that may make it: read whole, within its limits, before any handler
//! runs.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::access::Access;
use crate::fields::Fields;
use crate::idempotency::Idempotency;
use crate::precondition::Preconditions;
use crate::problem::{Kind, Problem};
use crate::sessions::cookie;

/// The longest body, in bytes, where an operation says nothing else.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) access: Access,
    pub(crate) idempotency: Option<Idempotency>,
    /// What is to be true of the object that it is about.
    pub(crate) preconditions: Preconditions,
    /// Where it comes from, as the listener sees it.
    pub(crate) source: Option<IpAddr>,
    /// The session that it shows, whether or not it counts.
    pub(crate) cookie: Option<Vec<u8>>,
    body: Vec<u8>,
    query: Option<String>,
}

impl Request {
    pub(crate) fn new(
        access: Access,
        idempotency: Option<Idempotency>,
        parts: &Parts,
        body: Vec<u8>,
    ) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            access,
            idempotency,
            preconditions: Preconditions::of(&parts.headers)?,
            source: peer.map(|ConnectInfo(address)| address.ip()),
            cookie: cookie::presented(&parts.headers),
            body,
            query: parts.uri.query().map(str::to_owned),
        })
    }

    /// The fields of the body.
    pub(crate) fn body(&self) -> Result<Fields, Problem> {
        Fields::of_body(&self.body)
    }

    /// The body as it came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The fields of the query string.
    pub(crate) fn query(&self) -> Fields {
        Fields::of_query(self.query.as_deref())
    }

    /// The fields of the body, of a client that may send more than is read.
    pub(crate) fn lenient_body(&self) -> Result<Fields, Problem> {
        Fields::of_lenient_body(&self.body)
    }

    /// The fields of the query string, likewise.
    pub(crate) fn lenient_query(&self) -> Fields {
        Fields::of_lenient_query(self.query.as_deref())
    }
}

impl<S: Sync> FromRequestParts<S> for Request {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by the router for every route of its table.
        parts
            .extensions
            .remove::<Self>()
            .ok_or_else(|| Problem::internal("a route outside the table"))
    }
}

/// Reads a body of so many bytes at most, or says that it is too long or broke off.
pub(crate) async fn read_body(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Kind::TooLarge, format!("a body may have at most {most} bytes")))
        }
        Err(_) => Err(Problem::field("body", "the body broke off")),
    }
}
