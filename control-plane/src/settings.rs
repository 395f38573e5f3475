//! What the control plane is started with. Holds secrets: its `Debug` never prints them.

use std::fmt;
use std::num::NonZeroU32;

use hub::id::AccountId;
use hub::money::{Currency, Rate};

/// The least and the most characters of a key that is set from outside.
const SET_KEY_CHARACTERS: std::ops::RangeInclusive<usize> = 32..=128;
/// The longest name of a region.
const REGION_CHARACTERS_MAX: usize = 32;

/// Twice what it takes to make as many sub-accounts in a second as are promised.
const REQUESTS_PER_S: NonZeroU32 = NonZeroU32::new(1_000).expect("above zero");
const OPEN_REQUESTS_PER_S: NonZeroU32 = NonZeroU32::new(100).expect("above zero");

/// Everything the binary decides about the control plane.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:///var/lib/ringfence/ringfence.db`, created when missing, for one process; or
    /// `postgres://user:password@host:5432/ringfence`, for any number.
    pub database_url: String,
    /// Regions that accounts may be put in.
    pub regions: Vec<String>,
    pub first_organization: FirstOrganization,
    /// `RINGFENCE_OPERATOR_KEY`: replaces the former operator key of this kind at start.
    pub operator_key: Option<String>,
    /// `RINGFENCE_ORGANIZATION_KEY`: the same for the first organization's key.
    pub organization_key: Option<String>,
    /// The share of one processor that posting call records may take while calls end, in percent
    /// (1–100); `None`: no limit. When no call ends the backlog is drained at full speed.
    pub posting_cpu_percent: Option<u8>,
    /// The ordinary call lease: how long calls may outlive a gateway that is gone. The gateways'.
    pub call_lease_s: u32,
    /// Requests that one principal may send in a second.
    pub requests_per_s: NonZeroU32,
    /// The same for one address, of requests that show no valid key or session.
    pub open_requests_per_s: NonZeroU32,
    /// The API is served by TLS: cookies of sessions are then sent by nothing else.
    pub serves_tls: bool,
    /// Webhooks may be sent to loopback and private addresses, and by plain `http`.
    pub webhook_private_networks: bool,
    pub mailer: Mailer,
    /// Where users reach the control plane, for links in mail: `https://calls.example.com`.
    pub public_url: String,
}

/// What becomes of mail.
#[derive(Clone, PartialEq, Eq)]
pub enum Mailer {
    /// The log says that there was one, and to whom.
    Log,
    /// The log shows the link in it as well, which is a secret: for trials.
    LogLinks,
    /// `url` is `smtps://user:password@host:465`, or `smtp://…:587?tls=required`, or `smtp://…:25`.
    Smtp { url: String, from: String },
}

/// The organization that the first start creates. Later starts ignore it.
#[derive(Clone, Debug)]
pub struct FirstOrganization {
    pub name: String,
    pub concurrency_total: u32,
    pub currency: Currency,
    pub default_rate: Option<Rate>,
}

impl Default for FirstOrganization {
    fn default() -> Self {
        Self {
            name: "First organization".to_owned(),
            concurrency_total: 100,
            currency: Currency::INR,
            default_rate: None,
        }
    }
}

impl Settings {
    /// The defaults, over a database.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            regions: ["india", "us", "eu"].map(str::to_owned).to_vec(),
            first_organization: FirstOrganization::default(),
            operator_key: None,
            organization_key: None,
            posting_cpu_percent: None,
            call_lease_s: 90,
            requests_per_s: REQUESTS_PER_S,
            open_requests_per_s: OPEN_REQUESTS_PER_S,
            serves_tls: false,
            webhook_private_networks: false,
            mailer: Mailer::Log,
            public_url: "http://127.0.0.1:7080".to_owned(),
        }
    }

    /// The first setting that cannot be used, if any.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        for (name, key) in
            [("operator_key", &self.operator_key), ("organization_key", &self.organization_key)]
        {
            let usable = |key: &String| {
                SET_KEY_CHARACTERS.contains(&key.len())
                    && key.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if !key.as_ref().is_none_or(usable) {
                return Err(OpenError::Setting {
                    name,
                    expected: "32 to 128 visible ASCII characters",
                });
            }
        }
        if self.operator_key.is_some() && self.operator_key == self.organization_key {
            return Err(OpenError::Setting {
                name: "organization_key",
                expected: "another key than operator_key",
            });
        }
        let named = |region: &String| {
            (1..=REGION_CHARACTERS_MAX).contains(&region.len())
                && region
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if self.regions.is_empty() || !self.regions.iter().all(named) {
            return Err(OpenError::Setting {
                name: "regions",
                expected: "one or more names of 1 to 32 characters a-z, 0-9 and -",
            });
        }
        let (scheme, rest) = self.public_url.split_once("://").unwrap_or_default();
        let is_plain = self.public_url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !matches!(scheme, "http" | "https")
            || rest.is_empty()
            || !is_plain
            || rest.ends_with('/')
        {
            return Err(OpenError::Setting {
                name: "public_url",
                expected: "http:// or https:// and a host, without a slash at its end",
            });
        }
        if self.posting_cpu_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err(OpenError::Setting { name: "posting_cpu_percent", expected: "1 to 100" });
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("regions", &self.regions)
            .field("first_organization", &self.first_organization)
            .field("operator_key_set", &self.operator_key.is_some())
            .field("organization_key_set", &self.organization_key.is_some())
            .field("posting_cpu_percent", &self.posting_cpu_percent)
            .field("call_lease_s", &self.call_lease_s)
            .field("requests_per_s", &self.requests_per_s)
            .field("open_requests_per_s", &self.open_requests_per_s)
            .field("serves_tls", &self.serves_tls)
            .field("webhook_private_networks", &self.webhook_private_networks)
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// What the first start made: to be printed once, and kept nowhere.
pub struct FirstStart {
    /// `None` when the key was set from outside.
    pub operator_key: Option<String>,
    /// `None` when the key was set from outside.
    pub organization_key: Option<String>,
    pub organization_id: AccountId,
}

/// The control plane cannot start; the text says why.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{name} is not usable: expected {expected}")]
    Setting { name: &'static str, expected: &'static str },
    #[error("{name} is already in use as another key")]
    KeyInUse { name: &'static str },
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error(transparent)]
    Hub(#[from] hub::embedded::HubUnavailable),
    #[error(
        "the database was made by an earlier version: start a control plane of this version once"
    )]
    Earlier,
    #[error("the database holds {0}, which this version cannot read")]
    Unreadable(&'static str),
    #[error(
        "the database has version {found} of the schema, this program knows versions up to {known}: use a newer ringfence"
    )]
    Newer { found: i64, known: i64 },
}
