//! Both halves over a hub in this process: opens the hub, the engine and the control plane in the order
//! in which they need each other, then takes over the calls of the process before.

use std::sync::Arc;
use std::thread;

use gateway::engine::Engine;
use gateway::http::Tls;
use hub::embedded::{EmbeddedHub, Options};
use tokio::sync::oneshot;

use super::Failure;
use super::administration::Administration;
use super::data_plane::{DataPlane, engine_settings};
use super::part::Part;
use crate::settings::Settings;

/// Within the data directory.
const HUB_DIRECTORY: &str = "hub";

pub struct Halves {
    pub hub: Arc<EmbeddedHub>,
    pub data_plane: DataPlane,
    pub administration: Administration,
}

/// Opens everything; nothing is open after an error.
pub async fn open(settings: &Settings, tls: Option<Tls>) -> Result<Halves, Failure> {
    let hub = open_hub(settings).await?;
    let engine = Engine::new(engine_settings(settings), &hub);
    let administration = Administration::open(settings, Arc::clone(&hub)).await?;
    let adopting = Arc::clone(&engine);
    blocking("adopt-calls", move || adopting.adopt()).await?;
    let data_plane = DataPlane::open(engine, Part::none(), settings, tls)?;
    Ok(Halves { hub, data_plane, administration })
}

async fn open_hub(settings: &Settings) -> Result<Arc<EmbeddedHub>, Failure> {
    let options = Options {
        call_lease_s: settings.call_lease_s,
        tombstones_max: settings.tombstones_max,
        ..Options::new(settings.data_dir.join(HUB_DIRECTORY))
    };
    let opened = blocking("hub-open", move || EmbeddedHub::open(&options)).await?;
    opened.map(Arc::new).map_err(|error| error.to_string())
}

/// What takes long and blocks gets a thread of its own, so that signals are heard meanwhile.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = oneshot::channel();
    let run = move || {
        // Nobody waits any more when a signal has ended the start.
        let _abandoned = done.send(work());
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| format!("no thread: {error}"))?;
    result.await.map_err(|_| format!("the thread {name} failed"))
}
