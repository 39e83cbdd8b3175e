//! The command line.

use std::io::{self, Write as _, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::record::{Kind, histories};
use crate::renames::Renames;
use crate::replay::Replay;

/// Records what the decision code does, and replays it against later code.
#[derive(Debug, Parser)]
#[command(name = "firecamp-oracle", after_help = EXITS)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0  recorded; or every effect was the recorded one
  1  an effect was different
  2  invalid command line, rename table or recording, or the output was closed
  3  nothing was compared";

#[derive(Debug, Subcommand)]
enum Command {
    /// Record histories of seeds in a row, to stdout.
    Record {
        /// Which histories.
        kind: Kind,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        histories: u64,
    },
    /// Replay a recording from stdin against this code.
    Replay {
        /// The rename table: an old name, a tab and the new name on each line.
        #[arg(long)]
        renames: Option<PathBuf>,
        /// Print at most so many differences.
        #[arg(long, default_value_t = 10)]
        show: usize,
        /// Print progress on stderr after every so many histories.
        #[arg(long, default_value_t = 0)]
        report: u64,
    },
}

/// Parses the command line and obeys it.
pub fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Record { kind, seed, histories: count } => {
            recorded(|sink| histories(kind, seed, count, sink))
        }
        Command::Replay { renames, show, report } => replayed(renames.as_deref(), show, report),
    };
    done.unwrap_or_else(|error| {
        // The reader of stdout may have exited.
        drop(writeln!(stderr(), "firecamp-oracle: {error}"));
        ExitCode::from(2)
    })
}

fn recorded(
    record: impl FnOnce(&mut crate::record::Sink<'_>) -> io::Result<()>,
) -> io::Result<ExitCode> {
    let mut out = io::BufWriter::with_capacity(1 << 20, stdout().lock());
    record(&mut |lines| out.write_all(&lines))?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn replayed(renames: Option<&Path>, show: usize, report: u64) -> io::Result<ExitCode> {
    let table = renames.map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let renames = Renames::parse(&table).map_err(io::Error::other)?;
    let mut replay = Replay::new(&renames, show);
    let from = io::BufReader::with_capacity(1 << 20, stdin().lock());
    replay.lines(from, |so_far| {
        if report > 0 && so_far.histories > 0 && so_far.histories.is_multiple_of(report) {
            drop(writeln!(stderr(), "{so_far}"));
        }
    })?;
    let summary = replay.summary;
    let mut out = stdout().lock();
    for difference in &summary.differences {
        writeln!(out, "{difference}")?;
    }
    writeln!(out, "{summary}")?;
    Ok(match (summary.different, summary.compared) {
        (1.., _) => ExitCode::FAILURE,
        (0, 0) => ExitCode::from(3),
        (0, _) => ExitCode::SUCCESS,
    })
}
