//! `firecamp-oracle`: records what the code that decides does.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_oracle::cli::main()
}
