//! `firecamp-oracle`: records what the decision code does, and replays it against later code.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_oracle::cli::main()
}
