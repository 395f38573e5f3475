//! `POST /v1/calls/batch`: one operation per line, one answer per line, in order. A line that is wrong
//! has its own answer and stops nothing. Must never keep its thread from others for longer than
//! [`LINES_AT_ONCE`] take.

use std::pin::Pin;
use std::task::{Context, Poll};

use hub::denial::{BadField, Denial, Reason};
use hub::key::KeyScope;
use std::sync::Arc;

use super::answer::{self, Format, Refused, Writer};
use super::body::Read;
use super::connection::{Connection, Phase};
use super::desk::Desk;
use super::parameters::Parameters;
use super::router::Operation;
use super::{lines, operation};

/// Lines carried out without a break.
const LINES_AT_ONCE: usize = 256;

/// Room for the answer to one line: a receipt's with all its times and without texts.
const LINE_LEN: usize = 512;

/// A batch and how far it has come.
struct Batch {
    connection: Arc<Connection>,
    scope: KeyScope,
    read: Read,
    /// Where the next line begins.
    at: usize,
}

/// Answers on their way, and what is left to carry out after them.
type NextLines = Pin<Box<dyn Future<Output = (Writer, Option<Batch>)> + Send>>;

/// The answers that follow the first ones, as the body of a response.
pub(super) struct BatchBody {
    connection: Arc<Connection>,
    next: Option<NextLines>,
    /// Answers were just handed over: let others run before more are worked out.
    pausing: bool,
}

/// Carries out the first lines. A short batch is thereby done.
pub(super) async fn begin(
    connection: &Arc<Connection>,
    scope: KeyScope,
    read: Read,
) -> Result<(Writer, Option<Box<BatchBody>>), Refused> {
    if lines::next(&read.bytes, &mut 0).is_none() {
        let problem = "is empty; expected one JSON object per line".to_owned();
        let bad = BadField { field: "body".to_owned(), problem };
        return Err(Denial::InvalidRequest(vec![bad]).into());
    }
    let lines = lines::count_max(&read.bytes);
    let lines_max = connection.worker.settings.batch_operations_max;
    if lines > lines_max && lines::count(&read.bytes) > lines_max {
        return Err(Reason::TooLarge.into());
    }
    let batch = Batch { connection: Arc::clone(connection), scope, read, at: 0 };
    let (first, rest) = batch.some_lines(lines.min(LINES_AT_ONCE)).await;
    let Some(rest) = rest else {
        return Ok((first, None));
    };
    let connection = Arc::clone(connection);
    let body = BatchBody { connection, next: Some(ready(first, rest)), pausing: false };
    Ok((Writer::new(Format::Json), Some(Box::new(body))))
}

/// What has been worked out already, as the first that the body hands over.
fn ready(first: Writer, rest: Batch) -> NextLines {
    Box::pin(std::future::ready((first, Some(rest))))
}

impl Batch {
    /// Carries out the next lines and writes their answers. Returns what is left, if anything.
    async fn some_lines(mut self, expected: usize) -> (Writer, Option<Self>) {
        let mut writer = Writer::with_room(Format::Json, expected * LINE_LEN);
        let mut lines_left = LINES_AT_ONCE;
        {
            let worker = &*self.connection.worker;
            let mut desk = Desk::new(worker, self.scope, true);
            let mut parameters = Parameters::default();
            while lines_left > 0
                && let Some(line) = lines::next(&self.read.bytes, &mut self.at)
            {
                lines_left -= 1;
                parameters.clear();
                parameters.read_json(line);
                let (operation, outcome) = carry_out(&mut desk, &parameters, &mut writer).await;
                let reason = outcome.as_ref().err().map(Refused::reason);
                worker.tally.answered(operation, reason);
                match outcome {
                    Ok(()) => writer.end_line_with_status(),
                    Err(refused) => {
                        writer.restart();
                        answer::problem(&mut writer, &refused, Some(self.scope));
                        writer.end_line();
                    }
                }
            }
        }
        let more = lines::next(&self.read.bytes, &mut { self.at }).is_some();
        (writer, more.then_some(self))
    }

    /// Goes on as soon as the client has read enough of what went before.
    async fn go_on(self) -> (Writer, Option<Self>) {
        self.connection.room().await;
        self.some_lines(LINES_AT_ONCE).await
    }
}

async fn carry_out(
    desk: &mut Desk<'_>,
    parameters: &Parameters<'_>,
    writer: &mut Writer,
) -> (Operation, Result<(), Refused>) {
    match operation::of_line(parameters) {
        Some(operation) => (operation, desk.perform(operation, parameters, writer).await),
        None => (Operation::Batch, Err(operation::unknown_op(parameters).into())),
    }
}

impl BatchBody {
    /// The answers to the next lines; `None` after the last.
    pub(super) fn poll_lines(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        if self.pausing {
            self.pausing = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (lines, rest) = std::task::ready!(next.as_mut().poll(cx));
        self.pausing = true;
        self.next = None;
        if let Some(rest) = rest {
            self.next = Some(Box::pin(rest.go_on()));
        }
        Poll::Ready(Some(lines.into_bytes()))
    }
}

impl Drop for BatchBody {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle);
    }
}
