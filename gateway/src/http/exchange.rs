//! One request and its answer: who asks, for what, with which parameters, and how the answer is sent.

use std::convert::Infallible;
use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hub::clock;
use hub::denial::{Denial, Reason};
use hub::key::KeyScope;
use hyper::body::Incoming;
use std::sync::Arc;

use super::answer::{self, Format, Refused, Writer};
use super::batch::{self, BatchBody};
use super::body;
use super::connection::{Connection, Phase};
use super::desk::Desk;
use super::field::Field;
use super::key;
use super::operation;
use super::parameters::Parameters;
use super::router::{Operation, Route, route};
use super::settings::HEADER_LINES_MAX;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of an answer.
pub(super) enum Answer {
    Whole(Option<Vec<u8>>),
    Streamed(Box<BatchBody>),
}

/// What is known of a request while it is being answered.
struct Exchange {
    connection: Arc<Connection>,
    writer: Writer,
    operation: Operation,
    scope: Option<KeyScope>,
    always_200: bool,
}

/// Answers a request. Never fails: whatever is wrong is an answer too.
pub(super) async fn exchange(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    connection.enter(Phase::Engine);
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let mut exchange = Exchange {
        connection,
        writer: Writer::new(Format::accepted(&head.headers)),
        operation: Operation::Unrouted,
        scope: None,
        // Known before anything can be refused: to some stacks any other status is no answer.
        always_200: !query.is_empty() && query.split('&').any(|pair| pair == "status=200"),
    };
    let outcome = exchange.run(&head, body).await;
    Ok(exchange.response(head.headers, outcome))
}

impl Exchange {
    /// Writes the answer, or returns the rest of a batch that is too long to be answered at once.
    async fn run(
        &mut self,
        head: &Parts,
        body: Incoming,
    ) -> Result<Option<Box<BatchBody>>, Refused> {
        let worker = Arc::clone(&self.connection.worker);
        if head.headers.len() > HEADER_LINES_MAX {
            return Err(Refused::TooManyHeaders);
        }
        let route = route(&head.method, head.uri.path(), worker.settings.get_allowed)?;
        self.operation = route.operation;
        let now_us = worker.turn.now_us();
        let scope = key::scope(&head.headers, &worker.engine, &self.connection.key, now_us);
        let Some(scope) = scope else {
            Box::pin(self.release_without_key(head, body, route, now_us)).await?;
            return Ok(None);
        };
        self.scope = Some(scope);
        match route.operation {
            Operation::Batch => return Box::pin(self.batch(head, body, scope)).await,
            Operation::Reconcile if route.has_body => {
                Box::pin(self.reconcile(head, body, scope, route)).await?;
            }
            _ => {
                let bytes = if route.has_body {
                    body::small(body, &self.connection).await?
                } else {
                    Bytes::new()
                };
                self.perform(head, &bytes, scope, route).await?;
            }
        }
        Ok(None)
    }

    async fn perform(
        &mut self,
        head: &Parts,
        body: &[u8],
        scope: KeyScope,
        route: Route<'_>,
    ) -> Result<(), Refused> {
        let began_us = (route.operation == Operation::Admit).then(clock::boot_us);
        let mut parameters = Parameters::default();
        read(&mut parameters, head, body, &route)?;
        self.always_200 |= parameters.always_200();
        let worker = &*self.connection.worker;
        let mut desk = Desk::new(worker, scope, false);
        let outcome = desk.perform(route.operation, &parameters, &mut self.writer).await;
        if let Some(began_us) = began_us {
            worker.tally.admitted_in(clock::boot_us() - began_us);
        }
        outcome
    }

    /// Who shows no key may still release a call of a deleted account, by its token.
    #[cold]
    async fn release_without_key(
        &mut self,
        head: &Parts,
        body: Incoming,
        route: Route<'_>,
        now_us: i64,
    ) -> Result<(), Refused> {
        let unauthenticated = || Refused::from(Reason::Unauthenticated);
        if route.operation != Operation::Release {
            return Err(unauthenticated());
        }
        let bytes = if route.has_body {
            body::small(body, &self.connection).await.map_err(|_| unauthenticated())?
        } else {
            Bytes::new()
        };
        let mut parameters = Parameters::default();
        read(&mut parameters, head, &bytes, &route).map_err(|_| unauthenticated())?;
        self.always_200 |= parameters.always_200();
        let engine = &self.connection.worker.engine;
        let proved = operation::call_and_token(&parameters);
        let of_token = |(id, token)| engine.departed_by_token(id, token, now_us);
        let account = proved.and_then(of_token).ok_or_else(unauthenticated)?;
        let (named, call) = operation::release(&parameters, false)?;
        if named.is_some_and(|named| named != account) {
            return Err(unauthenticated());
        }
        let released = engine.release_by_token(account, &call, now_us).await;
        answer::call_view(&mut self.writer, &released.ok_or_else(unauthenticated)??);
        Ok(())
    }

    async fn reconcile(
        &mut self,
        head: &Parts,
        body: Incoming,
        scope: KeyScope,
        route: Route<'_>,
    ) -> Result<(), Refused> {
        let read = body::large(body, &self.connection).await?;
        self.perform(head, &read.bytes, scope, route).await
    }

    async fn batch(
        &mut self,
        head: &Parts,
        body: Incoming,
        scope: KeyScope,
    ) -> Result<Option<Box<BatchBody>>, Refused> {
        let mut parameters = Parameters::default();
        if let Some(query) = head.uri.query() {
            parameters.read_query(query);
        }
        operation::batch(&parameters)?;
        let read = body::large(body, &self.connection).await?;
        let (first, rest) = batch::begin(&self.connection, scope, read).await?;
        self.writer = first;
        Ok(rest)
    }

    fn response(
        self,
        mut headers: HeaderMap,
        outcome: Result<Option<Box<BatchBody>>, Refused>,
    ) -> Response<Answer> {
        let Self { connection, mut writer, operation, scope, always_200 } = self;
        let worker = &connection.worker;
        // The request's map is used again: it is cleared for less than a new one costs.
        headers.clear();
        let mut status = StatusCode::OK;
        let answer = match outcome {
            Ok(rest) => {
                worker.tally.answered(operation, None);
                let media_type = match operation {
                    Operation::Batch => HeaderValue::from_static("application/x-ndjson"),
                    Operation::Metrics => HeaderValue::from_static(METRICS_TYPE),
                    _ => writer.format().media_type(),
                };
                headers.insert(CONTENT_TYPE, media_type);
                match rest {
                    Some(rest) => Answer::Streamed(rest),
                    None => Answer::Whole(Some(writer.into_bytes())),
                }
            }
            Err(refused) => {
                worker.tally.answered(operation, Some(refused.reason()));
                writer.restart();
                answer::problem(&mut writer, &refused, scope);
                headers.insert(CONTENT_TYPE, writer.format().problem_type());
                explain(&mut headers, &refused);
                status = refused.status();
                Answer::Whole(Some(writer.into_bytes()))
            }
        };
        if worker.process.is_draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(answer, Answer::Whole(_)) {
            connection.enter(Phase::Idle);
        }
        let mut response = Response::new(answer);
        *response.status_mut() = if always_200 { StatusCode::OK } else { status };
        *response.headers_mut() = headers;
        response
    }
}

/// What the query, the path and the body say together.
#[inline]
fn read<'p>(
    parameters: &mut Parameters<'p>,
    head: &'p Parts,
    body: &'p [u8],
    route: &Route<'p>,
) -> Result<(), Refused> {
    if let Some(query) = head.uri.query() {
        parameters.read_query(query);
    }
    if let Some(segment) = route.call_id {
        parameters.read_segment(Field::CallId, segment);
    }
    if route.has_body {
        body::parameters(parameters, &head.headers, body)?;
    }
    Ok(())
}

/// The headers that belong to a refusal.
fn explain(headers: &mut HeaderMap, refused: &Refused) {
    if let Some(retry_after_s) = refused.retry_after_s() {
        headers.insert(RETRY_AFTER, retry_after_s.into());
    }
    match refused {
        Refused::WrongMethod(allowed) => {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        Refused::Denied(Denial::RateLimited { limit, retry_after_s }) => {
            let name = HeaderName::from_static;
            headers.insert(name("x-ratelimit-limit"), (*limit).into());
            headers.insert(name("x-ratelimit-remaining"), 0.into());
            headers.insert(name("x-ratelimit-reset"), (*retry_after_s).into());
        }
        _ => {}
    }
    match refused.reason() {
        Reason::Unauthenticated => {
            let basic = HeaderValue::from_static("Basic realm=\"ringfence\"");
            headers.insert(WWW_AUTHENTICATE, basic);
        }
        // What follows on this connection is not worth reading.
        Reason::TooLarge => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
}

impl Body for Answer {
    type Data = Cursor<Vec<u8>>;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(Cursor::new(bytes)))))
            }
            Self::Streamed(batch) => batch
                .poll_lines(cx)
                .map(|lines| lines.map(|lines| Ok(Frame::data(Cursor::new(lines))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
