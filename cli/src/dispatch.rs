//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use firecamp_core::contract::exit::{Exit, Look};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::look::outcome::Ended;
use crate::{bundle, cleanup, doctor, explain, import, node, status, wait};

/// The program that kubectl looks for on the PATH.
const PLUGIN: &str = "kubectl-firecamp";

/// Parses the command line and does what it says. Ends as documented in `--help`.
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A reader that has gone, as in `--help | head`, is no failure.
            error.print().ok();
            return ExitCode::from(code.code());
        }
    };
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let text = format!("firecamp: error: {}\n", failure.chain());
            // If standard error is gone there is nobody left to tell.
            std::io::stderr().write_all(text.as_bytes()).ok();
            ExitCode::from(failure.exit().code())
        }
    }
}

/// kubectl starts `kubectl-firecamp` for `kubectl firecamp`, so that is its name to people.
fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let program = arguments.first().map(Path::new).and_then(Path::file_stem);
    let mut command = Cli::command();
    if program.is_some_and(|name| name == PLUGIN) {
        command = command.bin_name(PLUGIN.replace('-', " "));
    }
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Status(arguments) => look(status::run(&arguments)),
        Command::Node(arguments) => look(node::run(&arguments)),
        Command::Explain(arguments) => look(explain::run(&arguments)),
        Command::Doctor(arguments) => look(doctor::run(&arguments)),
        Command::Wait(arguments) => runtime()?.block_on(wait::run(&arguments)),
        Command::SupportBundle(arguments) => look(bundle::run(&arguments)),
        Command::Cleanup(arguments) => runtime()?.block_on(cleanup::run(&arguments)),
        Command::Import(arguments) => runtime()?.block_on(import::run(&arguments)),
    }
}

fn look(work: impl Future<Output = Ended>) -> Result<u8, Failure> {
    runtime()?.block_on(work).map(Look::code)
}

fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Failure::process("start the runtime of", "this process", e))
}
