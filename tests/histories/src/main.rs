//! `firecamp-histories`: runs, replays and shrinks seeded histories.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_histories::cli::main()
}
