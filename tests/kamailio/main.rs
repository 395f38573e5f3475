//! Real calls: `SIPp` callers and callees through Kamailio, with the deployed configuration, against a
//! running `ringfence serve`.

mod endings;
mod faults;
mod load;
mod packet;
mod proxy;
mod refusals;
mod sipp;

use std::time::Duration;

use serde_json::Value;
use support::{Account, Installation, Running};

use crate::proxy::{Proxy, Settings};
use crate::sipp::Sipp;

/// Longer than anything asynchronous takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn installation() -> Installation {
    Installation::new(env!("CARGO_BIN_EXE_ringfence"))
}

/// A proxy that calls this carrier for this account, with the deployed settings.
#[track_caller]
fn proxy(running: &Running, account: &Account, carrier: &Sipp) -> Proxy {
    Proxy::start(Settings::new(running.gateway, &account.key, carrier.port))
}

/// A call as the gateway knows it, live or ended.
#[track_caller]
fn look_up(running: &Running, account: &Account, call_id: &str) -> Value {
    let path = call_id.replace('@', "%40").replace(';', "%3B");
    running.gateway(&account.key).get(&format!("/v1/calls/{path}")).expect(200)
}

/// Waits until no call of the account is live.
#[track_caller]
fn wait_until_idle(running: &Running, account: &Account, deadline: Duration) {
    support::wait_until("every slot is back", deadline, || account.in_use(running) == 0);
}
