//! Writes what a stack is told: JSON as it is documented, one line of text or a form. Must never
//! decide what is told, except what of an organization an account's key may not see.

mod call;
mod format;
mod grant;
mod overview;
mod problem;
mod time;
mod writer;

pub use call::{call_view, live_page};
pub use format::Format;
pub use grant::grant;
pub use overview::{concurrency, reconciled};
pub use problem::{Refused, problem};
pub use writer::Writer;
