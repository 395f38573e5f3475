//! The hub's servers as one: a call of a script on a shard goes to the server that has it. Tries again
//! only what was certainly not run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::{Connection, said};
use super::dial::Dialer;
use super::link::Place;
use super::news::{News, Shards};
use super::script::Script;
use super::server::{Opening, Server};
use super::setting::{Login, Setting, Topology};
use super::timing::Timing;
use super::tls::{CertificateError, Tls};
use super::topology::cluster::Cluster;
use super::topology::sentinel::Sentinels;
use super::trouble::{Lost, Trouble};

/// How often one call follows a redirection or loads its script.
const HOPS_MAX: u32 = 5;
/// Between attempts while a slot is being migrated.
const MIGRATION_PAUSE: Duration = Duration::from_millis(5);

/// What is configured beside where the servers are.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub timing: Timing,
    /// Of the sentinels themselves, which have users of their own.
    pub sentinel_login: Login,
    /// The file (PEM) of authorities whose certificates servers have; without it, the machine's.
    pub authorities: Option<PathBuf>,
    /// Replicas that must have what is durable: all that may be promoted.
    pub replicas: u32,
    /// Spreads the pauses before connecting again: another one in each process.
    pub seed: u64,
}

pub struct Servers {
    shape: Shape,
    news: Arc<News>,
    pub(super) dialer: Dialer,
    pub(super) replicas: u32,
    _watchers: JoinSet<()>,
}

enum Shape {
    One(Arc<Server>),
    Cluster(Arc<Cluster>),
}

/// What a script answered, and by which connection: only there can be waited for replicas.
#[derive(Debug)]
pub struct Answer {
    pub value: Value,
    pub connection: Arc<Connection>,
}

/// One call on its way.
struct Attempt<'a> {
    script: &'a Script,
    command: redis::Cmd,
    /// The server does not know the script.
    load: bool,
    /// The server is asked for a slot that it does not have yet.
    asking: bool,
}

impl Servers {
    /// Starts to connect, on the runtime that it is called on, until it is dropped. Fails only where
    /// certificates cannot be read.
    pub fn start(setting: Setting, options: &Options) -> Result<Self, CertificateError> {
        let authorities = options.authorities.as_deref();
        let tls = if setting.tls { Some(Tls::new(authorities)?) } else { None };
        let Setting { topology, login, database, .. } = setting;
        let dialer = Dialer { login, database, tls, timing: options.timing };
        let (news, failed) = (Arc::new(News::default()), Arc::new(Notify::new()));
        let opening = Opening {
            dialer: dialer.clone(),
            news: Arc::clone(&news),
            waits: options.replicas > 0,
            failed: Arc::clone(&failed),
            runtime: Handle::current(),
            seed: options.seed,
        };
        let mut watchers = JoinSet::new();
        let one = |place: &Place| Shape::One(Arc::new(opening.open_at(place, Shards::ALL)));
        let shape = match topology {
            Topology::Single(address) => one(&Place::Fixed(address)),
            Topology::Sentinel { sentinels, name } => {
                let login = options.sentinel_login.clone();
                let asking = Dialer { login, database: 0, ..dialer.clone() };
                let sentinels = Arc::new(Sentinels::new(sentinels, name, asking));
                let watched = Arc::clone(&sentinels);
                watchers.spawn(async move { watched.watch().await });
                one(&Place::Master(sentinels))
            }
            Topology::Cluster(seeds) => {
                let cluster = Cluster::new(seeds, dialer.clone(), opening, failed);
                let cluster = Arc::new(cluster);
                let watched = Arc::clone(&cluster);
                watchers.spawn(async move { watched.watch().await });
                Shape::Cluster(cluster)
            }
        };
        Ok(Self { shape, news, dialer, replicas: options.replicas, _watchers: watchers })
    }

    /// Runs a script on a shard. A call that reaches `deadline`, or whose future is dropped, after it
    /// was sent ends its connection, which others share: give it the time of an answer
    /// ([`Timing::response`]), and some for connecting.
    pub async fn call(
        &self,
        shard: u8,
        script: &Script,
        arguments: &[impl AsRef<[u8]>],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        self.carry(shard, script, arguments, deadline, false).await
    }

    /// Like [`Self::call`], for what [`Self::acknowledged`] is asked of afterwards.
    pub async fn call_durable(
        &self,
        shard: u8,
        script: &Script,
        arguments: &[impl AsRef<[u8]>],
        deadline: Instant,
    ) -> Result<Answer, Lost> {
        self.carry(shard, script, arguments, deadline, true).await
    }

    /// Whether all replicas that may be promoted have what was answered; at once where none are
    /// configured. `Ok(false)`: not within the time of one wait.
    pub async fn acknowledged(&self, answer: &Answer) -> Result<bool, Lost> {
        if self.replicas == 0 {
            return Ok(true);
        }
        let Timing { wait, response, .. } = self.dialer.timing;
        Ok(answer.connection.wait(self.replicas, wait, response).await? >= self.replicas)
    }

    /// Shards that other holders have changed; all of them after a connection was lost.
    pub fn news(&self) -> &Arc<News> {
        &self.news
    }

    /// Whether every server that has shards can be called: `ringfence_hub_up`.
    pub fn is_up(&self) -> bool {
        let (servers, complete) = self.all();
        complete && servers.iter().all(|server| server.is_up())
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.shape, Shape::Cluster(_))
    }

    /// All servers that have shards, and whether each shard has one.
    pub(super) fn all(&self) -> (Vec<Arc<Server>>, bool) {
        match &self.shape {
            Shape::One(server) => (vec![Arc::clone(server)], true),
            Shape::Cluster(cluster) => cluster.servers(),
        }
    }

    async fn carry(
        &self,
        shard: u8,
        script: &Script,
        arguments: &[impl AsRef<[u8]>],
        deadline: Instant,
        durable: bool,
    ) -> Result<Answer, Lost> {
        let command = script.call(shard, arguments);
        let mut attempt = Attempt { script, command, load: false, asking: false };
        let mut redirected = None;
        let mut hops = 0;
        loop {
            attempt.asking = redirected.is_some();
            let server = match redirected.take() {
                Some(server) => server,
                None => self.server(shard)?,
            };
            let left = || deadline.saturating_duration_since(Instant::now());
            let link = server.link(durable);
            let connection = link.connection(left().min(self.patience())).await?;
            let result = attempt.run(&connection, left().min(self.response(durable))).await;
            if !matches!(result, Err(Lost::NotSent(_) | Lost::PerhapsApplied(_))) {
                link.answered();
            }
            let lost = match result {
                Ok(value) => return Ok(Answer { value, connection }),
                Err(lost) => lost,
            };
            // A slot that is being migrated sends calls to and fro for as long as that takes.
            hops = if *lost.trouble() == Trouble::Migrating { 0 } else { hops + 1 };
            match (&lost, &self.shape) {
                // Too late to be answered: sending it could only end the connection for all.
                _ if hops > HOPS_MAX || left() < self.response(durable) / 2 => return Err(lost),
                (Lost::Refused(Trouble::UnknownScript), _) => attempt.load = true,
                (Lost::Refused(Trouble::Moved(to)), Shape::Cluster(cluster)) => {
                    cluster.moved(shard, to.address(connection.address()));
                }
                (Lost::Refused(Trouble::Asked(to)), Shape::Cluster(cluster)) => {
                    redirected = Some(cluster.redirected(to.address(connection.address())));
                }
                (Lost::Refused(Trouble::Migrating), _) => {
                    sleep(MIGRATION_PAUSE.min(left())).await;
                }
                _ => return Err(lost),
            }
        }
    }

    fn server(&self, shard: u8) -> Result<Arc<Server>, Lost> {
        match &self.shape {
            Shape::One(server) => Ok(Arc::clone(server)),
            Shape::Cluster(cluster) => cluster.server(shard),
        }
    }

    /// How long a call waits for a connection that is being opened.
    fn patience(&self) -> Duration {
        self.dialer.timing.connect
    }

    /// A durable call may stand behind one wait for replicas.
    fn response(&self, durable: bool) -> Duration {
        let Timing { wait, response, .. } = self.dialer.timing;
        if durable && self.replicas > 0 { response + wait } else { response }
    }
}

impl Attempt<'_> {
    async fn run(&self, connection: &Connection, within: Duration) -> Result<Value, Lost> {
        if within.is_zero() {
            return Err(Lost::NotSent(Trouble::NoAnswer));
        }
        if !self.load && !self.asking {
            return connection.send(&self.command, within).await;
        }
        // As one, so that nothing comes between them.
        let mut commands = redis::pipe();
        if self.load {
            commands.add_command(self.script.load());
        }
        if self.asking {
            commands.cmd("ASKING");
        }
        commands.add_command(self.command.clone());
        let mut answers = connection.send_all(&commands, within).await?;
        let last = answers.pop().ok_or(Lost::PerhapsApplied(Trouble::Unexpected))?;
        let value = said(last).map_err(|lost| connection.judge(lost));
        // If the script could not be loaded, why says more than that it is unknown.
        if matches!(value, Err(Lost::Refused(Trouble::UnknownScript))) {
            answers.into_iter().try_for_each(|answer| said(answer).map(drop))?;
        }
        value
    }
}
