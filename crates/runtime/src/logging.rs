//! Structured logs on standard error: text for a terminal, JSON lines for a log store.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("a log format is text or json"),
        }
    }
}

/// Never more of these, whatever is asked for: what they tell when they debug are whole bodies and parameters, and with
/// them the variables of builds.
const QUIET: [&str; 2] = ["bollard=info", "tokio_postgres=info"];

/// Starts logging. `filter` has the syntax of `RUST_LOG`; a bad one falls back to `info`.
pub fn init(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = QUIET.iter().fold(filter, |filter, directive| {
        filter.add_directive(directive.parse().expect("a directive of ours parses"))
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
