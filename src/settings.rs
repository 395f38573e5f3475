//! What this process was told: read from flags, environment and file, checked whole before anything
//! starts. Values do not change while it runs.

mod database;
mod mail;
mod nearest;
mod problem;
mod reader;
mod report;
mod sample;
pub mod source;
pub mod table;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use hub::money::{Currency, Rate};
use hub::redis::connect::{Login, Setting as HubServers};

use crate::log::{Format, Level};
use crate::role::Role;
use crate::tls::pair::{self, Part};

pub use database::database_url;
use mail::Mail;
pub use problem::Problem;
pub use reader::{DatabaseUrl, Secret, TlsFiles};
use reader::{InForce, Reader};
pub use report::report;
pub use sample::sample;
use source::Sources;

/// Everything that can be set. `table.rs` says what each means.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub gateway_listen: SocketAddr,
    pub control_plane_listen: SocketAddr,
    pub ops_listen: SocketAddr,
    /// Of every role but `serve`.
    pub hub: Option<HubServers>,
    pub hub_sentinel_login: Login,
    pub hub_authorities: Option<PathBuf>,
    pub hub_replicas: u32,
    pub database_url: Option<DatabaseUrl>,
    /// Of listeners that the role has; so the others.
    pub gateway_tls: Option<TlsFiles>,
    pub control_plane_tls: Option<TlsFiles>,
    pub ops_tls: Option<TlsFiles>,
    pub operator_key: Option<Secret>,
    pub organization_key: Option<Secret>,
    pub mail: Mail,
    pub concurrency_total: u32,
    pub currency: Currency,
    pub default_rate: Option<Rate>,
    pub call_lease_s: u32,
    pub renew_every_s: u32,
    pub lease_s_min: u32,
    pub lease_s_max: u32,
    pub reconcile_gap_s: u32,
    pub grant_max_s: u32,
    pub tombstones_max: usize,
    pub regions: Vec<String>,
    pub serve_regions: Vec<String>,
    pub gateway_threads: usize,
    pub connections_max: usize,
    pub posting_cpu_percent: u8,
    pub webhook_private_networks: bool,
    pub requests_per_s: u32,
    pub open_requests_per_s: u32,
    pub get_allowed: bool,
    pub drain_s: u32,
    pub log_format: Format,
    pub log_level: Level,
    in_force: Vec<InForce>,
}

impl Settings {
    /// Reads and checks everything for a process of this role, as of `now_us`; all problems of
    /// `problems` and of the values, or the settings.
    pub fn read(
        role: Role,
        sources: &Sources,
        mut problems: Vec<Problem>,
        now_us: i64,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(sources, &mut problems);
        let call_lease_s = reader.number("call_lease_s");
        let regions = reader.words("regions").unwrap_or_default();
        let mut settings = Self {
            call_lease_s,
            data_dir: reader.directory("data_dir"),
            gateway_listen: reader.address("gateway_listen"),
            control_plane_listen: reader.address("control_plane_listen"),
            ops_listen: reader.address("ops_listen"),
            hub: reader.parsed("hub_url"),
            hub_sentinel_login: reader.parsed("hub_sentinel_login").unwrap_or_default(),
            hub_authorities: reader.pem_file("hub_authorities"),
            hub_replicas: reader.number("hub_replicas"),
            database_url: reader.parsed("database_url"),
            gateway_tls: reader
                .tls("gateway_tls_cert", "gateway_tls_key")
                .filter(|_| role.has_gateway()),
            control_plane_tls: reader
                .tls("control_plane_tls_cert", "control_plane_tls_key")
                .filter(|_| role.has_control_plane()),
            ops_tls: reader.tls("ops_tls_cert", "ops_tls_key"),
            operator_key: reader.key("operator_key"),
            organization_key: reader.key("organization_key"),
            mail: Mail::read(&mut reader),
            concurrency_total: reader.number("concurrency_total"),
            currency: reader.currency("currency"),
            default_rate: reader.rate("default_rate"),
            renew_every_s: reader.number_or("renew_every_s", (call_lease_s / 3).max(1)),
            lease_s_min: reader.number("lease_s_min"),
            lease_s_max: reader.number("lease_s_max"),
            reconcile_gap_s: reader.number("reconcile_gap_s"),
            grant_max_s: reader.number("grant_max_s"),
            tombstones_max: reader.number("tombstones_max"),
            serve_regions: reader.words("serve_regions").unwrap_or_else(|| regions.clone()),
            regions,
            gateway_threads: reader.number_or("gateway_threads", processors()),
            connections_max: reader.number("connections_max"),
            posting_cpu_percent: reader.number("posting_cpu_percent"),
            webhook_private_networks: reader.one_of("webhook_private_networks").unwrap_or_default(),
            requests_per_s: reader.number("requests_per_s"),
            open_requests_per_s: reader.number("open_requests_per_s"),
            get_allowed: reader.one_of("get_allowed").unwrap_or_default(),
            drain_s: reader.number("drain_s"),
            log_format: reader.one_of("log_format").unwrap_or_default(),
            log_level: reader.one_of("log_level").unwrap_or_default(),
            in_force: Vec::new(),
        };
        settings.in_force = reader.finish();
        if problems.is_empty() {
            settings.check_together(role, &mut problems);
        }
        settings.check_certificates(now_us, &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// Where the control plane's database is.
    pub fn database_url(&self) -> String {
        database::url(&self.data_dir, self.database_url.as_ref())
    }

    /// Where users reach the control plane: as it was set, else its listener.
    pub fn public_url(&self) -> String {
        let scheme = if self.control_plane_tls.is_some() { "https" } else { "http" };
        let own = || format!("{scheme}://{}", self.control_plane_listen);
        self.mail.public_url().map_or_else(own, str::to_owned)
    }

    /// What each setting is in force as, in the order of the table.
    pub fn in_force(&self) -> impl Iterator<Item = &InForce> {
        table::settings().filter_map(|setting| {
            self.in_force.iter().find(|in_force| in_force.setting.name == setting.name)
        })
    }

    /// What stands in the files of each listener.
    fn check_certificates(&self, now_us: i64, problems: &mut Vec<Problem>) {
        for (files, cert_name, key_name) in [
            (&self.gateway_tls, "gateway_tls_cert", "gateway_tls_key"),
            (&self.control_plane_tls, "control_plane_tls_cert", "control_plane_tls_key"),
            (&self.ops_tls, "ops_tls_cert", "ops_tls_key"),
        ] {
            let Some(Err(unusable)) = files.as_ref().map(|files| pair::load(files, now_us)) else {
                continue;
            };
            let name = match unusable.part {
                Part::Certificate => cert_name,
                Part::Key => key_name,
            };
            let in_force = self.in_force.iter().find(|in_force| in_force.setting.name == name);
            if let Some(given) = in_force.and_then(|in_force| in_force.given.as_ref()) {
                problems.push(Problem::file(name, given, &unusable.why));
            }
        }
    }

    /// What no value alone can get wrong.
    fn check_together(&self, role: Role, problems: &mut Vec<Problem>) {
        let mut refuse = |text: String| problems.push(Problem::new(text));
        match (&self.hub, role.shares_hub()) {
            (None, true) => refuse(format!(
                "hub_url is unset: ringfence {} needs the servers that its installation shares",
                role.name()
            )),
            (Some(_), false) => refuse(
                "hub_url is set, and ringfence serve has a hub of its own: start ringfence gateway \
                 and ringfence control-plane, or unset it"
                    .to_owned(),
            ),
            _ => {}
        }
        if !role.shares_hub() && self.database_url.as_ref().is_some_and(DatabaseUrl::is_server) {
            refuse(
                "database_url is a PostgreSQL server, and ringfence serve keeps all of an installation \
                 in data_dir: start ringfence gateway and ringfence control-plane, or unset it"
                    .to_owned(),
            );
        }
        if role.has_control_plane() {
            self.mail.check(problems);
        }
        let mut refuse = |text: String| problems.push(Problem::new(text));
        let (lease_s, renew_s) = (self.call_lease_s, self.renew_every_s);
        if lease_s < 2 * renew_s {
            refuse(format!(
                "call_lease_s = {lease_s} and renew_every_s = {renew_s}: expected a lease of at \
                 least twice the renewal, or one lost renewal ends a call"
            ));
        }
        if self.lease_s_min > self.lease_s_max {
            refuse(format!(
                "lease_s_min = {} is above lease_s_max = {}",
                self.lease_s_min, self.lease_s_max
            ));
        }
        for region in self.serve_regions.iter().filter(|region| !self.regions.contains(region)) {
            let regions = self.regions.join(", ");
            refuse(format!("serve_regions names {region:?}: expected one of regions ({regions})"));
        }
        let listeners = [
            ("gateway_listen", self.gateway_listen, role.has_gateway()),
            ("control_plane_listen", self.control_plane_listen, role.has_control_plane()),
            ("ops_listen", self.ops_listen, true),
        ];
        let own = listeners.into_iter().filter(|(_, _, own)| *own);
        let listeners: Vec<_> = own.map(|(name, address, _)| (name, address)).collect();
        for (index, (name, address)) in listeners.iter().enumerate() {
            let same = |(_, other): &&(&str, SocketAddr)| other == address && address.port() != 0;
            if let Some((other, _)) = listeners[..index].iter().find(same) {
                refuse(format!("{other} and {name} are both {address}: expected two addresses"));
            }
        }
        if self.operator_key.is_some() && self.operator_key == self.organization_key {
            refuse("operator_key and organization_key are the same: expected two keys".to_owned());
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::source::Variable;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        read_for(Role::Serve, variables)
    }

    fn read_for(role: Role, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let variables = variables
            .iter()
            .map(|(name, value)| Variable {
                name: format!("RINGFENCE_{name}"),
                value: Some((*value).to_owned()),
            })
            .collect();
        let mut problems = Vec::new();
        let sources = Sources::merge(Vec::new(), None, variables, &mut problems);
        Settings::read(role, &sources, problems, 0)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_row_of_the_table_is_read_and_its_default_is_valid() {
        let settings = read(&[]).expect("the defaults are valid");
        assert_eq!(settings.in_force().count(), table::settings().count());
        assert_eq!((settings.call_lease_s, settings.renew_every_s), (90, 30));
        assert_eq!(settings.serve_regions, ["india", "us", "eu"]);
    }

    #[test]
    fn every_problem_is_named_at_once_with_value_and_expectation() {
        let problems = read(&[
            ("GATEWAY_LISTEN", "localhost"),
            ("CALL_LEASE_S", "1"),
            ("OPERATOR_KEY", "short-secret"),
            ("GATWAY_LISTEN", "x"),
            ("CURRENCY", ""),
        ])
        .expect_err("five problems");
        assert_eq!(problems.len(), 5, "{problems:#?}");
        let all = problems.join("\n");
        assert!(all.contains("nearest known one is RINGFENCE_GATEWAY_LISTEN"), "{all}");
        assert!(all.contains("\"localhost\""), "{all}");
        assert!(all.contains("a whole number from 2 to 14400"), "{all}");
        assert!(!all.contains("short-secret"), "{all}");
    }

    #[test]
    fn a_short_lease_brings_its_own_renewal() {
        let settings = read(&[("CALL_LEASE_S", "3")]).expect("valid");
        assert_eq!(settings.renew_every_s, 1);
        let problems = read(&[("CALL_LEASE_S", "50")]).map(|settings| settings.renew_every_s);
        assert_eq!(problems, Ok(16));
        assert!(read(&[("CALL_LEASE_S", "50"), ("RENEW_EVERY_S", "26")]).is_err());
    }

    #[test]
    fn a_certificate_without_its_key_and_files_that_are_none_are_named_by_their_settings() {
        let problems = read(&[
            ("GATEWAY_TLS_CERT", "Cargo.toml"),
            ("GATEWAY_TLS_KEY", "/nowhere/key.pem"),
            ("CONTROL_PLANE_TLS_CERT", "/nowhere/tls.pem"),
            ("CONTROL_PLANE_TLS_KEY", "/nowhere/key.pem"),
            ("OPS_TLS_KEY", "/nowhere/key.pem"),
        ])
        .expect_err("three problems");
        assert_eq!(problems.len(), 3, "{problems:#?}");
        for (problem, parts) in problems.iter().zip([
            ["ops_tls_key is set and ops_tls_cert is not", "expected both"],
            ["gateway_tls_cert = \"Cargo.toml\"", "no certificate stands in it"],
            ["control_plane_tls_cert = \"/nowhere/tls.pem\"", "No such file"],
        ]) {
            assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for together in [
            [("LEASE_S_MIN", "100"), ("LEASE_S_MAX", "99")],
            [("REGIONS", "india"), ("SERVE_REGIONS", "us")],
            [("GATEWAY_LISTEN", "127.0.0.1:9000"), ("OPS_LISTEN", "127.0.0.1:9000")],
            [("OPERATOR_KEY", &"k".repeat(32)), ("ORGANIZATION_KEY", &"k".repeat(32))],
        ] {
            assert_eq!(read(&together).expect_err("contradiction").len(), 1, "{together:?}");
        }
    }

    #[test]
    fn processes_that_are_several_need_the_hub_that_they_share_and_serve_has_its_own() {
        let shared = [("HUB_URL", "redis://hub:6379")];
        for role in [Role::Gateway, Role::ControlPlane] {
            assert!(read_for(role, &shared).expect("valid").hub.is_some());
            let problems = read_for(role, &[]).expect_err("no hub");
            assert!(problems[0].contains("hub_url is unset") && problems.len() == 1);
        }
        let problems = read(&shared).expect_err("two hubs");
        assert!(problems[0].contains("ringfence gateway"), "{problems:?}");
        let server = [("DATABASE_URL", "postgres://database/ringfence")];
        let problems = read(&server).expect_err("a database that others may use");
        assert!(problems[0].contains("database_url is a PostgreSQL server"), "{problems:?}");
    }

    #[test]
    fn a_wrong_url_or_login_is_named_without_showing_it() {
        let problems = read_for(
            Role::ControlPlane,
            &[
                ("HUB_URL", "redis://user:pa@ss@hub:port"),
                ("HUB_SENTINEL_LOGIN", "pa-ss"),
                ("DATABASE_URL", "mysql://user:pa-ss@database"),
            ],
        )
        .expect_err("three problems");
        assert_eq!(problems.len(), 3, "{problems:#?}");
        let all = problems.join("\n");
        assert!(all.contains("environment RINGFENCE_HUB_URL") && all.contains("the port is not"));
        assert!(!all.contains("pa-ss") && !all.contains("pa@ss"), "{all}");
    }

    #[test]
    fn a_process_reads_the_certificates_of_its_own_listeners_only() {
        let others = [
            ("HUB_URL", "redis://hub"),
            ("GATEWAY_TLS_CERT", "/nowhere/tls.pem"),
            ("GATEWAY_TLS_KEY", "/nowhere/key.pem"),
        ];
        assert!(read_for(Role::ControlPlane, &others).is_ok());
        assert!(read_for(Role::Gateway, &others).is_err());
    }
}
