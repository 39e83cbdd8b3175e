//! The command line of `firecamp`: rejected arguments, exit codes and messages.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

use std::process::{Command, Output};

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firecamp"));
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_version_is_printed() {
    let (code, version, _) = output(&["--version"]);
    assert_eq!((code, version.trim()), (Some(0), concat!("firecamp ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn an_unknown_command_is_a_usage_error_that_names_it() {
    for unknown in ["show", "demo", "member-server"] {
        let (code, stdout, stderr) = output(&[unknown]);
        assert_eq!(code, Some(2), "{unknown}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(unknown), "{unknown}: {stderr}");
    }
}
