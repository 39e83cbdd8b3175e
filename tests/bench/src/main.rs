//! The benchmark's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_bench::main()
}
