//! Opens a connection: socket, login, database, each within its limit. Chooses no server.

use std::future::Future;
use std::io;
use std::pin::Pin;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, RedisConnectionInfo};
use tokio::time::timeout;

use super::connection::Connection;
use super::setting::{Address, Login};
use super::socket;
use super::timing::Timing;
use super::tls::Tls;
use super::trouble::{Lost, Trouble};

/// Commands that wait to be written; callers beyond wait for room, within their time.
const QUEUED_MAX: usize = 1_024;

/// What moves the bytes of a connection. Dropping it closes the socket.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What hears of messages that are no answers.
pub(super) type Heard = Box<dyn Fn(PushInfo) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) login: Login,
    pub(super) database: u16,
    /// Where connections are encrypted.
    pub(super) tls: Option<Tls>,
    pub(super) timing: Timing,
}

impl Dialer {
    pub(super) async fn dial(
        &self,
        address: &Address,
        heard: Option<Heard>,
    ) -> Result<(Connection, Driver), Trouble> {
        let opening = timeout(self.timing.connect, socket::open(address, self.tls.as_ref()));
        let stream = opening.await.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|error| match error.kind() {
            // Only TLS reads anything while a socket is opened.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Trouble::Untrusted,
            kind => Trouble::Unreachable(kind),
        })?;
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUED_MAX);
        if let Some(heard) = heard {
            let sender = move |message| {
                heard(message);
                Ok::<(), redis::aio::SendError>(())
            };
            config = config.set_push_sender(sender);
        }
        let identity = self.identity();
        let setup = MultiplexedConnection::new_with_config(&identity, stream, config);
        let (multiplexed, driver) = timeout(self.timing.response, setup)
            .await
            .map_err(|_late| Trouble::NoAnswer)?
            .map_err(|error| Trouble::of_setup(&error))?;
        Ok((Connection::new(address.clone(), multiplexed), Box::pin(driver)))
    }

    fn identity(&self) -> RedisConnectionInfo {
        let mut identity = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name()
            .set_db(self.database.into());
        if let Some(user) = &self.login.user {
            identity = identity.set_username(user);
        }
        if let Some(password) = &self.login.password {
            identity = identity.set_password(password);
        }
        identity
    }

    /// One question to a server, on a connection of its own.
    pub(super) async fn ask(
        &self,
        address: &Address,
        question: &redis::Cmd,
    ) -> Result<redis::Value, Trouble> {
        let (connection, driver) = self.dial(address, None).await?;
        let answer = connection.send(question, self.timing.response);
        driven(driver, answer).await.map_err(|lost| lost.trouble().clone())
    }
}

/// Does `work` on a connection that nobody else drives yet.
pub(super) async fn driven<T>(
    mut driver: impl Future<Output = ()> + Unpin,
    work: impl Future<Output = Result<T, Lost>>,
) -> Result<T, Lost> {
    tokio::select! {
        result = work => result,
        () = &mut driver => Err(Lost::PerhapsApplied(Trouble::Closed)),
    }
}
