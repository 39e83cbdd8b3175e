//! The agent: maintains the static IP addresses of a node.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_agent::main()
}
