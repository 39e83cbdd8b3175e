//! Attaches the static IP address of a StatefulSet member to this node.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_initcontainer::main()
}
