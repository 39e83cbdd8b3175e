//! Parses the command line and runs the command.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use firecamp_core::contract::exit::Exit;

use crate::args::{Cli, Command, MountsArguments, ReportArguments};
use crate::failure::Failure;
use crate::{boxed, netlink, page, plan, scale, timed};

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A closed pipe, as in `--help | head`, is not a failure.
            error.print().ok();
            return ExitCode::from(code.code());
        }
    };
    let done = match cli.command {
        Command::Run(arguments) => plan::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Steady(arguments) => plan::steady(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Scale(arguments) => scale::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Report(ReportArguments { check }) => page::run(check).map(|()| ExitCode::SUCCESS),
        Command::Inside(arguments) => boxed::inside(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Kernel(arguments) => netlink::kernel(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Timed(arguments) => timed::run(&arguments),
        Command::Mounts(MountsArguments { volumes }) => {
            boxed::mounts::make(volumes).map(|()| ExitCode::SUCCESS)
        }
        Command::Firecamp(passed) => {
            let name = std::iter::once("firecamp-demo".into());
            Ok(firecamp_demo::main_of(name.chain(passed.arguments)))
        }
    };
    done.unwrap_or_else(|failure| reported(&failure))
}

fn reported(failure: &Failure) -> ExitCode {
    // Nothing can be reported if standard error is closed.
    writeln!(std::io::stderr(), "firecamp-bench: error: {failure}").ok();
    ExitCode::from(Exit::Internal.code())
}
