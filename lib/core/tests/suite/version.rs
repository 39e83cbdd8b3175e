//! The version that a process passes for: it stays so, and no other test here asks for it.

use firecamp_core::contract::protocol::{Program, Protocol, VERSION};

fn of(current: u32, version: &str) -> Program {
    let protocol = Protocol { current, oldest: current - 1 };
    Program { protocol, version: version.to_owned() }
}

#[test]
fn a_process_passes_for_the_first_other_version_that_it_is_told_to_be() {
    let ours = Program { protocol: Protocol::OURS, version: VERSION.to_owned() };
    assert_eq!(Program::this(), ours);
    Program::pass_for(of(9, "9.0.0"));
    Program::pass_for(of(8, "8.0.0"));
    assert_eq!(Program::this(), of(9, "9.0.0"));
}
