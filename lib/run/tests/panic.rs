//! A panic ends the process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_run::config::{Identity, LogConfig};
use firecamp_run::process::end_at_panic;
use serde_json::Value;

const NAME: &str = "a_panic_of_any_thread_is_an_internal_error_with_a_termination_message";
const FILE: &str = "PANIC_TERMINATION_MESSAGE";

fn panic_in_a_thread(termination_log: &Path) {
    let log = LogConfig {
        termination_log: termination_log.to_owned(),
        create: true,
        ..LogConfig::default()
    };
    let identity = Identity {
        member: Member::new("demo", "redis-0").unwrap(),
        pod: PodUid::new("uid-1").unwrap(),
        node: NodeName::new("node-a").unwrap(),
    };
    end_at_panic(&log, Some(&identity));
    std::thread::spawn(|| panic!("a bug of {}", "ours")).join().ok();
}

/// The test starts itself as the process that panics.
#[test]
fn a_panic_of_any_thread_is_an_internal_error_with_a_termination_message() {
    if let Some(file) = std::env::var_os(FILE) {
        return panic_in_a_thread(Path::new(&file));
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("termination-message");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let ended = child.args(["--exact", NAME]).env(FILE, &file).output().unwrap();
    assert_eq!(ended.status.code(), Some(70));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(report["exitCode"], 70);
    assert_eq!(report["message"], "panic: a bug of ours");
    assert_eq!(report["member"], "demo/redis-0");
}
