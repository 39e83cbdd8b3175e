//! Parses command line and environment into a configuration, or exits early.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use firecamp_core::contract::env;
use firecamp_core::contract::exit::Exit;
use tokio::runtime::{Builder, Runtime};

use crate::config::{
    AgentConfig, Identity, InitConfig, InitSettings, LogConfig, LogFormat, StopConfig, StopSettings,
};
use crate::config_errors::{Faults, escaped};
use crate::flags::{AgentFlags, InitFlags, LogFlags, StopFlags};
use crate::go_flags::{Arguments, compatible};
use crate::parse;
use crate::pod_identity::Surroundings;
use crate::process::{Started, end_at_panic};
use crate::recent_log::Recent;
use crate::report::Report;
use crate::signals::Listener;
use crate::telemetry;

/// Starts the init container. An `Err` is the exit code after help, version, TESTMODE or an invalid
/// configuration.
pub fn init() -> Result<Started<InitSettings>, ExitCode> {
    if testmode() {
        note("TESTMODE is true: nothing to do");
        return Err(ExitCode::SUCCESS);
    }
    begin(|flags: &InitFlags| &flags.log, InitSettings::parse, InitSettings::identity, None)
}

/// Starts the stop container. An `Err` is the exit code of an early exit.
pub fn stop() -> Result<Started<StopSettings>, ExitCode> {
    if testmode() {
        if !std::env::args_os().any(|argument| argument == "release") {
            let (runtime, listener) = listening()?;
            note("TESTMODE is true: waiting for SIGTERM");
            let signals = crate::signals::Signals::default();
            runtime.block_on(async {
                let first = crate::signals::FirstSignal::Ends;
                tokio::spawn(listener.forward(first, signals.clone()));
                signals.end.cancelled().await;
            });
        }
        note("TESTMODE is true: nothing to do");
        return Err(ExitCode::SUCCESS);
    }
    begin(|flags: &StopFlags| &flags.log, StopSettings::parse, StopSettings::identity, None)
}

/// Starts the agent. Also returns the last lines of its log. An `Err` is the exit code of an early
/// exit.
pub fn agent() -> Result<(Started<AgentConfig>, Recent), ExitCode> {
    let recent = Recent::default();
    let kept = Some(&recent);
    let started = begin(|flags: &AgentFlags| &flags.log, AgentConfig::parse, |_| None, kept)?;
    Ok((started, recent))
}

/// An invalid boolean counts as false, as in the original.
fn testmode() -> bool {
    let value = std::env::var_os(env::TESTMODE);
    value.and_then(|value| parse::boolean(value.to_str()?).ok()).unwrap_or(false)
}

fn note(text: &str) {
    // If stderr is closed, there is nowhere to report the failure.
    writeln!(io::stderr(), "{text}").ok();
}

fn listening() -> Result<(Runtime, Listener), ExitCode> {
    let started = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        let entered = runtime.enter();
        let listener = Listener::start()?;
        drop(entered);
        Ok((runtime, listener))
    });
    started.map_err(|source| {
        let message = format!("failed to start the runtime: {source}");
        Report::new(Exit::Internal, message).finish(&LogConfig::default(), None, None)
    })
}

fn begin<F: Parser + CommandFactory, C>(
    log_flags: fn(&F) -> &LogFlags,
    parse: fn(&F, &Surroundings, Faults) -> Result<C, Faults>,
    identity: fn(&C) -> Option<&Identity>,
    recent: Option<&Recent>,
) -> Result<Started<C>, ExitCode> {
    let (runtime, listener) = listening()?;
    let (flags, ignored) = flags::<F>(std::env::args_os()).map_err(|error| not_flags(&error))?;
    let mut faults = Faults::default();
    let rust_log = std::env::var_os(env::RUST_LOG);
    let log = LogConfig::parse(log_flags(&flags), rust_log.as_ref(), &mut faults);
    telemetry::start(&log, recent);
    end_at_panic(&log, None);
    #[cfg(debug_assertions)]
    crate::version::from_environment(&mut faults);
    for flag in ignored {
        tracing::debug!(flag, "glog flag ignored");
    }
    let config = parse(&flags, &Surroundings::read(), faults);
    let config = config.map_err(|faults| refuse(faults.list(), &log))?;
    let identity = identity(&config).cloned();
    end_at_panic(&log, identity.as_ref());
    Ok(Started { config, identity, log, runtime, listener })
}

/// The flags from the command line and the variables of this process, and the ignored glog flags.
fn flags<F: Parser + CommandFactory>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(F, Vec<&'static str>), clap::Error> {
    let Arguments { kept, ignored } = compatible(arguments, &F::command());
    Ok((F::try_parse_from(kept)?, ignored))
}

/// Parses a command line of the init container, including the program's name, into its
/// configuration in direct mode or all errors. A missing flag has the value of its variable in this
/// process.
pub fn init_config(
    arguments: impl IntoIterator<Item = OsString>,
    around: &Surroundings,
) -> Result<(InitConfig, LogConfig), Vec<String>> {
    config(arguments, around, |flags: &InitFlags| &flags.log, InitConfig::parse)
}

/// The same for the stop container.
pub fn stop_config(
    arguments: impl IntoIterator<Item = OsString>,
    around: &Surroundings,
) -> Result<(StopConfig, LogConfig), Vec<String>> {
    config(arguments, around, |flags: &StopFlags| &flags.log, StopConfig::parse)
}

fn config<F: Parser + CommandFactory, C>(
    arguments: impl IntoIterator<Item = OsString>,
    around: &Surroundings,
    log_flags: fn(&F) -> &LogFlags,
    parse: fn(&F, &Surroundings, Faults) -> Result<C, Faults>,
) -> Result<(C, LogConfig), Vec<String>> {
    let (flags, _ignored) = flags::<F>(arguments).map_err(|error| vec![explain(&error)])?;
    let mut faults = Faults::default();
    let log = LogConfig::parse(log_flags(&flags), None, &mut faults);
    let config = parse(&flags, around, faults).map_err(|faults| faults.list().to_vec())?;
    Ok((config, log))
}

/// Prints help and version. Any other error gets FireCamp's own text, because clap prints untrusted
/// text without escaping.
fn not_flags(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe, as in `--help | head`, is not an error.
        error.print().ok();
        return ExitCode::SUCCESS;
    }
    let mut log = LogConfig::default();
    if let Some(file) = std::env::var_os(env::TERMINATION_LOG) {
        log = early_log(file);
    }
    refuse(&[explain(error)], &log)
}

fn early_log(file: OsString) -> LogConfig {
    let flags = LogFlags { termination_log: Some(file), ..LogFlags::default() };
    LogConfig::parse(&flags, None, &mut Faults::default())
}

fn explain(error: &clap::Error) -> String {
    let kind = error.kind().as_str().unwrap_or("invalid command line");
    let wrong =
        [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue];
    let wrong: Vec<String> = wrong.iter().filter_map(|kind| context(error, *kind)).collect();
    let suggestion = context(error, ContextKind::SuggestedArg)
        .or_else(|| context(error, ContextKind::SuggestedSubcommand));
    let suggestion = suggestion.map(|text| format!("; did you mean {text}?")).unwrap_or_default();
    format!("{kind}: {}{suggestion}; see --help", wrong.join(", "))
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let value = error.get(kind)?;
    if let ContextValue::String(text) = value {
        return Some(escaped(text));
    }
    let ContextValue::Strings(texts) = value else { return None };
    Some(texts.iter().map(|text| escaped(text)).collect::<Vec<_>>().join(", "))
}

fn refuse(faults: &[String], log: &LogConfig) -> ExitCode {
    if log.format == LogFormat::Human {
        let count = faults.len();
        let plural = if count == 1 { "error" } else { "errors" };
        note(&format!("error: {count} {plural} in the configuration"));
        for fault in faults {
            note(&format!("  - {}", fault.replace('\n', "\n    ")));
        }
    }
    Report::new(Exit::Usage, faults.join("; ")).finish(log, None, None)
}
