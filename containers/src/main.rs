//! The three containers in one binary, selected by the name of the program. They share most of
//! their code, so a node pulls and stores it once, and the agent has already loaded the file into
//! the page cache when a member starts.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use firecamp_core::contract::exit::Exit;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    match name.to_str() {
        Some("firecamp-agent") => firecamp_agent::main(),
        Some("firecamp-initcontainer") => firecamp_initcontainer::main(),
        Some("firecamp-stopcontainer") => firecamp_stopcontainer::main(),
        Some(_) | None => unknown(&called.to_string_lossy()),
    }
}

fn unknown(name: &str) -> ExitCode {
    let reported = writeln!(
        io::stderr(),
        "unknown program name {name:?}; use firecamp-agent, firecamp-initcontainer or \
         firecamp-stopcontainer"
    );
    // Ignore a closed stderr.
    reported.ok();
    ExitCode::from(Exit::Usage.code())
}
