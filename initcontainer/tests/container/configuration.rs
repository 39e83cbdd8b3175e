//! The init container refuses an invalid configuration by name, before it does anything.

use std::ffi::OsString;

use crate::INIT;
use crate::process::{Ended, Run, invalid_values};

/// Every flag and its variable.
const SETTINGS: [(&str, &str); 23] = [
    ("cluster", "CLUSTER"),
    ("service-name", "SERVICE_NAME"),
    ("member-name", "POD_NAME"),
    ("namespace", "K8S_NAMESPACE"),
    ("pod-uid", "POD_UID"),
    ("node-name", "NODE_NAME"),
    ("registry", "FIRECAMP_REGISTRY"),
    ("dbtype", "DB_TYPE"),
    ("run-dir", "FIRECAMP_RUN_DIR"),
    ("pool", "FIRECAMP_POOL"),
    ("eni", "FIRECAMP_ENI"),
    ("endpoint", "FIRECAMP_ENDPOINT"),
    ("token-file", "FIRECAMP_TOKEN_FILE"),
    ("address-file", "FIRECAMP_ADDRESS_FILE"),
    ("conf-dir", "FIRECAMP_CONF_DIR"),
    ("require-mount", "FIRECAMP_REQUIRE_MOUNT"),
    ("timeout", "FIRECAMP_TIMEOUT"),
    ("predecessor-grace", "FIRECAMP_PREDECESSOR_GRACE"),
    ("dry-run", "FIRECAMP_DRY_RUN"),
    ("output", "FIRECAMP_OUTPUT"),
    ("log-format", "FIRECAMP_LOG_FORMAT"),
    ("log-level", "FIRECAMP_LOG_LEVEL"),
    ("termination-log", "FIRECAMP_TERMINATION_LOG"),
];

fn init() -> Run {
    Run::configured(INIT)
}

#[test]
fn every_flag_is_tested() {
    let help = init().arg("--help").end().on_one_line();
    let variables = help.matches("[env: ").count();
    assert_eq!(variables, SETTINGS.len(), "{help}");
    for (flag, variable) in SETTINGS {
        assert!(
            help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}[")),
            "{flag}"
        );
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
    }
}

#[test]
fn f106_every_invalid_variable_is_refused_by_name() {
    for (flag, variable) in SETTINGS {
        for (kind, value) in invalid_values() {
            let ended = init().set(variable, &value).end();
            println!("{variable} {kind}");
            ended.is_refused_naming(&[&format!("--{flag} (or {variable})"), "exitCode\":2"]);
        }
    }
}

#[test]
fn f106_every_invalid_flag_is_refused_by_name_with_one_dash_and_with_two() {
    for (flag, variable) in SETTINGS {
        for (dashes, (kind, value)) in ["-", "--"].into_iter().cycle().zip(invalid_values()) {
            let mut argument = OsString::from(format!("{dashes}{flag}="));
            argument.push(&value);
            let ended = init().unset(variable).arg(argument).end();
            println!("{dashes}{flag} {kind}");
            ended.is_refused_naming(&[&format!("--{flag} (or {variable})")]);
        }
    }
}

#[test]
fn every_missing_part_of_the_identity_is_named() {
    let required = [
        ("cluster", "CLUSTER"),
        ("service-name", "SERVICE_NAME"),
        ("member-name", "POD_NAME"),
        ("namespace", "K8S_NAMESPACE"),
        ("registry", "FIRECAMP_REGISTRY"),
    ];
    for (flag, variable) in required {
        let ended = init().unset(variable).end();
        ended.is_refused_naming(&[&format!("--{flag} (or {variable}) is missing")]);
    }
}

#[test]
fn all_errors_are_reported_together() {
    let ended = Run::bare(INIT).set("FIRECAMP_TIMEOUT", "soon").set("FIRECAMP_ENI", "eth0").end();
    ended.is_refused_naming(&[
        "--cluster (or CLUSTER) is missing",
        "--service-name (or SERVICE_NAME) is missing",
        "--member-name (or POD_NAME) is missing",
        "--namespace (or K8S_NAMESPACE) is missing",
        "--registry (or FIRECAMP_REGISTRY) is missing",
        "\"soon\" is not a duration",
        "\"eth0\" is not a valid rule for an ENI",
    ]);
    let message = ended.report()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("CLUSTER") && message.contains("eth0"), "{message}");
}

#[test]
fn a_refusal_changes_nothing() {
    let run = init().set("FIRECAMP_ENI", "eth0");
    let keep = run.path("");
    let mut command = run.command;
    let status = command.stderr(std::process::Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    assert_eq!(std::fs::read_dir(keep.join("registry")).unwrap().count(), 0);
    assert!(!keep.join("conf").exists() && !keep.join("run").exists());
    drop(run.dir);
}

#[test]
fn f019_member_of_another_service_is_refused_with_examples_of_its_members() {
    for name in ["consul-0", "redis", "redis-shard0-1", "redis-0x", "redis0"] {
        let ended = init().set("POD_NAME", name).end();
        let quoted = format!("{name:?} is not a member of the service \"redis\"");
        ended.is_refused_naming(&["POD_NAME", &quoted, "redis-0, redis-1"]);
    }
}

#[test]
fn dynamodb_of_the_original_is_refused_and_kubernetes_needs_a_pod_or_a_kubeconfig() {
    let ended = init().set("DB_TYPE", "clouddb").end();
    ended.is_refused_naming(&["--dbtype (or DB_TYPE)", "clouddb (DynamoDB)"]);
    let ended = init().set("DB_TYPE", "k8sdb").unset("FIRECAMP_REGISTRY").end();
    let missing = ["FIRECAMP_REGISTRY) is missing", "KUBERNETES_SERVICE_HOST", "file:///DIR"];
    ended.is_refused_naming(&missing);
    for url in
        ["kubernetes://in-cluster", "https://example.com/", "/var/lib/firecamp", "file://host/dir"]
    {
        let ended = init().set("FIRECAMP_REGISTRY", url).end();
        ended.is_refused_naming(&["--registry (or FIRECAMP_REGISTRY)", url]);
    }
}

#[test]
fn testmode_succeeds_without_checking_the_configuration() {
    for value in ["true", "1", "T", "True"] {
        let ended = Run::bare(INIT).set("TESTMODE", value).arg("--no-such-flag").end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    for value in ["false", "", "yes", "\u{1b}"] {
        let ended = init().unset("CLUSTER").set("TESTMODE", value).end();
        ended.is_refused_naming(&["CLUSTER"]);
    }
}

#[test]
fn help_has_examples_and_version_has_the_version() {
    for flag in ["--help", "-h", "-help"] {
        let ended = Run::bare(INIT).arg(flag).end();
        assert_eq!(ended.code, Some(0));
        for text in ["Examples:", "Exit codes", "AddressUnavailable", "TESTMODE", "--dry-run"] {
            assert!(ended.stdout.contains(text), "{flag}: {text}");
        }
    }
    for flag in ["--version", "-V", "-version"] {
        let ended = Run::bare(INIT).arg(flag).end();
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stdout, format!("firecamp-initcontainer {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn f106_help_never_shows_a_value_of_the_environment() {
    let ended = init().set("POD_UID", "hush-hush").arg("--help").end();
    assert!(!ended.stdout.contains("hush-hush"));
}

#[test]
fn an_unknown_flag_is_refused_escaped_and_with_a_suggestion() {
    let ended = init().arg("--clustr=x").end();
    ended.is_refused_naming(&["--clustr", "did you mean", "--cluster", "--help"]);
    let ended = init().arg("--\u{1b}[31m\n{\"result\":\"succeeded\"}").end();
    ended.is_refused_naming(&["\\u{1b}"]);
    assert_eq!(ended.report()["exitCode"], 2);
    let ended = init().arg("stray").end();
    ended.is_refused_naming(&["stray"]);
    let ended = init().arg("-member-name").end();
    ended.is_refused_naming(&["--member-name"]);
}

#[test]
fn command_line_of_the_original_is_accepted() {
    let names = ["CLUSTER", "SERVICE_NAME", "POD_NAME"];
    let run = names.into_iter().fold(init(), Run::unset);
    let run = ["-logtostderr", "-v=2", "-cluster=prod", "-service-name", "redis", "-v", "3"]
        .into_iter()
        .fold(run, Run::arg);
    // Only the member name is invalid, so one error proves that all other arguments were parsed.
    let ended = run.arg("-member-name=consul-0").arg("-dbtype=k8sdb").end();
    ended.is_refused_naming(&["1 error ", "\"consul-0\" is not a member of the service \"redis\""]);
}

#[test]
fn a_flag_overrides_its_variable_and_a_later_flag_an_earlier_one() {
    let ended =
        init().set("POD_NAME", "\u{1}").arg("-member-name=a-0").arg("-member-name=b-0").end();
    ended.is_refused_naming(&["1 error ", "\"b-0\""]);
}

#[test]
fn a_refusal_in_json_is_one_line() {
    let ended = init().unset("CLUSTER").arg("--log-format=json").end();
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["result"], "failed");
    assert_eq!(report["reason"], "UsageError");
    assert_eq!(report["retryable"], false);
    assert!(report["advice"].as_str().unwrap().contains("--help"));
}

#[test]
fn a_debug_log_names_the_flags_that_are_ignored() {
    let run = init().unset("CLUSTER").arg("-logtostderr").set("FIRECAMP_LOG_LEVEL", "debug");
    let Ended { stderr, .. } = run.end();
    assert!(stderr.contains("ignored") && stderr.contains("logtostderr"), "{stderr}");
}
