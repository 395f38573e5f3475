//! Mail that the control plane sends by itself. A request only notes what is to be sent, in its own
//! transaction; a task draws the link when it sends, so that no secret lies in wait anywhere. Nobody
//! waits for a mail server, and nothing fails because of one.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::settings::{Mailer as Setting, OpenError, Settings};

pub(crate) mod letter;
pub(crate) mod outbox;
pub(crate) mod send;

use letter::Letter;

/// How long the mail server may take for each step of a mail.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where mail goes.
pub(crate) enum Mailer {
    /// Only the log says that there was any; where `with_links`, with its link.
    Log {
        with_links: bool,
    },
    Smtp(Box<Smtp>),
}

pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It will not be sent another time either.
    #[error("{0}")]
    Refused(String),
    /// The server does not take this one now.
    #[error("{0}")]
    PutOff(String),
    /// The server takes none: it is away, or does not know us.
    #[error("{0}")]
    Away(String),
}

impl Failure {
    fn of(error: &SmtpError) -> Self {
        // 55z is about this mail; 53z, say, about our login.
        let is_of_mail = error.status().is_some_and(|code| code.category == Category::MailSystem);
        match error.to_string() {
            why if error.is_permanent() && is_of_mail => Self::Refused(why),
            why if error.is_transient() => Self::PutOff(why),
            why => Self::Away(why),
        }
    }
}

impl Mailer {
    pub(crate) fn of(settings: &Settings) -> Result<Self, OpenError> {
        let Setting::Smtp { url, from } = &settings.mailer else {
            return Ok(Self::Log { with_links: settings.mailer == Setting::LogLinks });
        };
        // What is wrong with it is not shown: it holds a login.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| {
            let expected = "smtps://user:password@host:465, smtp://user:password@host:587?tls=required or smtp://host:25";
            OpenError::Setting { name: "smtp_url", expected }
        })?;
        let from = from.parse().map_err(|_| OpenError::Setting {
            name: "mail_from",
            expected: "an e-mail address, such as Ringfence <calls@example.com>",
        })?;
        let transport = transport.timeout(Some(PATIENCE)).build();
        Ok(Self::Smtp(Box::new(Smtp { transport, from })))
    }

    /// Sends a letter, or says in the log that there is one.
    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        match self {
            Self::Log { with_links: false } => {
                tracing::info!(
                    to = letter.to,
                    subject = letter.subject,
                    "a mail, not sent: mailer is log"
                );
                Ok(())
            }
            Self::Log { with_links: true } => {
                let (to, subject, link) = (&letter.to, &letter.subject, &letter.link);
                tracing::info!(to, subject, link, "a mail, not sent: mailer is log-links");
                Ok(())
            }
            Self::Smtp(smtp) => smtp.send(letter).await,
        }
    }
}

impl Smtp {
    async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let to = letter.to.parse().map_err(|_| {
            Failure::Refused("the address is none that mail can be sent to".to_owned())
        })?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.as_str())
            .body(letter.text.clone())
            .map_err(|error| Failure::Refused(error.to_string()))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::of(&error)),
        }
    }
}
