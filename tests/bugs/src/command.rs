//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Breaks rules of the protocol in a copy of the tree and verifies that the tests notice.
#[derive(Debug, Parser)]
#[command(name = "firecamp-bugs", version, after_help = EXITS)]
pub(crate) struct Command {
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) what: What,
}

const EXITS: &str = "Exit codes: 0 every bug was found as expected; 1 one was not, or the hunt failed; \
2 usage error.";

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Search in this process; print the result as JSON.
    Search {
        /// Search with `histories`, `endpoint`, `sweeps`, `volumes`, or `model:CONFIGURATION`.
        by: String,
    },
    /// Apply one bug at a time to a copy of the tree, build it, and search there.
    Hunt(Hunt),
}

/// What to hunt. Must run at the root of a checkout; needs git.
#[derive(Debug, Args)]
pub(crate) struct Hunt {
    /// These bugs only; otherwise all.
    pub(crate) bugs: Vec<String>,
    /// This many bugs, chosen by the commit that is checked out.
    #[arg(long, conflicts_with = "bugs")]
    pub(crate) sample: Option<usize>,
    /// Write the page instead of comparing it.
    #[arg(long, conflicts_with_all = ["bugs", "sample"])]
    pub(crate) bless: bool,
    /// The directory with the patches and the expectations.
    #[arg(long, default_value = "tests/bugs")]
    pub(crate) from: PathBuf,
    /// The page of results.
    #[arg(long, default_value = "docs/proof/deliberate-bugs.md")]
    pub(crate) page: PathBuf,
    /// The directory for the copy and its build.
    #[arg(long, default_value = "target/bugs")]
    pub(crate) dir: PathBuf,
}
