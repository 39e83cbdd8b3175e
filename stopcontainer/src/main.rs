//! The stop container: releases the member's static IP address when its pod ends.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_stopcontainer::main()
}
