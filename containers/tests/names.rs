//! The program is the container by whose name it is started.

#![expect(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn called(name: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firecamp-containers"));
    command.arg0(name).arg("--version").output().unwrap()
}

#[test]
fn each_name_starts_its_own_container_wherever_it_is() {
    for name in ["firecamp-agent", "firecamp-initcontainer", "firecamp-stopcontainer"] {
        for place in ["", "/", "/usr/bin/"] {
            let output = called(&format!("{place}{name}"));
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
            assert!(output.status.success());
        }
    }
}

#[test]
fn by_another_name_it_does_nothing_and_says_which_there_are() {
    for name in ["", "firecamp-containers", "firecamp-agent.old"] {
        let output = called(name);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {said}");
        assert!(said.contains("firecamp-initcontainer"), "{said}");
        assert!(output.stdout.is_empty());
    }
}
