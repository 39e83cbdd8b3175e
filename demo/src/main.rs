//! The demo.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_demo::main()
}
