//! Looks at the servers before they are relied on: version, settings that would lose or evict what the
//! hub keeps, missing rights. Says what it found and what to do; changes nothing on a server.

mod facts;
mod rights;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use self::facts::Facts;
use super::connection::Connection;
use super::dial::driven;
use super::server::Server;
use super::servers::Servers;
use super::setting::Address;
use super::trouble::{Lost, Trouble};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something could not be seen.
    Note,
    /// It works, and will lose more than it needs to when something fails.
    Warning,
    /// It does not work, or not safely.
    Error,
}

/// One thing that was found, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub server: Option<Address>,
    pub severity: Severity,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => write!(f, "{server}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What is being found out about one server.
struct Inspection<'a> {
    servers: &'a Servers,
    connection: &'a Connection,
    findings: Vec<Finding>,
}

impl Servers {
    /// Inspects every server, each within that time. `commands` are those the scripts use on keys.
    pub async fn inspect(&self, commands: &[&str], within: Duration) -> Vec<Finding> {
        let (servers, complete) = self.all();
        let mut findings = Vec::new();
        if !complete {
            let text = format!("not every shard has a server: {}", Trouble::NoRoute.advice());
            findings.push(Finding { server: None, severity: Severity::Error, text });
        }
        for server in servers {
            findings.extend(self.inspect_one(&server, commands, within).await);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    async fn inspect_one(
        &self,
        server: &Arc<Server>,
        commands: &[&str],
        within: Duration,
    ) -> Vec<Finding> {
        let connection = match server.link(false).connection(within).await {
            Ok(connection) => connection,
            Err(lost) => {
                let text = lost.to_string();
                return vec![Finding { server: None, severity: Severity::Error, text }];
            }
        };
        let mut inspection =
            Inspection { servers: self, connection: &connection, findings: vec![] };
        inspection.look_at_rights(commands).await;
        inspection.look_at_facts().await;
        inspection.findings
    }
}

impl Inspection<'_> {
    fn found(&mut self, severity: Severity, text: impl Into<String>) {
        let server = Some(self.connection.address().clone());
        self.findings.push(Finding { server, severity, text: text.into() });
    }

    async fn ask(&self, question: &Cmd) -> Result<Value, Lost> {
        self.connection.send(question, self.servers.dialer.timing.response).await
    }

    async fn look_at_rights(&mut self, commands: &[&str]) {
        let response = self.servers.dialer.timing.response;
        let cluster = self.servers.is_cluster();
        match rights::missing(self.connection, commands, cluster, response).await {
            Ok(missing) => {
                for right in missing {
                    let text = Trouble::NotPermitted(format!("the user may not: {right}"));
                    self.found(Severity::Error, text.to_string());
                }
            }
            Err(lost) => self.found(Severity::Error, format!("no script can be run: {lost}")),
        }
    }

    async fn look_at_facts(&mut self) {
        let facts = match self.ask(&redis::cmd("INFO")).await.map(Facts::of) {
            Ok(Some(facts)) => facts,
            Ok(None) => return self.found(Severity::Error, Trouble::Unexpected.to_string()),
            Err(lost) => return self.found(Severity::Error, format!("INFO: {lost}")),
        };
        for (severity, text) in facts.judged(self.servers.is_cluster(), self.servers.replicas) {
            self.found(severity, text);
        }
        if facts.is_logged() {
            self.look_at_fsync().await;
        }
        for replica in facts.replicas() {
            self.look_at_replica(&replica).await;
        }
    }

    /// `CONFIG GET` shows passwords too, so the recommended user may not; then this stays unseen.
    async fn look_at_fsync(&mut self) {
        let mut question = redis::cmd("CONFIG");
        question.arg("GET").arg("appendfsync");
        let Ok(Value::Map(pairs)) = self.ask(&question).await else {
            let text = "whether appendfsync is everysec or always cannot be seen by this user; check \
                        it on the server";
            return self.found(Severity::Note, text);
        };
        let no = |value: &Value| matches!(value, Value::BulkString(policy) if policy == b"no");
        if pairs.iter().any(|(_, policy)| no(policy)) {
            let text = "appendfsync is no: a power cut loses what the kernel had not written; set \
                        everysec or always";
            self.found(Severity::Warning, text);
        }
    }

    async fn look_at_replica(&mut self, replica: &Address) {
        let dialer = &self.servers.dialer;
        let seen = async {
            let (connection, driver) = dialer.dial(replica, None).await?;
            let info = redis::cmd("INFO");
            let asked = connection.send(&info, dialer.timing.response);
            driven(driver, asked).await.map_err(|lost| lost.trouble().clone())
        };
        match seen.await.map(Facts::of) {
            Ok(Some(facts)) => {
                for (severity, text) in facts.judged_as_replica() {
                    self.found(severity, format!("replica {replica}: {text}"));
                }
            }
            Ok(None) => {}
            Err(trouble) => {
                self.found(Severity::Note, format!("replica {replica} cannot be seen: {trouble}"));
            }
        }
    }
}
