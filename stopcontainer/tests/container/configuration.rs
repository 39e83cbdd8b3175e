//! The stop container refuses an invalid configuration by name, before it does anything.

use std::ffi::OsString;

use crate::process::{Run, invalid_values};
use crate::{STOP, stop};

/// Every flag and its variable.
const SETTINGS: [(&str, &str); 17] = [
    ("cluster", "CLUSTER"),
    ("service-name", "SERVICE_NAME"),
    ("member-name", "POD_NAME"),
    ("namespace", "K8S_NAMESPACE"),
    ("pod-uid", "POD_UID"),
    ("node-name", "NODE_NAME"),
    ("registry", "FIRECAMP_REGISTRY"),
    ("dbtype", "DB_TYPE"),
    ("run-dir", "FIRECAMP_RUN_DIR"),
    ("endpoint", "FIRECAMP_ENDPOINT"),
    ("token-file", "FIRECAMP_TOKEN_FILE"),
    ("drain", "FIRECAMP_DRAIN"),
    ("grace", "FIRECAMP_GRACE"),
    ("unassign", "FIRECAMP_UNASSIGN"),
    ("log-format", "FIRECAMP_LOG_FORMAT"),
    ("log-level", "FIRECAMP_LOG_LEVEL"),
    ("termination-log", "FIRECAMP_TERMINATION_LOG"),
];

#[test]
fn every_flag_is_tested_and_accepted_by_both_commands() {
    for arguments in [&["--help"][..], &["wait", "--help"], &["release", "--help"]] {
        let help = arguments.iter().fold(stop(), Run::arg).end().on_one_line();
        assert_eq!(help.matches("[env: ").count(), SETTINGS.len(), "{help}");
        for (flag, variable) in SETTINGS {
            assert!(help.contains(&format!("--{flag}")), "{arguments:?} {flag}");
            assert!(help.contains(&format!("[env: {variable}")), "{arguments:?} {variable}");
        }
    }
}

#[test]
fn f106_every_invalid_variable_is_refused_by_name() {
    for (flag, variable) in SETTINGS {
        for (kind, value) in invalid_values() {
            println!("{variable} {kind}");
            let ended = stop().set(variable, &value).end();
            ended.is_refused_naming(&[&format!("--{flag} (or {variable})"), "exitCode\":2"]);
        }
    }
}

#[test]
fn f106_every_invalid_flag_is_refused_by_name_before_and_after_the_command() {
    for (flag, variable) in SETTINGS {
        for (before, (kind, value)) in [true, false].into_iter().cycle().zip(invalid_values()) {
            println!("--{flag} {kind}, before: {before}");
            let mut argument = OsString::from(format!("-{flag}="));
            argument.push(&value);
            let run = stop().unset(variable);
            let run = if before {
                run.arg(argument).arg("release")
            } else {
                run.arg("release").arg(argument)
            };
            run.end().is_refused_naming(&[&format!("--{flag} (or {variable})")]);
        }
    }
}

#[test]
fn every_missing_part_of_the_identity_is_named_for_every_command() {
    let required = [
        ("member-name", "POD_NAME"),
        ("namespace", "K8S_NAMESPACE"),
        ("registry", "FIRECAMP_REGISTRY"),
    ];
    for (flag, variable) in required {
        for command in ["wait", "release"] {
            let ended = stop().unset(variable).arg(command).end();
            ended.is_refused_naming(&[&format!("--{flag} (or {variable}) is missing")]);
        }
    }
}

#[test]
fn a_wrong_command_and_a_wrong_flag_are_refused_with_a_suggestion() {
    stop().arg("realese").end().is_refused_naming(&["\"realese\"", "did you mean", "release"]);
    stop().arg("release").arg("--drian=1s").end().is_refused_naming(&["--drian", "--drain"]);
    stop().arg("release").arg("again").end().is_refused_naming(&["again"]);
}

#[test]
fn a_member_of_another_service_is_refused() {
    let ended = stop().set("POD_NAME", "consul-0").end();
    ended.is_refused_naming(&["POD_NAME", "\"consul-0\" is not a member of the service \"redis\""]);
}

#[test]
fn dynamodb_is_refused_and_kubernetes_needs_a_pod_or_a_kubeconfig() {
    stop().set("DB_TYPE", "clouddb").end().is_refused_naming(&["DB_TYPE", "DynamoDB"]);
    let ended = stop().unset("FIRECAMP_REGISTRY").end();
    let missing = ["FIRECAMP_REGISTRY) is missing", "KUBERNETES_SERVICE_HOST", "file:///DIR"];
    ended.is_refused_naming(&missing);
}

#[test]
fn help_has_examples_and_version_has_the_version() {
    let ended = Run::bare(STOP).arg("-help").end();
    assert_eq!(ended.code, Some(0));
    for text in ["Examples:", "Exit codes", "preStop", "release --drain=3s", "TESTMODE"] {
        assert!(ended.stdout.contains(text), "{text}");
    }
    let ended = Run::bare(STOP).arg("--version").end();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, format!("firecamp-stopcontainer {}\n", env!("CARGO_PKG_VERSION")));
}
