//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Plants deliberate bugs in the protocol and verifies that the tests find them.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bugs", version, after_help = EXITS)]
pub struct Command {
    /// The subcommand.
    #[command(subcommand)]
    pub what: What,
}

const EXITS: &str = "Exit codes: 0 every bug was found as expected; 1 one was not; 2 usage error.";

#[derive(Debug, Subcommand)]
pub enum What {
    /// Print the bugs.
    List,
    /// Search for the bug that `FIRECAMP_BUG` names, in this process; print the result as JSON.
    Hunt {
        /// Search with `histories`, `sweeps`, `volumes`, or `model:CONFIGURATION`.
        by: String,
    },
    /// Search for all bugs in the expectations, one process each.
    All {
        /// The expectations.
        #[arg(long, default_value = "tests/bugs/hunts.toml")]
        expect: PathBuf,
        /// The page of results.
        #[arg(long, default_value = "docs/proof/deliberate-bugs.md")]
        page: PathBuf,
        /// Write the page instead of comparing it.
        #[arg(long)]
        bless: bool,
        /// Search for this bug only, without the page.
        #[arg(long)]
        bug: Option<String>,
        /// Number of concurrent processes.
        #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, Into::into))]
        jobs: usize,
    },
}
