//! Tasks that live as long as the process. Each has a name, and its end before the stop is noticed.

use tokio::task::JoinSet;

/// How a task ended: nothing when it was told to.
type End = Result<(), String>;

/// The running tasks.
#[derive(Default)]
pub struct Tasks {
    running: JoinSet<(&'static str, End)>,
}

impl Tasks {
    /// Starts a task on the current runtime.
    pub fn spawn(&mut self, name: &'static str, work: impl Future<Output = End> + Send + 'static) {
        self.running.spawn(async move { (name, work.await) });
    }

    /// Waits for the first end, and says whose it is and why. Pending while there is no task.
    pub async fn first_end(&mut self) -> String {
        match self.running.join_next().await {
            None => std::future::pending().await,
            Some(Ok((name, Ok(())))) => format!("the {name} ended by itself"),
            Some(Ok((name, Err(why)))) => format!("the {name} failed: {why}"),
            Some(Err(error)) => format!("a task failed: {error}"),
        }
    }

    /// Waits until all have ended, and says what failed.
    pub async fn all_ended(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        while let Some(end) = self.running.join_next().await {
            match end {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(why))) => failures.push(format!("the {name} failed: {why}")),
                Err(error) => failures.push(format!("a task failed: {error}")),
            }
        }
        failures
    }
}
