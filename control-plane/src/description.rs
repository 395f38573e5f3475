//! What each operation says of itself, beside its handler. The OpenAPI document is made of it and of
//! the one route table, and of nothing else; the route table does not compile without it.
//!
//! What follows from a route is not said again: who may use it, its security schemes, the parameters
//! of its path, its headers, and what every route may refuse come from [`document`].

use http::StatusCode;
use serde_json::Value;

use crate::problem::Kind;
use crate::request::BODY_BYTES_MAX;
use schema::Schema;

pub(crate) mod document;
mod refusals;
pub(crate) mod schema;
mod tags;
#[cfg(test)]
mod tests;

/// One operation: what it does, what it reads, what it answers.
pub(crate) struct Operation {
    summary: &'static str,
    about: String,
    query: Vec<(&'static str, Schema)>,
    body: Option<Body>,
    answers: Vec<Answered>,
    refuses: Vec<Kind>,
    makes: Option<Made>,
    /// Its answers show the tag of an object, and its requests may depend on it.
    tag: Option<Tagged>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tagged {
    Shown,
    /// And asked for.
    Compared,
}

struct Body {
    media_type: &'static str,
    /// In bytes.
    length_max: usize,
    schema: Schema,
    example: Value,
}

/// A successful answer.
struct Answered {
    status: StatusCode,
    about: &'static str,
    headers: Vec<(&'static str, Schema)>,
    /// By media type; none: no body.
    content: Vec<(&'static str, Schema)>,
}

/// What an operation makes, so that its answer can be followed.
struct Made {
    /// The member of the answer that has the id.
    member: &'static str,
    /// The paths that go on from it, up to the parameter that takes the id.
    path: &'static str,
}

impl Operation {
    /// `summary` names what is done in a few words, `about` tells what a caller has to know.
    pub(crate) fn new(summary: &'static str, about: impl Into<String>) -> Self {
        Self {
            summary,
            about: about.into(),
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
            refuses: Vec::new(),
            makes: None,
            tag: None,
        }
    }

    /// Parameters of the query.
    #[must_use]
    pub(crate) fn query(
        mut self,
        parameters: impl IntoIterator<Item = (&'static str, Schema)>,
    ) -> Self {
        self.query.extend(parameters);
        self
    }

    pub(crate) const fn reads_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// The JSON body, with a request that is carried out.
    #[must_use]
    pub(crate) fn body(mut self, schema: Schema, example: Value) -> Self {
        let (media_type, length_max) = ("application/json", BODY_BYTES_MAX);
        self.body = Some(Body { media_type, length_max, schema, example });
        self
    }

    /// A body of another kind, of so many bytes at most.
    #[must_use]
    pub(crate) fn body_as(
        mut self,
        media_type: &'static str,
        length_max: usize,
        schema: Schema,
        example: Value,
    ) -> Self {
        self.body = Some(Body { media_type, length_max, schema, example });
        self
    }

    pub(crate) fn body_bytes_max(&self) -> usize {
        self.body.as_ref().map_or(BODY_BYTES_MAX, |body| body.length_max)
    }

    /// A successful answer with a JSON body.
    #[must_use]
    pub(crate) fn answers(self, status: StatusCode, about: &'static str, schema: Schema) -> Self {
        self.answers_as(status, about, [("application/json", schema)])
    }

    /// A successful answer whose body is in one of some media types.
    #[must_use]
    pub(crate) fn answers_as(
        mut self,
        status: StatusCode,
        about: &'static str,
        content: impl IntoIterator<Item = (&'static str, Schema)>,
    ) -> Self {
        let content = content.into_iter().collect();
        self.answers.push(Answered { status, about, headers: Vec::new(), content });
        self
    }

    /// A successful answer without a body.
    #[must_use]
    pub(crate) fn answers_nothing(self, about: &'static str) -> Self {
        self.answers_as(StatusCode::NO_CONTENT, about, [])
    }

    /// A header of the answer that was described last.
    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, schema: Schema) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, schema));
        }
        self
    }

    /// What it refuses beyond what every route of its kind does.
    #[must_use]
    pub(crate) fn refuses(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.refuses.extend(kinds);
        self
    }

    /// Its answer shows the tag of the object that it makes.
    #[must_use]
    pub(crate) const fn shows_tag(mut self) -> Self {
        self.tag = Some(Tagged::Shown);
        self
    }

    /// It is about an object that has a tag: `If-Match`, or `If-None-Match` where it reads.
    #[must_use]
    pub(crate) const fn tagged(mut self) -> Self {
        self.tag = Some(Tagged::Compared);
        self
    }

    /// `member` of the answer is the id that paths beginning with `path` take next.
    #[must_use]
    pub(crate) const fn makes(mut self, member: &'static str, path: &'static str) -> Self {
        self.makes = Some(Made { member, path });
        self
    }
}
