//! `firecamp-wire-histories`: runs, replays and shrinks seeded histories on the wire.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_histories::cli::main(&firecamp_histories::wire::WIRE)
}
