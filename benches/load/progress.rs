//! The progress bar, on standard error and only when that is a terminal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use benches::clock::{MILLISECOND_NS, monotonic_ns};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::plan::Plan;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const FORM: &str = "{bar:40} {elapsed_precise} of {len} ms · {msg} requests";

/// How far the run is.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn new(plan: &Plan) -> Self {
        let whole = plan.limits.warmup + plan.limits.measured;
        let visible = plan.show_progress && std::io::stderr().is_terminal();
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let length_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length_ms), target);
        if let Ok(style) = ProgressStyle::with_template(FORM) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Shows `answered` until the run has finished.
    pub fn watch(self, answered: &AtomicU64, finished: impl Fn() -> bool) {
        let start_ns = monotonic_ns();
        while !finished() {
            self.bar.set_position((monotonic_ns() - start_ns) / MILLISECOND_NS);
            // Shown only: no order with anything else is needed.
            self.bar.set_message(answered.load(Ordering::Relaxed).to_string());
            thread::sleep(LOOK_EVERY);
        }
        self.bar.finish_and_clear();
    }
}
