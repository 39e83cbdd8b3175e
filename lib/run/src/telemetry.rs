//! Sets up the log: on stderr as text or JSON, and optionally its last lines in memory.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogConfig, LogFormat};
use crate::recent_log::Recent;

/// Libraries whose debug logs contain requests with headers. They never log below info, whatever
/// the filter is, so that no credential reaches a log.
const WIRE: [&str; 7] = ["aws_", "hyper", "h2", "rustls", "tower", "reqwest", "kube_client"];

fn without_requests(event: &Metadata<'_>) -> bool {
    *event.level() <= LevelFilter::INFO
        || !WIRE.iter().any(|library| event.target().starts_with(library))
}

/// Starts the log of this process. `recent` gets the last lines, always as JSON.
pub(crate) fn start(config: &LogConfig, recent: Option<&Recent>) {
    let filter =
        EnvFilter::try_new(&config.filter).unwrap_or_else(|_source| EnvFilter::new("info"));
    let log = tracing_subscriber::registry().with(filter).with(layers(config, recent));
    if log.try_init().is_err() {
        tracing::debug!("log already started");
    }
}

/// The outputs of the log with their formats.
fn layers<S>(config: &LogConfig, recent: Option<&Recent>) -> Vec<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let human = || fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colour);
    let json =
        || fmt::layer().with_writer(io::stderr).json().flatten_event(true).with_span_list(false);
    let mut layers = vec![match config.format {
        LogFormat::Human => human().with_filter(filter_fn(without_requests)).boxed(),
        LogFormat::Json => json().with_filter(filter_fn(without_requests)).boxed(),
    }];
    if let Some(recent) = recent.cloned() {
        let kept = fmt::layer().with_writer(recent).json().flatten_event(true);
        layers.push(kept.with_span_list(false).with_filter(filter_fn(without_requests)).boxed());
    }
    layers
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn recent_lines_are_json_with_spans_and_without_requests_of_libraries() {
        let (config, recent) = (LogConfig::default(), Recent::default());
        assert_eq!(config.format, LogFormat::Human, "stderr has another format");
        let log = tracing_subscriber::registry().with(layers(&config, Some(&recent)));
        tracing::subscriber::with_default(log, || {
            let _span = tracing::info_span!("agent", node = "node-1").entered();
            tracing::info!(address = "10.0.0.5", "operation started");
            tracing::debug!(target: "hyper::proto", "Authorization: hush");
            tracing::warn!(target: "hyper::proto", "Connection lost");
        });
        let text = recent.text();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |key: &str| lines.iter().map(|line| line[key].clone()).collect::<Vec<_>>();
        assert_eq!(of("message"), ["operation started", "Connection lost"]);
        assert_eq!(lines[0]["address"], "10.0.0.5");
        assert_eq!(lines[0]["span"]["node"], "node-1");
    }
}
