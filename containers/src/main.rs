//! The three containers as one program: it is the one by whose name it is started. What they are
//! made of is nearly the same, so a node pulls and keeps it once, and what the agent has read of
//! the file is in memory when a member starts.

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
    let told = writeln!(
        io::stderr(),
        "{name:?}: start it as firecamp-agent, firecamp-initcontainer or firecamp-stopcontainer"
    );
    // Nobody is left to tell if stderr is closed.
    told.ok();
    ExitCode::from(Exit::Usage.code())
}
