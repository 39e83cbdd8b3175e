//! The configuration of log and termination message.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use firecamp_core::contract::{env, path};
use tracing_subscriber::EnvFilter;

use crate::config_errors::{Faults, Setting, escaped};
use crate::flags::LogFlags;
use crate::parse::{self, InvalidSetting, invalid};

/// The log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// The configuration of log and termination message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The log format.
    pub format: LogFormat,
    /// The filter, as `tracing` directives.
    pub filter: String,
    /// The file for the termination message.
    pub termination_log: PathBuf,
    /// Whether to create that file if it does not exist.
    pub create: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info".to_owned(),
            termination_log: path::TERMINATION_LOG.into(),
            create: false,
        }
    }
}

impl LogConfig {
    /// Parses every valid setting, so that errors too are reported in the configured format and
    /// file.
    pub(crate) fn parse(
        flags: &LogFlags,
        rust_log: Option<&OsString>,
        faults: &mut Faults,
    ) -> Self {
        let default = Self::default();
        let level = Setting::new("log-level", env::LOG_LEVEL, flags.log_level.as_ref());
        let filter = if level.given() {
            faults.optional(level, filter)
        } else {
            let variable = Setting::new("log-level", env::RUST_LOG, rust_log);
            // An empty RUST_LOG counts as unset.
            let set = rust_log.is_some_and(|value| !value.is_empty());
            set.then(|| faults.optional(variable, filter)).flatten()
        };
        let format = Setting::new("log-format", env::LOG_FORMAT, flags.log_format.as_ref());
        let file =
            Setting::new("termination-log", env::TERMINATION_LOG, flags.termination_log.as_ref());
        let file = faults.optional(file, parse::absolute_path);
        let termination_log = file.unwrap_or(default.termination_log);
        Self {
            format: faults.optional(format, log_format).unwrap_or_default(),
            filter: filter.unwrap_or(default.filter),
            create: termination_log != Path::new(path::TERMINATION_LOG),
            termination_log,
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, InvalidSetting> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err(invalid("a log format", "human or json", text)),
    }
}

fn filter(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        let expected = "error, warn, info, debug, trace or a filter such as \
                        info,firecamp_engine=debug";
        format!("{} is not a log level: expected {expected}{why}", escaped(text))
    };
    // `tracing` would parse any other single word as the name of a target.
    let lone = !text.contains(['=', ',']);
    let level = matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    if lone && !level {
        return Err(wrong(""));
    }
    EnvFilter::try_new(text)
        .map_err(|source| wrong(&format!(" ({})", escaped(&source.to_string()))))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &LogFlags, rust_log: Option<&str>) -> (LogConfig, Faults) {
        let mut faults = Faults::default();
        let rust_log = rust_log.map(OsString::from);
        let config = LogConfig::parse(flags, rust_log.as_ref(), &mut faults);
        (config, faults)
    }

    #[test]
    fn firecamp_variable_overrides_rust_log() {
        let flags = LogFlags { log_level: Some("debug".into()), ..LogFlags::default() };
        assert_eq!(parse(&flags, Some("trace")).0.filter, "debug");
        assert_eq!(parse(&LogFlags::default(), Some("warn,a=trace")).0.filter, "warn,a=trace");
        assert_eq!(parse(&LogFlags::default(), Some("")).0.filter, "info");
    }

    #[test]
    fn an_invalid_level_is_an_error_that_names_the_variable() {
        for text in ["loud", "info,=", "a=b=c", "info,firecamp=loud"] {
            let (_, faults) = parse(&LogFlags::default(), Some(text));
            let list = faults.list();
            assert!(list.len() == 1 && list[0].contains("RUST_LOG"), "{text}: {list:?}");
        }
    }

    #[test]
    fn only_a_file_other_than_the_default_is_created() {
        assert!(!parse(&LogFlags::default(), None).0.create);
        let flags = LogFlags { termination_log: Some("/tmp/x".into()), ..LogFlags::default() };
        assert!(parse(&flags, None).0.create);
    }
}
