//! `firecamp-volume-histories`: runs and replays seeded histories of volumes.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_histories::volumes::cli::main()
}
