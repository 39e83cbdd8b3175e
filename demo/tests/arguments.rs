//! The command line of the demo: rejected arguments, exit codes and messages.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

use std::path::Path;
use std::process::{Command, Output};

const FIRECAMP: &str = env!("CARGO_BIN_EXE_firecamp-demo");

fn firecamp(arguments: &[&str]) -> Command {
    let mut command = Command::new(FIRECAMP);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("FIRECAMP_") {
            command.env_remove(key);
        }
    }
    command.args(arguments);
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_and_version_succeed_and_name_every_flag_and_exit_code() {
    let (code, help, _) = output(&mut firecamp(&["--help"]));
    assert_eq!(code, Some(0));
    let flags = [
        "--profile",
        "--seed",
        "--json",
        "--report",
        "--release",
        "--keep",
        "--no-color",
        "--replay",
    ];
    for flag in flags {
        assert!(help.contains(flag), "{flag} is not in:\n{help}");
        let variable = flag.trim_start_matches('-').replace('-', "_").to_uppercase();
        assert!(
            help.contains(&format!("FIRECAMP_DEMO_{variable}")),
            "{flag} has no variable in:\n{help}"
        );
    }
    for exit in ["\n  0 ", "\n  2 ", "\n  18 ", "\n  19 ", "\n  70 ", "\n  125 "] {
        assert!(help.contains(exit), "{exit:?} is not in:\n{help}");
    }
    let (code, version, _) = output(&mut firecamp(&["--version"]));
    assert_eq!(
        (code, version.trim()),
        (Some(0), concat!("firecamp-demo ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn the_hidden_commands_are_not_in_the_help() {
    let (_, help, _) = output(&mut firecamp(&["--help"]));
    assert!(help.contains("demo"), "{help}");
    for hidden in ["demo-inside", "member-server", "member-client", "member-start"] {
        assert!(!help.contains(hidden), "{hidden} is in:\n{help}");
    }
}

#[test]
fn an_invalid_flag_or_value_is_a_usage_error_that_names_it() {
    let cases: [(&[&str], &str); 6] = [
        (&["--profile", "slow"], "slow"),
        (&["--seed", "-1"], "-1"),
        (&["--seed", "many"], "many"),
        (&["--color"], "--color"),
        (&["extra"], "extra"),
        (&["show"], "show"),
    ];
    for (arguments, named) in cases {
        let (code, stdout, stderr) = output(&mut firecamp(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(named), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_invalid_variable_is_a_usage_error() {
    let cases = [
        ("FIRECAMP_DEMO_PROFILE", "slow"),
        ("FIRECAMP_DEMO_SEED", "18446744073709551616"),
        ("FIRECAMP_DEMO_JSON", "perhaps"),
        ("FIRECAMP_DEMO_RELEASE", "2"),
    ];
    for (variable, value) in cases {
        let (code, _, stderr) = output(firecamp(&[]).env(variable, value));
        assert_eq!(code, Some(2), "{variable}={value}: {stderr}");
        assert!(stderr.contains(value), "{variable}={value}: {stderr}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing").join("demo.html");
    let report = missing.to_str().unwrap();
    let (code, stdout, stderr) = output(&mut firecamp(&["--report", report]));
    assert_eq!(code, Some(18), "{stderr}");
    assert!(stdout.is_empty() && stderr.contains(report), "{stderr}");
}

#[test]
fn a_report_inside_the_box_is_rejected() {
    let (code, _, stderr) = output(&mut firecamp(&["--report", "/run/demo.html"]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("/run"), "{stderr}");
    assert!(!Path::new("/run/demo.html").exists());
}

#[test]
fn a_missing_invalid_or_incomplete_recording_is_an_error_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.jsonl");
    let replay = |expected: &str| {
        let (code, _, stderr) = output(&mut firecamp(&["--replay", file.to_str().unwrap()]));
        assert_eq!(code, Some(18), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    replay("No such file");
    for (text, expected) in [
        ("", "run is incomplete"),
        ("not JSON\n", "line 1"),
        ("{\"event\":\"party\"}\n", "line 1"),
        ("{\"event\":\"note\",\"at_us\":1,\"step\":1,\"text\":\"x\"}\n{}\n", "line 2"),
        ("{\"event\":\"note\",\"at_us\":1,\"step\":1,\"text\":\"x\"}\n", "run is incomplete"),
    ] {
        std::fs::write(&file, text).unwrap();
        replay(expected);
    }
    std::fs::write(&file, [0xff, 0xfe, b'\n']).unwrap();
    replay("UTF-8");
    let huge = std::fs::File::create(&file).unwrap();
    huge.set_len(1 << 40).unwrap();
    replay("more than");
}

#[test]
fn the_inner_command_outside_of_a_box_is_a_usage_error() {
    let (code, _, stderr) = output(firecamp(&["demo-inside", "{}"]).env_remove("VPCBOX_SOCKET"));
    assert_eq!(code, Some(2), "{stderr}");
}
