//! Sends what the outbox has, one mail after the other, away from all requests. Of several control
//! planes each takes other mails; after a stop or a crash one may be sent twice, never none.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hub::clock::now_us;
use tokio::time::sleep;

use super::Failure;
use super::letter::{self, Letter};
use super::outbox::{self, Due, Kind};
use crate::App;
use crate::answer::Answer;
use crate::problem::Problem;

/// How often the outbox is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The pause when the mail server or the database does not serve.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);

/// What became of the next mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Nothing,
    Done,
    /// It is tried again later.
    Postponed,
    /// So are all: there is no server that would take one.
    Away,
}

/// Sends until `shutdown`; what is left waits for the next start.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut shutdown = pin!(shutdown);
    loop {
        // A stop waits for no mail server: what it interrupts is sent after the next start.
        let outcome = tokio::select! {
            _ = &mut shutdown => return,
            outcome = next(app) => outcome,
        };
        let pause = match outcome {
            Ok(Outcome::Done | Outcome::Postponed) => Duration::ZERO,
            Ok(Outcome::Nothing) => EVERY,
            Ok(Outcome::Away) => TROUBLE_PAUSE,
            Err(problem) => {
                tracing::warn!(?problem, "the outbox cannot be read or written; trying again");
                TROUBLE_PAUSE
            }
        };
        tokio::select! {
            _ = &mut shutdown => return,
            () = sleep(pause) => {}
        }
    }
}

/// Sends the next mail whose turn has come.
pub(crate) async fn next(app: &App) -> Result<Outcome, Problem> {
    {
        let mut connection = app.store.read().await?;
        if !outbox::is_due(&mut connection, now_us()).await? {
            return Ok(Outcome::Nothing);
        }
    }
    let Some((due, letter)) = take(app).await? else { return Ok(Outcome::Done) };
    let sent = app.mailer.send(&letter).await;
    match &sent {
        Err(failure @ (Failure::PutOff(_) | Failure::Away(_))) if !due.is_last => {
            tracing::warn!(to = letter.to, why = %failure, "a mail could not be sent; it is tried again");
            let is_away = matches!(failure, Failure::Away(_));
            return Ok(if is_away { Outcome::Away } else { Outcome::Postponed });
        }
        Err(failure) => {
            tracing::error!(to = letter.to, why = %failure, "a mail was not sent, and will not be");
        }
        Ok(()) => {}
    }
    let mut writing = app.store.write().await?;
    outbox::remove(writing.connection(), &due.id).await?;
    writing.commit().await?;
    Ok(Outcome::Done)
}

/// Takes a mail and writes its letter; what it was about may be gone.
async fn take(app: &App) -> Result<Option<(Due, Letter)>, Problem> {
    let mut change = app.begin_own().await?;
    let now_us = change.now_us;
    let Some(due) = outbox::take(change.connection(), now_us).await? else { return Ok(None) };
    let letter = match due.kind {
        Kind::Invitation => letter::invitation(app, &mut change, &due.about).await?,
        Kind::PasswordReset => letter::password_reset(app, &mut change, &due.about).await?,
    };
    if letter.is_none() {
        outbox::remove(change.connection(), &due.id).await?;
    }
    change.commit(Answer::no_content()).await?;
    Ok(letter.map(|letter| (due, letter)))
}

#[cfg(test)]
mod tests;
