//! Takes a member's static IP address off its node when its pod ends.

use std::process::ExitCode;

fn main() -> ExitCode {
    firecamp_stopcontainer::main()
}
