//! Which commands the hub's user may not run, found by asking the server, which runs none of them.

use std::time::Duration;

use redis::Value;

use crate::redis::connect::channel::channel;
use crate::redis::connect::connection::{Connection, said};
use crate::redis::connect::script::{Script, tag};
use crate::redis::connect::trouble::{Lost, Trouble};

/// Whose keys and channel are asked for.
const SHARD: u8 = 0;

/// What connections are used for beside scripts; `%c` stands for the channel of a shard. `EVALSHA` and
/// `SCRIPT LOAD` are what asks.
const OWN: &[&str] = &["PING", "ROLE", "INFO", "WAIT 1 1", "SSUBSCRIBE %c", "SPUBLISH %c x"];
const OWN_IN_CLUSTER: &[&str] = &["ASKING", "CLUSTER SLOTS"];

/// Answers those of its arguments, each a command with its words, that its user may not run.
const SCRIPT: &str = "#!lua
local missing = {}
for _, command in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(command, '%S+') do words[#words + 1] = word end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then missing[#missing + 1] = command end
end
return missing";

/// Commands that the user may not run: the hub's own, and those that its scripts run on keys.
pub(super) async fn missing(
    connection: &Connection,
    commands: &[&str],
    cluster: bool,
    within: Duration,
) -> Result<Vec<String>, Lost> {
    let key = tag(SHARD) + ":inspect";
    let own = OWN.iter().chain(OWN_IN_CLUSTER.iter().filter(|_| cluster));
    let own = own.map(|command| command.replace("%c", &channel(SHARD)));
    let on_keys = commands.iter().map(|command| format!("{command} {key}"));
    let asked: Vec<String> = own.chain(on_keys).collect();
    let script = Script::new("inspect", SCRIPT);
    let mut both = redis::pipe();
    both.add_command(script.load()).add_command(script.call_without_keys(&asked));
    let answers = connection.send_all(&both, within).await?;
    let mut answer = Value::Nil;
    for value in answers {
        answer = said(value)?;
    }
    let Value::Array(missing) = answer else { return Err(Lost::Refused(Trouble::Unexpected)) };
    let text = |value| match value {
        Value::BulkString(text) => String::from_utf8(text).ok(),
        _ => None,
    };
    Ok(missing.into_iter().filter_map(text).collect())
}
