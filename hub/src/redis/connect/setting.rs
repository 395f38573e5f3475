//! Where the hub's servers are, from one setting that looks like a URL. Parsed once; a value of these
//! types is well formed. Never shows a login, not in an error either: errors name the wrong part only.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Sentinels or first servers of a cluster that one setting names.
const ADDRESSES_MAX: usize = 32;

/// Where and how to reach the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub topology: Topology,
    pub login: Login,
    pub database: u16,
    pub tls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    Single(Address),
    /// Sentinels, and the name by which they know the master.
    Sentinel {
        sentinels: Vec<Address>,
        name: String,
    },
    /// Some servers of a cluster; they name the others.
    Cluster(Vec<Address>),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// User and password; either may be absent, and neither is ever shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
}

/// Which part of the setting is wrong. Quotes none of it: a slip of the pen can put a password anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error(
        "the scheme is none of redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, \
         redis+cluster://, rediss+cluster://"
    )]
    Scheme,
    #[error("the login is not user:password or :password, with %-escapes for @ / : and %")]
    Login,
    #[error("server {0}: the host is missing or malformed")]
    Host(usize),
    #[error("server {0}: the port is not a number from 1 to 65535")]
    Port(usize),
    #[error("more than one server: redis+sentinel:// or redis+cluster:// take a list")]
    OneServer,
    #[error("more than 32 servers are listed")]
    TooManyServers,
    #[error("the path of the socket is missing: unix:///path/to/socket")]
    SocketPath,
    #[error("the service name is missing: redis+sentinel://host:port,host:port/service-name")]
    ServiceName,
    #[error("the database is not a number from 0 to 65535")]
    Database,
    #[error("a cluster has database 0 only")]
    ClusterDatabase,
    #[error("what follows the database is not understood")]
    Rest,
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (scheme, rest) = text.split_once("://").ok_or(SettingError::Scheme)?;
        let tls = scheme.starts_with("rediss");
        match scheme {
            "unix" => unix(rest),
            "redis" | "rediss" => {
                let Parts { login, mut servers, path } = parts(rest, PORT)?;
                let server = servers.pop().filter(|_| servers.is_empty());
                let address = server.ok_or(SettingError::OneServer)?;
                let database = database(path)?;
                Ok(Self { topology: Topology::Single(address), login, database, tls })
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let Parts { login, servers: sentinels, path } = parts(rest, SENTINEL_PORT)?;
                let (name, path) = path.split_once('/').unwrap_or((path, ""));
                let name = decoded(name).ok().filter(|name| !name.is_empty());
                let name = name.ok_or(SettingError::ServiceName)?;
                let topology = Topology::Sentinel { sentinels, name };
                Ok(Self { topology, login, database: database(path)?, tls })
            }
            "redis+cluster" | "rediss+cluster" => {
                let Parts { login, servers, path } = parts(rest, PORT)?;
                if database(path)? != 0 {
                    return Err(SettingError::ClusterDatabase);
                }
                Ok(Self { topology: Topology::Cluster(servers), login, database: 0, tls })
            }
            _ => Err(SettingError::Scheme),
        }
    }
}

impl FromStr for Login {
    type Err = SettingError;

    /// `user:password` or `:password`.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (user, password) = text.split_once(':').ok_or(SettingError::Login)?;
        let (user, password) = (decoded(user)?, decoded(password)?);
        if password.is_empty() {
            return Err(SettingError::Login);
        }
        Ok(Self { user: Some(user).filter(|user| !user.is_empty()), password: Some(password) })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.password.is_some() { "Login(hidden)" } else { "Login(none)" })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Address {
    pub fn tcp(host: &str, port: u16) -> Self {
        Self::Tcp { host: host.to_owned(), port }
    }
}

struct Parts<'a> {
    login: Login,
    servers: Vec<Address>,
    /// Without its leading slash.
    path: &'a str,
}

/// `[login@]server[,server…][/path]`.
fn parts(rest: &str, default_port: u16) -> Result<Parts<'_>, SettingError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // Then a slash of the password was taken for the end of the servers.
    if path.contains('@') {
        return Err(SettingError::Login);
    }
    let (login, list) = match authority.rsplit_once('@') {
        Some((login, list)) => (login.parse()?, list),
        None => (Login::default(), authority),
    };
    let servers = list
        .split(',')
        .zip(1..)
        .map(|(server, position)| address(server, position, default_port))
        .collect::<Result<Vec<_>, _>>()?;
    if servers.len() > ADDRESSES_MAX {
        return Err(SettingError::TooManyServers);
    }
    Ok(Parts { login, servers, path })
}

fn address(text: &str, position: usize, default_port: u16) -> Result<Address, SettingError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']').ok_or(SettingError::Host(position))?;
            host.parse::<Ipv6Addr>().map_err(|_| SettingError::Host(position))?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(SettingError::Host(position));
    }
    if port.is_empty() {
        return Ok(Address::tcp(host, default_port));
    }
    let port = port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|&port| port != 0);
    Ok(Address::tcp(host, port.ok_or(SettingError::Port(position))?))
}

fn database(path: &str) -> Result<u16, SettingError> {
    if path.is_empty() {
        return Ok(0);
    }
    if path.contains(['/', '?', '#']) {
        return Err(SettingError::Rest);
    }
    path.parse().map_err(|_| SettingError::Database)
}

/// `[login@]/path/to/socket[?db=n]`.
fn unix(rest: &str) -> Result<Setting, SettingError> {
    let start = rest.find('/').ok_or(SettingError::SocketPath)?;
    let (login, path) = rest.split_at(start);
    let login = match login.strip_suffix('@') {
        Some(login) => login.parse()?,
        None if login.is_empty() => Login::default(),
        None => return Err(SettingError::SocketPath),
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let database = match query.strip_prefix("db=") {
        Some(number) => number.parse().map_err(|_| SettingError::Database)?,
        None if query.is_empty() => 0,
        None => return Err(SettingError::Rest),
    };
    let path = decoded(path).map_err(|_| SettingError::SocketPath)?;
    if path.ends_with('/') {
        return Err(SettingError::SocketPath);
    }
    let topology = Topology::Single(Address::Unix(path.into()));
    Ok(Setting { topology, login, database, tls: false })
}

fn decoded(text: &str) -> Result<String, SettingError> {
    let bytes = percent_decode_str(text).decode_utf8();
    Ok(bytes.map_err(|_| SettingError::Login)?.into_owned())
}

#[cfg(test)]
mod tests;
