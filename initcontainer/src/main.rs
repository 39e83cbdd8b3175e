//! Gives a StatefulSet member its static IP address, and ends when the address works.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_initcontainer::main()
}
