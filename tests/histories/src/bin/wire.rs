//! `firecamp-wire-histories`: runs, replays and shrinks seeded histories at wire level.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_histories::cli::main(&firecamp_histories::wire::WIRE)
}
