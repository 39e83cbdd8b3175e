//! `firecamp-bugs`: plants each deliberate bug in a process of its own and sees that the model or
//! the histories find it, by a named audit and not by a panic.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod expect;
mod hunt;
mod page;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use firecamp_core::bug::Bug;

/// Plants deliberate bugs in the protocol and sees that the proofs find them.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bugs", version, after_help = EXITS)]
struct Command {
    #[command(subcommand)]
    what: What,
}

const EXITS: &str =
    "Exit codes: 0 found as expected; 1 not found, or not as expected; 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum What {
    /// Prints the bugs.
    List,
    /// Hunts the bug that `FIRECAMP_BUG` names, in this process; prints what was found as JSON.
    Hunt {
        /// By what: `histories`, or `model:CONFIGURATION`.
        by: String,
    },
    /// Hunts all bugs as the expectations say, one process each.
    All {
        /// The expectations.
        #[arg(long, default_value = "tests/bugs/hunts.toml")]
        expect: PathBuf,
        /// The page of results.
        #[arg(long, default_value = "docs/deliberate-bugs.md")]
        page: PathBuf,
        /// Write the page instead of comparing it.
        #[arg(long)]
        bless: bool,
        /// Hunt only this bug, and leave the page alone.
        #[arg(long)]
        bug: Option<String>,
        /// Processes at a time.
        #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, Into::into))]
        jobs: usize,
    },
}

fn main() -> ExitCode {
    match Command::parse().what {
        What::List => {
            for bug in Bug::ALL {
                println!("{bug}");
            }
            ExitCode::SUCCESS
        }
        What::Hunt { by } => match hunt::here(&by) {
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
