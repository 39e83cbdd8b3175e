//! What is told, and how.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use firecamp_core::contract::{env, path};
use tracing_subscriber::EnvFilter;

use crate::fault::{Faults, Setting, escaped};
use crate::flags::LogFlags;
use crate::parse::{self, InvalidSetting, invalid};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What is told, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of the log.
    pub format: LogFormat,
    /// What is logged, as `tracing` directives.
    pub filter: String,
    /// The file for the last words.
    pub termination_log: PathBuf,
    /// Whether that file is made if it does not exist.
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
    /// Reads as much as is right, so that even a refusal is told in the wanted form and place.
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
            // An empty RUST_LOG is how shells say "no RUST_LOG".
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
        _ => Err(invalid("a form of the log", "human or json", text)),
    }
}

fn filter(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        let expected = "error, warn, info, debug, trace or a filter such as \
                        info,firecamp_engine=debug";
        format!("{} is not a log level: expected {expected}{why}", escaped(text))
    };
    // A lone word that is no level would be taken for the name of a target.
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
    fn our_variable_wins_over_rust_log() {
        let flags = LogFlags { log_level: Some("debug".into()), ..LogFlags::default() };
        assert_eq!(parse(&flags, Some("trace")).0.filter, "debug");
        assert_eq!(parse(&LogFlags::default(), Some("warn,a=trace")).0.filter, "warn,a=trace");
        assert_eq!(parse(&LogFlags::default(), Some("")).0.filter, "info");
    }

    #[test]
    fn what_is_no_level_is_a_fault_that_names_the_variable() {
        for text in ["loud", "info,=", "a=b=c", "info,firecamp=loud"] {
            let (_, faults) = parse(&LogFlags::default(), Some(text));
            let list = faults.list();
            assert!(list.len() == 1 && list[0].contains("RUST_LOG"), "{text}: {list:?}");
        }
    }

    #[test]
    fn only_another_file_than_the_default_is_created() {
        assert!(!parse(&LogFlags::default(), None).0.create);
        let flags = LogFlags { termination_log: Some("/tmp/x".into()), ..LogFlags::default() };
        assert!(parse(&flags, None).0.create);
    }
}
