//! Tests of the harness: isolation, and the reports of success and failure.
//!
//! Cases named `deliberate_` fail or hang on purpose; they run only when another case starts this
//! program again.
#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::process::{Command, ExitCode, Output};

use firecamp_testkit::netns::{Case, Net, run};
use nix::unistd::{geteuid, getppid};

/// Set for the second start, in which deliberate failures are cases.
const DELIBERATE: &str = "NETNS_TEST_DELIBERATE";

const CASES: [Case; 5] = [
    Case {
        name: "a_case_is_root_of_an_empty_namespace",
        run: a_case_is_root_of_an_empty_namespace,
    },
    Case { name: "a_veth_pair_connects_two_namespaces", run: a_veth_pair_connects_two_namespaces },
    Case { name: "a_failing_case_fails_the_run", run: a_failing_case_fails_the_run },
    Case { name: "a_filter_selects_the_cases", run: a_filter_selects_the_cases },
    Case { name: "list_names_the_cases", run: list_names_the_cases },
];

fn main() -> ExitCode {
    let mut cases = CASES.to_vec();
    if std::env::var_os(DELIBERATE).is_some() {
        cases.push(Case { name: "deliberate_failure", run: || panic!("on purpose") });
        cases.push(Case { name: "deliberate_success", run: || () });
    }
    run(&cases)
}

fn again(arguments: &[&str]) -> (Option<i32>, String) {
    let exe = std::env::current_exe().expect("the path of this test");
    let Output { status, stdout, .. } = Command::new(exe)
        .args(arguments)
        .env(DELIBERATE, "1")
        .output()
        .expect("start this program again");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned())
}

fn a_case_is_root_of_an_empty_namespace() {
    assert!(geteuid().is_root());
    assert_eq!(Net::current().links(), ["lo"]);
    assert_eq!(Net::current().addresses(), ["127.0.0.1/8 dev lo"]);
    assert_eq!(std::fs::read_dir("/run").expect("read /run").count(), 0);
    assert!(getppid().as_raw() > 0, "the case has a parent, the harness");
}

fn a_veth_pair_connects_two_namespaces() {
    let (here, there) = (Net::current(), Net::new());
    here.veth("one", &there, "other");
    here.add_address("one", [10, 0, 0, 1].into(), 24, None);
    assert_eq!(
        (here.links(), there.links()),
        (vec!["lo".into(), "one".into()], vec!["lo".into(), "other".into()])
    );
    assert_eq!(here.source_for([10, 0, 0, 2].into()), Some([10, 0, 0, 1].into()));
    assert_eq!(there.source_for([10, 0, 0, 2].into()), None);
}

fn a_failing_case_fails_the_run() {
    let (code, text) = again(&["deliberate"]);
    assert_eq!(code, Some(101), "{text}");
    assert!(text.contains("test deliberate_failure ... FAILED"), "{text}");
    assert!(text.contains("test deliberate_success ... ok"), "{text}");
    assert!(text.contains("on purpose"), "{text}");
    assert!(text.contains("test result: FAILED. 1 passed; 1 failed;"), "{text}");
}

fn a_filter_selects_the_cases() {
    let (code, text) = again(&["deliberate", "--skip", "failure"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("test result: ok. 1 passed; 0 failed;"), "{text}");
    assert!(text.contains("6 filtered out"), "{text}");
    assert_eq!(again(&["--no-such-option"]).0, Some(2));
}

fn list_names_the_cases() {
    let (code, text) = again(&["--list"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("deliberate_failure: test\n"), "{text}");
    assert!(text.contains("\n7 tests, 0 benchmarks"), "{text}");
}
