//! `firecamp-volume-histories`: runs and replays seeded histories of volumes.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_volume_histories::cli::main()
}
