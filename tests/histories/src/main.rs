//! `firecamp-histories`: runs, replays and shrinks seeded histories.

use std::process::ExitCode;

fn main() -> ExitCode {
    let program = firecamp_histories::cli::MODEL;
    firecamp_histories::cli::main(&program)
}
