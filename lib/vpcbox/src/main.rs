//! The `vpcbox` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    vpcbox::cli::main()
}
