//! Dispatches the command line and returns the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use firecamp_core::contract::exit::{CheckExit, Exit};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Cli, Command};
use crate::common::command_result::CheckResult;
use crate::failure::Failure;
use crate::{
    bundle, cleanup, doctor, explain, import, info, inject, node, service, status, task, uninstall,
    verify_ec2, wait,
};

/// The program name that kubectl looks for on the PATH.
const PLUGIN: &str = "kubectl-firecamp";

/// Parses the command line and runs the command. Exit codes are documented in `--help`.
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A closed pipe, as in `--help | head`, is not an error.
            error.print().ok();
            return ExitCode::from(code.code());
        }
    };
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let text = format!("firecamp: error: {}\n", failure.chain());
            // If standard error is closed, there is nowhere to report the failure.
            std::io::stderr().write_all(text.as_bytes()).ok();
            ExitCode::from(failure.exit().code())
        }
    }
}

/// kubectl starts `kubectl-firecamp` for `kubectl firecamp`: usage texts show the latter.
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
        Command::Status(arguments) => check(status::run(&arguments)),
        Command::Node(arguments) => check(node::run(&arguments)),
        Command::Explain(arguments) => check(explain::run(&arguments)),
        Command::Doctor(arguments) => check(doctor::run(&arguments)),
        Command::Wait(arguments) => runtime()?.block_on(wait::run(&arguments)),
        Command::SupportBundle(arguments) => check(bundle::run(&arguments)),
        Command::Inject(arguments) => inject::run(&arguments),
        Command::Cleanup(arguments) => runtime()?.block_on(cleanup::run(&arguments)),
        Command::Service(arguments) => runtime()?.block_on(service::run(&arguments)),
        Command::Task(arguments) => runtime()?.block_on(task::run(&arguments)),
        Command::Info(arguments) => runtime()?.block_on(info::run(&arguments)),
        Command::Import(arguments) => runtime()?.block_on(import::run(&arguments)),
        Command::Uninstall(arguments) => runtime()?.block_on(uninstall::run(&arguments)),
        Command::VerifyEc2(arguments) => runtime()?.block_on(verify_ec2::run(&arguments)),
    }
}

fn check(work: impl Future<Output = CheckResult>) -> Result<u8, Failure> {
    runtime()?.block_on(work).map(CheckExit::code)
}

fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Failure::process("start the runtime of", "this process", e))
}
