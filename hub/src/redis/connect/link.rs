//! One way to one server, kept open: connects, asks for signs of life, connects again after a pause.
//! Callers get its connection or, after some failures in a row, at once what is wrong.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::breaker::Breaker;
use super::channel::Subscription;
use super::connection::{Connection, said};
use super::dial::{Dialer, Driver, driven};
use super::setting::Address;
use super::topology::sentinel::Sentinels;
use super::trouble::{Lost, Trouble};

/// Where a link leads.
#[derive(Clone)]
pub(super) enum Place {
    Fixed(Address),
    /// To whom the sentinels name.
    Master(Arc<Sentinels>),
}

#[derive(Clone)]
enum State {
    Connecting(Trouble),
    Up(Arc<Connection>),
    /// So many failures in a row that calls do not wait.
    Down(Trouble),
}

pub(super) struct Link {
    state: watch::Receiver<State>,
    breaker: Arc<Breaker>,
    /// Ends with the link. If it dies before, `state` says so.
    _keeper: JoinSet<()>,
}

impl Link {
    /// Starts to connect. `failed` is told of each failure. Not on the runtime of whoever finds the
    /// server first: that one may end before.
    pub(super) fn start(
        place: Place,
        dialer: Dialer,
        subscription: Option<Arc<Subscription>>,
        failed: Arc<Notify>,
        runtime: &Handle,
        seed: u64,
    ) -> Self {
        let timing = dialer.timing;
        let (sender, state) = watch::channel(State::Connecting(Trouble::Connecting));
        let breaker = Arc::new(Breaker::new(timing.failures_max));
        let backoff = Backoff::new(timing.pause_min, timing.pause_max, seed);
        let keeper =
            Keeper { place, dialer, subscription, failed, breaker: breaker.clone(), backoff };
        let mut tasks = JoinSet::new();
        tasks.spawn_on(keeper.keep(sender), runtime);
        Self { state, breaker, _keeper: tasks }
    }

    /// Its open connection; waits for one while it is being opened, not when the link is down.
    pub(super) async fn connection(&self, within: Duration) -> Result<Arc<Connection>, Lost> {
        if let State::Up(connection) = &*self.state.borrow()
            && connection.is_open()
        {
            return Ok(Arc::clone(connection));
        }
        let mut state = self.state.clone();
        let opened = timeout(within, async {
            loop {
                match &*state.borrow_and_update() {
                    State::Up(connection) if connection.is_open() => {
                        return Ok(Arc::clone(connection));
                    }
                    State::Down(trouble) => return Err(trouble.clone()),
                    State::Up(_) | State::Connecting(_) => {}
                }
                // The keeper is gone: it never ends by itself.
                state.changed().await.map_err(|_| Trouble::Closed)?;
            }
        });
        let opened = opened.await.unwrap_or_else(|_late| Err(self.trouble()));
        opened.map_err(Lost::NotSent)
    }

    fn trouble(&self) -> Trouble {
        match &*self.state.borrow() {
            State::Connecting(trouble) | State::Down(trouble) => trouble.clone(),
            State::Up(_) => Trouble::Closed,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        let up = matches!(&*self.state.borrow(), State::Up(connection) if connection.is_open());
        up && self.state.has_changed().is_ok()
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        self.breaker.answered();
    }
}

struct Keeper {
    place: Place,
    dialer: Dialer,
    subscription: Option<Arc<Subscription>>,
    failed: Arc<Notify>,
    breaker: Arc<Breaker>,
    backoff: Backoff,
}

/// A connection as the keeper has it.
struct Held {
    connection: Arc<Connection>,
    driver: Driver,
    /// Whether the server has all shards that are subscribed to.
    complete: bool,
}

impl Keeper {
    async fn keep(mut self, state: watch::Sender<State>) {
        let mut said = Trouble::Connecting;
        loop {
            let trouble = match self.connect().await {
                Ok(held) => {
                    self.breaker.connected();
                    let connection = Arc::clone(&held.connection);
                    info!(server = %connection.address(), "connected to the hub's server");
                    said = Trouble::Connecting;
                    state.send_replace(State::Up(Arc::clone(&connection)));
                    let trouble = self.hold(held).await;
                    connection.end();
                    trouble
                }
                Err(trouble) => Some(trouble),
            };
            let Some(trouble) = trouble else {
                state.send_replace(State::Connecting(Trouble::Connecting));
                continue;
            };
            let failures = self.breaker.failed();
            self.failed.notify_one();
            // The same trouble is said once.
            if said != trouble {
                warn!(%trouble, failures, "no connection to the hub's server");
                said = trouble.clone();
            }
            let down = self.breaker.is_open();
            state.send_replace(if down {
                State::Down(trouble)
            } else {
                State::Connecting(trouble)
            });
            sleep(self.backoff.pause(failures)).await;
        }
    }

    async fn connect(&self) -> Result<Held, Trouble> {
        let address = self.place.address().await?;
        let heard = self.subscription.as_ref().map(Subscription::heard);
        let (connection, mut driver) = self.dialer.dial(&address, heard).await?;
        let probed = driven(&mut driver, self.probe(&connection)).await;
        let complete = probed.map_err(|lost| lost.trouble().clone())?;
        if !complete {
            self.failed.notify_one();
        }
        Ok(Held { connection: Arc::new(connection), driver, complete })
    }

    /// Whether it is a master that serves calls; a replica would refuse them one by one.
    async fn probe(&self, connection: &Connection) -> Result<bool, Lost> {
        let timing = &self.dialer.timing;
        let mut commands = redis::pipe();
        commands.cmd("PING").cmd("ROLE");
        let answers = connection.send_all(&commands, timing.response).await?;
        let answers = answers.into_iter().map(said).collect::<Result<Vec<_>, _>>()?;
        let Some(Value::Array(role)) = answers.last() else {
            return Err(Lost::Refused(Trouble::Unexpected));
        };
        if !matches!(role.first(), Some(Value::BulkString(name)) if name == b"master") {
            return Err(Lost::Refused(Trouble::Replica));
        }
        match &self.subscription {
            Some(subscription) => subscription.subscribe(connection, timing).await,
            None => Ok(true),
        }
    }

    /// Moves its bytes until it ends; why, unless it is to be opened again at once.
    async fn hold(&self, held: Held) -> Option<Trouble> {
        let Held { connection, driver, complete } = held;
        let again = async {
            match &self.subscription {
                Some(subscription) if complete => subscription.changed().await,
                Some(_) => sleep(self.dialer.timing.poll).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = driver => Some(Trouble::Closed),
            () = connection.ended() => Some(Trouble::NoAnswer),
            trouble = self.heartbeat(&connection) => Some(trouble),
            () = self.place.left(connection.address()) => None,
            () = again => None,
        }
    }

    async fn heartbeat(&self, connection: &Connection) -> Trouble {
        let timing = &self.dialer.timing;
        let ping = redis::cmd("PING");
        loop {
            sleep(timing.heartbeat).await;
            if let Err(lost) = connection.send(&ping, timing.response + timing.wait).await {
                return lost.trouble().clone();
            }
        }
    }
}

impl Place {
    async fn address(&self) -> Result<Address, Trouble> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Master(sentinels) => sentinels.master().await,
        }
    }

    /// Returns when another server is in its place.
    async fn left(&self, address: &Address) {
        match self {
            Self::Fixed(_) => pending().await,
            Self::Master(sentinels) => sentinels.left(address).await,
        }
    }
}
