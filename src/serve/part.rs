//! Tasks of a process that are watched, and stopped, together.

use tokio::sync::watch;

use crate::task::Tasks;

/// Some tasks, or none.
pub struct Part {
    tasks: Tasks,
    stop: watch::Sender<bool>,
}

impl Part {
    /// `start` starts the tasks; each ends once its receiver says true.
    pub fn new(start: impl FnOnce(&mut Tasks, watch::Receiver<bool>)) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        start(&mut tasks, stopped);
        Self { tasks, stop }
    }

    /// What a process of this role does not have.
    pub fn none() -> Self {
        Self::new(|_, _| ())
    }

    /// Waits for the first task that ends before it was told to; pending where there is none.
    pub async fn first_end(&mut self) -> String {
        self.tasks.first_end().await
    }

    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        for failure in self.tasks.all_ended().await {
            tracing::error!("{failure}");
        }
    }
}
