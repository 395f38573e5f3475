//! Structured logs on standard error. Never the body of a request, never a key.

use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// The least important lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Default for Level {
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

/// The text is none of the words of the table.
#[derive(Debug)]
pub struct UnknownWord;

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let filter = match text {
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return Err(UnknownWord),
        };
        Ok(Self(filter))
    }
}

/// Sends everything logged from now on to standard error.
pub fn start(format: Format, Level(filter): Level) {
    let lines = tracing_subscriber::fmt().with_max_level(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_ansi(false).init(),
        Format::Json => lines.json().init(),
    }
}
