//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Plants deliberate bugs in the protocol and sees that the proofs find them.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bugs", version, after_help = EXITS)]
pub struct Command {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

const EXITS: &str =
    "Exit codes: 0 found as expected; 1 not found, or not as expected; 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub enum What {
    /// Prints the bugs.
    List,
    /// Hunts the bug that `FIRECAMP_BUG` names, in this process; prints what was found as JSON.
    Hunt {
        /// By what: `histories`, `sweeps`, `volumes`, or `model:CONFIGURATION`.
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
