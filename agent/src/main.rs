//! Keeps the static IP addresses of a node true: observe, plan, apply, tell.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_agent::main()
}
