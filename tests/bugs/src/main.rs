//! `firecamp-bugs`: builds each deliberate bug in a copy of the tree and verifies that the model or
//! the histories find it by a named invariant, not by a panic.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod command;
mod copy;
mod hunt;
mod page;
mod search;

use std::process::ExitCode;

use clap::Parser as _;

use command::{Command, What};

/// Why nothing was hunted.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let done = match Command::parse().what {
        What::Search { by } => search::run(&by).map_err(Failure::from).map(|found| {
            println!("{}", serde_json::json!(found));
            true
        }),
        What::Hunt(args) => hunt::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprint!("firecamp-bugs: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
