//! The data plane alone: HTTP, engine and embedded hub, without control plane, ledger or operations
//! listener; records are acknowledged unposted. To see with `load` where the time goes: what the whole
//! binary costs more is not the gateway's. Prints an address and two keys; ends with its parent.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use benches::in_process::engine::{Accounts, TOMBSTONES_MAX, World};
use benches::in_process::names;
use gateway::engine::expire::Expiry;
use gateway::http::{Server, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(50);

fn main() -> io::Result<()> {
    let billed = std::env::args().nth(1).as_deref() == Some("billed");
    let accounts = Accounts { count: 10, slots: Some(1_000_000), billed, keys: true };
    let world = World::open(accounts, TOMBSTONES_MAX)?;
    let _expiry = Expiry::start(&world.engine)?;
    let listen = ([127, 0, 0, 1], 0).into();
    let settings = Settings { listen, ..Settings::default() };
    let server = Server::start(world.engine.clone(), settings)?;
    writeln!(io::stdout(), "gateway  http://{}  key {}", server.address(), names::secret(0))?;
    thread::spawn(move || {
        loop {
            thread::sleep(ACKNOWLEDGE_EVERY);
            if world.acknowledge().is_err() {
                return;
            }
        }
    });
    // Until standard input is closed.
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
