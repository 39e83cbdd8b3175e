//! `firecamp-bugs`: plants each deliberate bug in a process of its own and verifies that the model
//! or the histories find it by a named invariant, not by a panic.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod command;
mod expect;
mod hunt;
mod page;

use std::process::ExitCode;

use clap::Parser as _;
use firecamp_core::bug::Bug;

use command::{Command, What};

fn main() -> ExitCode {
    match Command::parse().what {
        What::List => {
            for bug in Bug::ALL {
                println!("{bug}");
            }
            ExitCode::SUCCESS
        }
        What::Hunt { by } => match hunt::in_this_process(&by) {
            Ok(found) => {
                println!("{}", serde_json::json!(found));
                ExitCode::SUCCESS
            }
            Err(text) => {
                eprintln!("firecamp-bugs: {text}");
                ExitCode::from(2)
            }
        },
        What::All { expect, page, bless, bug, jobs } => {
            match page::run(&expect, &page, bless, bug.as_deref(), jobs) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    eprintln!("firecamp-bugs: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
