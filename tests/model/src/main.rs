//! The `firecamp-model` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_model::command()
}
