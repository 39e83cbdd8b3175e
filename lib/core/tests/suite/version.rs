//! The version override of a process: it is global, so no other test of this binary reads it.

use firecamp_core::contract::protocol::{Program, Protocol, VERSION};

fn of(current: u32, version: &str) -> Program {
    let protocol = Protocol { current, oldest: current - 1 };
    Program { protocol, version: version.to_owned() }
}

#[test]
fn only_the_first_version_override_of_a_process_takes_effect() {
    let ours = Program { protocol: Protocol::OURS, version: VERSION.to_owned() };
    assert_eq!(Program::this(), ours);
    Program::override_this(of(9, "9.0.0"));
    Program::override_this(of(8, "8.0.0"));
    assert_eq!(Program::this(), of(9, "9.0.0"));
}
