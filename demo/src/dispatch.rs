//! Dispatches the command line and returns the exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use firecamp_apiserver::socket::forward;
use firecamp_core::contract::exit::Exit;
use tokio::runtime::Builder;

use crate::args::{Cli, ForwardArguments, Part};
use crate::failure::Failure;
use crate::{member, run_inside_box, run_outside_box};

/// Parses the command line and runs the demo. Exit codes are documented in `--help`.
pub fn main() -> ExitCode {
    main_of(std::env::args_os())
}

/// The same with other arguments, including the program name, for programs that embed the programs
/// of the demo.
pub fn main_of(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // A closed pipe, as in `--help | head`, is not an error.
            error.print().ok();
            return ExitCode::from(code.code());
        }
    };
    match act(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let text = format!("firecamp-demo: error: {}\n", failure.chain());
            // If standard error is closed, there is nowhere to report the failure.
            std::io::stderr().write_all(text.as_bytes()).ok();
            ExitCode::from(failure.exit().code())
        }
    }
}

fn act(cli: &Cli) -> Result<u8, Failure> {
    match &cli.part {
        None => run_outside_box::run(&cli.demo),
        Some(Part::DemoInside(arguments)) => run_inside_box::run(arguments),
        Some(Part::MemberServer(arguments)) => block_on(member::server::run(arguments)),
        Some(Part::MemberClient(arguments)) => block_on(member::client::run(arguments)),
        Some(Part::Forward(ForwardArguments { port, socket })) => forward(*port, socket)
            .map(|()| Exit::Success.code())
            .map_err(|e| Failure::process("forward to", socket.display().to_string(), e)),
        Some(Part::MemberStart(arguments)) => Err(member::record_start_time::run(arguments)),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<u8, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(|e| Failure::process("start the runtime of", "this process", e))?;
    runtime.block_on(work)?;
    Ok(Exit::Success.code())
}
