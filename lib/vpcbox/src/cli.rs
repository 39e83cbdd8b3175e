//! The command line: parsing, dispatch, and error output.

mod arguments;
mod doctor;
mod enter;
mod fields;
mod print;
mod probe;
mod query;
mod spec;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::{Failure, exit};
use crate::{first_process, node_namespaces, pod, run_command};
use arguments::{Cli, Command, Hidden};

/// Parses the command line, runs the command, and exits as documented in `--help`.
pub fn main() -> ExitCode {
    start_log();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let Some(hidden) = Hidden::of(&words) {
        return conclude(run_hidden(hidden));
    }
    // Without `--`, `exec NODE CMD` would consume flags of CMD; clap reports that itself.
    let cli = match Cli::try_parse_from(words.drain(..)) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_closed) => ExitCode::from(exit::BOX),
            };
        }
    };
    conclude(run(cli.command))
}

fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(arguments) => enter::run(&arguments),
        Command::Exec(arguments) => enter::exec(&arguments),
        Command::Pod(arguments) => pod::hold(&arguments.name, arguments.address),
        Command::Attach(arguments) => run_command::attach(arguments.outer, &arguments.command),
        Command::Truth(arguments) => query::truth(&arguments),
        Command::Calls(arguments) => query::calls(&arguments),
        Command::Router(arguments) => query::router(&arguments),
        Command::Fault(arguments) => query::fault(arguments.command),
        Command::Act(arguments) => query::act(&arguments),
        Command::Wait(arguments) => query::wait(&arguments),
        Command::Probe(arguments) => probe::run(arguments.command),
        Command::Spec => print::out(spec::EXAMPLE).map(|()| 0),
        Command::Doctor(arguments) => doctor::run(&arguments),
    }
}

fn run_hidden(hidden: Hidden) -> Result<u8, Failure> {
    match hidden {
        Hidden::Init { pipe } => first_process::run(pipe),
        Hidden::Holder { name } => node_namespaces::hold(&name),
        Hidden::Guest { command } => enter::guest(&command),
        Hidden::Probe { step } => doctor::probe(&step),
    }
}

fn conclude(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let text =
                format!("vpcbox: error: {}\nvpcbox: next: {}\n", failure.chain(), failure.next());
            // If standard error is closed, the message cannot be delivered.
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::from(failure.code())
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VPCBOX_LOG")
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only if a logger is already installed, which is fine.
    drop(log.try_init());
}
