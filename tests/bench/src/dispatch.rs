//! From the command line to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use firecamp_apiserver::socket::forward;
use firecamp_core::contract::exit::Exit;

use crate::args::{Cli, Command, ForwardArguments, MountsArguments, ReportArguments};
use crate::failure::Failure;
use crate::{alone, boxed, page, plan, timed};

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A reader that has gone, as in `--help | head`, is no failure.
            error.print().ok();
            return ExitCode::from(code.code());
        }
    };
    let done = match cli.command {
        Command::Run(arguments) => plan::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Steady(arguments) => plan::steady(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Report(ReportArguments { check }) => page::run(check).map(|()| ExitCode::SUCCESS),
        Command::Inside(arguments) => boxed::inside(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Kernel(arguments) => alone::kernel(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Timed(arguments) => timed::run(&arguments),
        Command::Forward(ForwardArguments { port, socket }) => {
            let forwarded = forward(port, &socket).map_err(Failure::of("forward"));
            forwarded.map(|()| ExitCode::SUCCESS)
        }
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
    // If standard error is gone there is nobody left to tell.
    writeln!(std::io::stderr(), "firecamp-bench: error: {failure}").ok();
    ExitCode::from(Exit::Internal.code())
}
