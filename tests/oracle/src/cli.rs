//! The command line.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::record::{Crashes, Kind, crashes, histories};

/// Records what the code that decides does.
#[derive(Debug, Parser)]
#[command(name = "firecamp-oracle", after_help = EXITS)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0  done
  2  the command line is wrong, or what was recorded could not be written";

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
    /// Record every single crash of the enumeration, to stdout.
    Crashes {
        /// Also every pair that begins with a kill.
        #[arg(long)]
        pairs: bool,
        /// Of so many parts.
        #[arg(long, default_value_t = 1)]
        of: usize,
        /// Only the one with this number.
        #[arg(long, default_value_t = 0)]
        part: usize,
    },
}

/// Parses the command line and obeys it.
pub fn main() -> ExitCode {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, stdout().lock());
    let mut write = |lines: Vec<u8>| out.write_all(&lines);
    let done = match Args::parse().command {
        Command::Record { kind, seed, histories: count } => {
            histories(kind, seed, count, &mut write)
        }
        Command::Crashes { pairs, of, part } => crashes(Crashes { pairs, of, part }, &mut write),
    };
    match done.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever reads our output has gone away.
            drop(writeln!(stderr(), "firecamp-oracle: {error}"));
            ExitCode::from(2)
        }
    }
}
