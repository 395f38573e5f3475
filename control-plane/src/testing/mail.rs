//! A mail server for tests: speaks enough SMTP to take mail, and to refuse it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Harness;
use crate::settings::Mailer;

/// An address that it knows nothing of.
pub(crate) const UNKNOWN: &str = "unknown@example.com";
const MAILS_MAX: usize = 100;

pub(crate) struct MailServer {
    pub(crate) url: String,
    /// Mails that are put off before one is taken.
    pub(crate) put_off: Arc<AtomicU32>,
    mails: Receiver<Mail>,
    _tasks: JoinSet<()>,
}

/// A mail that was taken.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    /// Head and body, its lines as they were before their transport.
    pub(crate) text: String,
}

impl Mail {
    /// The token of its link.
    pub(crate) fn token(&self) -> String {
        let (_, rest) = self.text.split_once("#token=").expect("a link");
        rest.chars().take_while(char::is_ascii_alphanumeric).collect()
    }
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let (taken, mails) = channel(MAILS_MAX);
        let put_off: Arc<AtomicU32> = Arc::default();
        let waiting = Arc::clone(&put_off);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                conversations.spawn(converse(stream, taken.clone(), Arc::clone(&waiting)));
            }
        });
        Self { url, put_off, mails, _tasks: tasks }
    }

    /// The next mail.
    pub(crate) async fn next(&mut self) -> Mail {
        let next = timeout(Duration::from_secs(20), self.mails.recv()).await;
        next.expect("a mail in time").expect("the server lives")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }
}

async fn converse(stream: TcpStream, taken: Sender<Mail>, put_off: Arc<AtomicU32>) {
    let mut stream = BufReader::new(stream);
    let mut mail = Mail::default();
    let mut answer = "220 mail.example.com";
    loop {
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let word = line.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        answer = match word.as_str() {
            "EHLO" | "HELO" => "250 mail.example.com",
            "MAIL" if put_off.load(Ordering::Acquire) > 0 => {
                put_off.fetch_sub(1, Ordering::AcqRel);
                "451 later"
            }
            "RCPT" if line.contains(UNKNOWN) => "550 nobody",
            "MAIL" | "RSET" | "NOOP" => "250 well",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).expect("an address");
                mail.to.push(address.to_owned());
                "250 well"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.expect("it listens");
                mail.text = data(&mut stream).await;
                taken.send(std::mem::take(&mut mail)).await.expect("somebody reads");
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "500 what",
        };
    }
}

/// The lines of a mail up to the lone dot, soft line breaks undone.
async fn data(stream: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        if line == ".\r\n" {
            return text.replace("=\r\n", "").replace("=3D", "=");
        }
        text.push_str(&line);
    }
}

impl Harness {
    /// A control plane that sends mail, and the server that takes it.
    pub(crate) async fn with_mail() -> (Self, MailServer) {
        let server = MailServer::start().await;
        let url = server.url.clone();
        let harness = Self::with(|settings| {
            settings.mailer =
                Mailer::Smtp { url, from: "Ringfence <calls@example.com>".to_owned() };
            settings.public_url = "https://calls.example.com".to_owned();
        });
        (harness.await, server)
    }
}
