//! The log: on stderr, for people or for machines.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogConfig, LogFormat};

/// Libraries whose debug logs carry requests and their headers: never below info, whatever the
/// filter says, so that no credential reaches a log.
const WIRE: [&str; 7] = ["aws_", "hyper", "h2", "rustls", "tower", "reqwest", "kube_client"];

/// Starts the log of this process.
pub(crate) fn start(config: &LogConfig) {
    let filter =
        EnvFilter::try_new(&config.filter).unwrap_or_else(|_source| EnvFilter::new("info"));
    let discreet = filter_fn(|event| {
        *event.level() <= LevelFilter::INFO
            || !WIRE.iter().any(|library| event.target().starts_with(library))
    });
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let human = || fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colour);
    let json =
        || fmt::layer().with_writer(io::stderr).json().flatten_event(true).with_span_list(false);
    let layer = match config.format {
        LogFormat::Human => human().with_filter(discreet).boxed(),
        LogFormat::Json => json().with_filter(discreet).boxed(),
    };
    let log = tracing_subscriber::registry().with(filter).with(layer);
    if log.try_init().is_err() {
        tracing::debug!("The log was started before");
    }
    // A panic is told in the form of the log, too; its last words follow in any case.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "Panicked")));
}
