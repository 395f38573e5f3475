//! Reports of statistics on their way from gateways to control planes, all of them at shard 0: few and
//! small. Beside the shard's memory, and never sealed: a server that loses it loses statistics.

use redis::Value;
use tokio::time::Instant;

use super::RedisHub;
use crate::redis::decode::Malformed;
use crate::redis::scripts::SCRIPTS;
use crate::report::{REPORTERS_MAX, Report};
use crate::shared::NoAnswer;

/// Where reports wait.
const SHARD: u8 = 0;
/// Bytes of reports that are read at once; the one that reaches it is read whole.
const BYTES_PER_READ: usize = 1024 * 1024;
const REPORTER_BYTES: usize = 16;

impl RedisHub {
    pub(super) async fn leave_report(&self, report: &Report) -> Result<bool, NoAnswer> {
        let bytes = report.to_bytes();
        let most = REPORTERS_MAX.to_string();
        let arguments = [reporter_of(&bytes), &bytes, most.as_bytes()];
        let deadline = Instant::now() + self.patience();
        let answer = self.servers.call(SHARD, &SCRIPTS.report, &arguments, deadline).await?;
        match answer.value {
            Value::Int(taken) => Ok(taken == 1),
            _ => Err(Malformed("the answer to a report").into()),
        }
    }

    /// Reports that wait for a control plane, some or all; each as its bytes, which [`Report::read`]
    /// reads unless another version wrote them.
    pub async fn waiting_reports(&self) -> Result<Vec<Vec<u8>>, NoAnswer> {
        let arguments = [BYTES_PER_READ.to_string()];
        let deadline = Instant::now() + self.patience();
        let answer = self.servers.call(SHARD, &SCRIPTS.reports, &arguments, deadline).await?;
        let Value::Array(reports) = answer.value else {
            return Err(Malformed("a list of reports").into());
        };
        let bytes = |report| match report {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(Malformed("a report").into()),
        };
        reports.into_iter().map(bytes).collect()
    }

    /// The database has what these bytes say.
    pub async fn forget_report(&self, report: &[u8]) -> Result<(), NoAnswer> {
        let arguments = [reporter_of(report), report];
        let deadline = Instant::now() + self.patience();
        self.servers.call(SHARD, &SCRIPTS.forget_report, &arguments, deadline).await?;
        Ok(())
    }
}

/// Its id, which stands behind the version in all of them.
fn reporter_of(report: &[u8]) -> &[u8] {
    report.get(1..1 + REPORTER_BYTES).unwrap_or_default()
}
