//! The program name selects the container.

#![expect(clippy::unwrap_used, reason = "a test that cannot start the program has failed")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn called(name: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firecamp-containers"));
    command.arg0(name).arg("--version").output().unwrap()
}

#[test]
fn each_name_starts_its_container_from_any_directory() {
    for name in ["firecamp-agent", "firecamp-initcontainer", "firecamp-stopcontainer"] {
        for place in ["", "/", "/usr/bin/"] {
            let output = called(&format!("{place}{name}"));
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
            assert!(output.status.success());
        }
    }
}

#[test]
fn unknown_name_is_refused_with_the_valid_ones() {
    for name in ["", "firecamp-containers", "firecamp-agent.old"] {
        let output = called(name);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {text}");
        assert!(text.contains("firecamp-initcontainer"), "{text}");
        assert!(output.stdout.is_empty());
    }
}
