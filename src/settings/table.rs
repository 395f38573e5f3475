//! The table of settings: name, values, default and meaning of each, once. `--help`, the commented
//! sample, the check and the errors are all made from it.

/// What a setting's text may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An IP address and a port; port 0 takes a free one.
    Address,
    Directory,
    /// The path of a PEM file; what stands in it is checked as well.
    PemFile,
    /// A whole number; `None` of [`Setting::default`] is then computed, as `about` says.
    Number {
        min: u64,
        max: u64,
    },
    Currency,
    /// Price per minute, then initial and further increment in seconds: `1.20 60/60`.
    Rate,
    /// Lower-case words, separated by commas.
    Words,
    OneOf(&'static [&'static str]),
    /// 32 to 128 visible ASCII characters; also as `…_file`, and never shown.
    Secret,
    /// Where the hub's servers are, with their login: a secret.
    HubUrl,
    /// Where the database is, with its login: a secret.
    DatabaseUrl,
    /// `user:password`: a secret.
    Login,
    /// Where the mail server is, with its login: a secret.
    SmtpUrl,
    /// An e-mail address, with or without a name.
    Mailbox,
    /// Where something is reached by HTTP.
    HttpUrl,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// As it stands in the file; the flag and the variable are derived from it.
    pub name: &'static str,
    pub kind: Kind,
    /// `None`: unset, or computed from others.
    pub default: Option<&'static str>,
    pub about: &'static str,
}

/// Settings that belong together, under a heading of the sample.
pub struct Section {
    pub heading: &'static str,
    pub settings: &'static [Setting],
}

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { name, kind, default: Some(default), about }
}

const fn unset(name: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { name, kind, default: None, about }
}

const fn number(min: u64, max: u64) -> Kind {
    Kind::Number { min, max }
}

const DAY_S: u64 = 86_400;

#[rustfmt::skip]
pub const SECTIONS: &[Section] = &[
    Section { heading: "State and listeners", settings: &[
        row("data_dir", Kind::Directory, "./ringfence-data", "where all state is kept; created when missing; one process at a time"),
        row("gateway_listen", Kind::Address, "127.0.0.1:7070", "where telephony stacks ask"),
        row("control_plane_listen", Kind::Address, "127.0.0.1:7080", "where organizations are administered"),
        row("ops_listen", Kind::Address, "127.0.0.1:7090", "/metrics, /livez and /readyz; keep it off public networks"),
    ]},
    Section { heading: "Processes that are several: ringfence gateway and ringfence control-plane need hub_url; ringfence serve has a hub of its own", settings: &[
        unset("hub_url", Kind::HubUrl, "the Redis or Valkey servers through which gateways share slots and money; the same for all processes of an installation"),
        unset("hub_sentinel_login", Kind::Login, "the login of the sentinels themselves, where they have one"),
        unset("hub_authorities", Kind::PemFile, "the authorities whose certificates the hub's servers have; the machine's own unless set"),
        row("hub_replicas", number(0, 16), "0", "replicas that must have a call with a long lease before its stack is told: all that a failover may promote"),
        unset("database_url", Kind::DatabaseUrl, "the control plane's database, PostgreSQL where there is more than one control plane; a SQLite file in data_dir unless set"),
    ]},
    Section { heading: "TLS of each listener; new files are noticed within seconds, and at once on SIGHUP", settings: &[
        unset("gateway_tls_cert", Kind::PemFile, "the certificate chain that stacks are shown, the server's own first; plain text unless set"),
        unset("gateway_tls_key", Kind::PemFile, "the private key of gateway_tls_cert, unencrypted"),
        unset("control_plane_tls_cert", Kind::PemFile, "the certificate chain of the control plane; plain text unless set"),
        unset("control_plane_tls_key", Kind::PemFile, "the private key of control_plane_tls_cert, unencrypted"),
        unset("ops_tls_cert", Kind::PemFile, "the certificate chain of the operations listener; plain text unless set"),
        unset("ops_tls_key", Kind::PemFile, "the private key of ops_tls_cert, unencrypted"),
    ]},
    Section { heading: "Keys, set at every start; without them the first start generates and prints them", settings: &[
        unset("operator_key", Kind::Secret, "the operator's API key"),
        unset("organization_key", Kind::Secret, "the API key of the first organization"),
    ]},
    Section { heading: "The organization that the first start creates", settings: &[
        row("concurrency_total", number(0, 10_000_000), "100", "live calls that all its accounts may have together"),
        row("currency", Kind::Currency, "INR", "the currency of its wallets"),
        unset("default_rate", Kind::Rate, "price per minute and increments, such as \"1.20 60/60\", for accounts without a rate; without it their calls are not billed"),
    ]},
    Section { heading: "Mail: invitations and password resets", settings: &[
        row("mailer", Kind::OneOf(&["log", "log-links", "smtp"]), "log", "what becomes of mail: smtp sends it, log only says that there was one and to whom; log-links shows the link in it as well, which is a secret, for trials"),
        unset("smtp_url", Kind::SmtpUrl, "the mail server of mailer = smtp"),
        unset("mail_from", Kind::Mailbox, "whom mail is from"),
        unset("public_url", Kind::HttpUrl, "where users reach the control plane, for links in mail; the address of its listener unless set"),
    ]},
    Section { heading: "Calls", settings: &[
        row("call_lease_s", number(2, 14_400), "90", "how long a call lives without being renewed; the same for all processes of an installation"),
        unset("renew_every_s", number(1, 7_200), "how often stacks are told to renew; at most half of call_lease_s, and a third of it unless set"),
        row("lease_s_min", number(1, DAY_S), "10", "the shortest lease that a stack that cannot renew may ask for"),
        row("lease_s_max", number(1, 7 * DAY_S), "14400", "the longest such lease"),
        row("reconcile_gap_s", number(1, 3_600), "10", "least time between the two complete lists that free a missing call"),
        row("grant_max_s", number(1, DAY_S), "300", "the longest first grant of a billed call that can be renewed"),
        row("tombstones_max", number(1_000, 100_000_000), "2000000", "ended calls kept in memory to answer repeated releases; the oldest go first"),
    ]},
    Section { heading: "Regions", settings: &[
        row("regions", Kind::Words, "india,us,eu", "the regions that an account may be in"),
        unset("serve_regions", Kind::Words, "those whose calls this gateway admits; all unless set"),
    ]},
    Section { heading: "Limits of this process", settings: &[
        row("requests_per_s", number(1, 1_000_000), "1000", "requests that one API key or user may send to the control plane in a second; each control plane counts for itself"),
        row("open_requests_per_s", number(1, 1_000_000), "100", "the same for one address, of requests that show no valid key or session"),
        unset("gateway_threads", number(1, 256), "threads that serve stacks; one per processor unless set"),
        row("connections_max", number(16, 1_000_000), "16000", "open connections of the gateway; more are closed at once"),
        row("posting_cpu_percent", number(1, 100), "25", "the part of one processor, in percent, that posting ended calls to the ledger may take"),
        row("webhook_private_networks", Kind::OneOf(&["false", "true"]), "false", "whether webhooks may be sent to loopback and private addresses, and by plain http; tenants name the URLs"),
        row("get_allowed", Kind::OneOf(&["false", "true"]), "false", "whether GET does on the gateway what is documented as POST, for stacks that cannot POST"),
        row("drain_s", number(0, 60), "5", "how long a stop waits for requests in flight; live calls are never waited for"),
    ]},
    Section { heading: "Logs, on standard error", settings: &[
        row("log_format", Kind::OneOf(&["text", "json"]), "text", "how a log line is written"),
        row("log_level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), "info", "the least important lines that are written"),
    ]},
];

/// Every row.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

impl Setting {
    /// `RINGFENCE_GATEWAY_LISTEN`
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// `gateway-listen`
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub fn is_secret(&self) -> bool {
        matches!(
            self.kind,
            Kind::Secret | Kind::HubUrl | Kind::DatabaseUrl | Kind::Login | Kind::SmtpUrl
        )
    }

    /// `operator_key_file`: the setting that names a file with the secret.
    pub fn file_name(&self) -> String {
        format!("{}_file", self.name)
    }
}

/// The environment variable of a name in the file.
pub fn variable(name: &str) -> String {
    format!("RINGFENCE_{}", name.to_ascii_uppercase())
}

impl Kind {
    /// What is expected, in one clause.
    pub fn expected(self) -> String {
        match self {
            Self::Address => {
                "an IP address and a port, such as 127.0.0.1:7070 or [::1]:0".to_owned()
            }
            Self::Directory => "a path".to_owned(),
            Self::PemFile => "the path of a PEM file".to_owned(),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Currency => "an ISO 4217 code in capitals, such as INR".to_owned(),
            Self::Rate => {
                "price per minute, initial and further increment in seconds, such as 1.20 60/60"
                    .to_owned()
            }
            Self::Words => {
                "words of a-z, 0-9 and -, at most 32 characters each, separated by commas"
                    .to_owned()
            }
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Secret => "32 to 128 visible ASCII characters".to_owned(),
            Self::HubUrl => "redis://user:password@host:6379 (rediss: by TLS), \
                             redis+sentinel://user:password@host:26379,host:26379/service or \
                             redis+cluster://user:password@host:6379,host:6379"
                .to_owned(),
            Self::DatabaseUrl => {
                "sqlite:///path/of/a/file or postgres://user:password@host:5432/database".to_owned()
            }
            Self::Login => "user:password or :password".to_owned(),
            Self::SmtpUrl => {
                "smtps://user:password@host:465 or smtp://user:password@host:587?tls=required; \
                              without a login also smtp://host:25"
                    .to_owned()
            }
            Self::Mailbox => "an e-mail address, such as Calls <calls@example.com>".to_owned(),
            Self::HttpUrl => {
                "http:// or https:// and a host, without a slash at its end".to_owned()
            }
        }
    }

    /// The placeholder in `--help`.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Directory => "PATH",
            Self::PemFile => "FILE",
            Self::Number { .. } => "N",
            Self::Currency => "CODE",
            Self::Rate => "RATE",
            Self::Words => "WORDS",
            Self::OneOf(_) => "WORD",
            Self::Secret | Self::Login => "SECRET",
            Self::HubUrl | Self::DatabaseUrl | Self::SmtpUrl | Self::HttpUrl => "URL",
            Self::Mailbox => "MAILBOX",
        }
    }
}
