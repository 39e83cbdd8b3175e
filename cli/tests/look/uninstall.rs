//! `firecamp uninstall` with a strict API server, beside a leader that does its part.

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::args::Command;
use firecamp_cli::failure::Failure;
use firecamp_cli::uninstall::{self, Report, UninstallArguments};
use firecamp_core::contract::exit::{Exit, Uninstalled};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::support::{cluster, golden, parsed, reader_of};

const ADDRESSES: [&str; 4] = ["10.1.0.20", "10.1.0.22", "10.1.0.23", "10.1.0.25"];
const INTERFACE: &str = "i-0000000a-0";

fn arguments(words: &[&str]) -> UninstallArguments {
    let command = parsed(&[&["uninstall"], words].concat()).command;
    let Command::Uninstall(arguments) = command else { panic!("{command:?}") };
    arguments
}

async fn uninstalled(server: &ApiServer, words: &[&str]) -> Result<Report, Failure> {
    uninstall::of(&reader_of(server), &arguments(words), &mut |_line| {}).await
}

/// No member runs; a pool wants interfaces, and one was made.
async fn stopped() -> ApiServer {
    let server = cluster().await;
    for address in existing(&server) {
        server.change("staticips", None, address, |object| {
            if object["spec"]["attachment"].is_object() {
                object["spec"]["attachment"]["state"] = json!("Parked");
            }
        });
    }
    server.change("staticippools", None, "a", |pool| {
        pool["spec"]["interfaces"] = json!({ "maximum": 1 });
    });
    let record = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeInterface",
        "metadata": {},
        "spec": {
            "nodeName": "node-1",
            "instance": "i-0000000a",
            "subnet": "subnet-00000001",
            "securityGroups": ["sg-0000000a"],
            "phase": "Attached",
            "eni": "eni-0000000a",
        },
    });
    server.set("nodeinterfaces", (None, INTERFACE), record);
    server
}

fn existing(server: &ApiServer) -> Vec<&'static str> {
    let exists = |address: &&str| server.object("staticips", None, address).is_some();
    ADDRESSES.into_iter().filter(exists).collect()
}

/// What the leader does in a pass: addresses of deleted StaticIPs and drained interfaces leave EC2.
fn leads(server: &ApiServer) {
    for address in existing(server) {
        let object = server.object("staticips", None, address).unwrap();
        if object["metadata"]["deletionTimestamp"].is_string() {
            server.remove("staticips", None, address);
        }
    }
    let interface = server.object("nodeinterfaces", None, INTERFACE);
    if interface.is_some_and(|object| object["spec"]["phase"] == "Draining") {
        server.remove("nodeinterfaces", None, INTERFACE);
    }
}

/// The same, beside a leader.
async fn beside_a_leader(server: &ApiServer, words: &[&str]) -> Report {
    tokio::select! {
        report = uninstalled(server, words) => report.unwrap(),
        () = async {
            loop {
                sleep(Duration::from_secs(30)).await;
                leads(server);
            }
        } => unreachable!(),
    }
}

fn changes(server: &ApiServer, since: usize) -> Vec<String> {
    let all = server.requests_since(since);
    all.iter().map(ToString::to_string).filter(|one| !one.starts_with("GET ")).collect()
}

fn is_empty(server: &ApiServer) -> bool {
    existing(server).is_empty()
        && server.object("nodeinterfaces", None, INTERFACE).is_none()
        && server.object("staticippools", None, "a").is_none()
        && server.object("staticipclaims", Some("prod"), "redis-0").is_none()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_while_a_member_has_its_address() {
    let server = cluster().await;
    let before = server.requests().len();
    let report = uninstalled(&server, &["--yes"]).await.unwrap();
    assert_eq!(report.end(), Uninstalled::InUse);
    assert_eq!(changes(&server, before), Vec::<String>::new());
    golden("uninstall-in-use.txt", &report.people());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_changes_in_their_order() {
    let server = stopped().await;
    let before = server.requests().len();
    let report = uninstalled(&server, &["--dry-run"]).await.unwrap();
    assert_eq!(report.end(), Uninstalled::All);
    assert_eq!(changes(&server, before), Vec::<String>::new());
    golden("uninstall-dry-run.txt", &report.people());
    let text = serde_json::to_string_pretty(&report).unwrap();
    golden("uninstall-dry-run.json", &format!("{text}\n"));
}

#[tokio::test(start_paused = true)]
async fn everything_is_removed_and_the_pools_last() {
    let server = stopped().await;
    let before = server.requests().len();
    let report = beside_a_leader(&server, &["--yes"]).await;
    assert_eq!(report.end(), Uninstalled::All, "{report:?}");
    assert!(is_empty(&server));
    let made = changes(&server, before);
    let at = |wanted: &str| {
        let found = made.iter().position(|one| one.starts_with(wanted));
        found.unwrap_or_else(|| panic!("no {wanted} in {made:?}"))
    };
    let order = ["PATCH staticippools/", "DELETE staticipclaims/", "DELETE staticips/"];
    assert!(order.map(at).is_sorted(), "{made:?}");
    assert!(at("PATCH staticippools/") < at("PATCH nodeinterfaces/"), "{made:?}");
    assert!(made.last().unwrap().starts_with("DELETE staticippools/"), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn an_uninstall_that_is_killed_at_any_request_is_continued() {
    let mut killed = 0;
    loop {
        let server = stopped().await;
        let before = server.requests().len();
        let words = arguments(&["--yes"]);
        let (reader, mut progress) = (reader_of(&server), |_: &str| {});
        let ended = {
            let mut work = pin!(uninstall::of(&reader, &words, &mut progress));
            let dies = std::future::poll_fn(|cx| {
                if server.requests().len() > before + killed {
                    return Poll::Ready(false);
                }
                work.as_mut().poll(cx).map(|_ended| true)
            });
            tokio::select! {
                ended = dies => ended,
                () = async {
                    loop {
                        sleep(Duration::from_secs(30)).await;
                        leads(&server);
                    }
                } => unreachable!(),
            }
        };
        if ended {
            break;
        }
        let report = beside_a_leader(&server, &["--yes"]).await;
        assert!(report.end() == Uninstalled::All && is_empty(&server), "{killed}: {report:?}");
        killed += 1;
    }
    assert!(killed > 10, "{killed} requests");
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_the_timeout_says_what_is_left() {
    let server = stopped().await;
    let report = uninstalled(&server, &["--yes", "--timeout", "3m"]).await.unwrap();
    assert_eq!(report.end(), Uninstalled::TimedOut);
    golden("uninstall-timed-out.txt", &report.people());
}

#[tokio::test(start_paused = true)]
async fn a_member_between_two_pods_keeps_everything() {
    for has_pod in [true, false] {
        let server = stopped().await;
        if has_pod {
            let status = json!({ "phase": "Pending" });
            let pod = json!({ "metadata": { "uid": "p" }, "spec": {}, "status": status });
            server.set_pod("prod", "redis-0", pod);
        } else {
            let set = json!({ "metadata": {}, "spec": { "replicas": 2 }, "status": {} });
            server.set("statefulsets", (Some("prod"), "redis"), set);
        }
        let before = server.requests().len();
        let report = uninstalled(&server, &["--yes"]).await.unwrap();
        assert_eq!(report.end(), Uninstalled::InUse, "{report:?}");
        assert_eq!(report.left.len(), if has_pod { 1 } else { 2 }, "{report:?}");
        assert_eq!(changes(&server, before), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_for_a_moment_is_repeated_with_pauses_and_reported() {
    let server = stopped().await;
    for _write in 0..100 {
        server.fail_next("PATCH", "staticippools", Fault::LostRequest);
    }
    let (arguments, mut lines) = (arguments(&["--yes", "--timeout", "1m"]), Vec::new());
    let reader = reader_of(&server);
    let mut progress = |line: &str| lines.push(line.to_owned());
    let report = uninstall::of(&reader, &arguments, &mut progress).await.unwrap();
    assert_eq!(report.end(), Uninstalled::TimedOut);
    assert!(server.requests().len() < 150, "{} requests in a minute", server.requests().len());
    assert!(lines.iter().any(|line| line.ends_with("retrying (5 s)")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_in_a_state_of_another_version_blocks_the_removal() {
    let server = stopped().await;
    server.change("staticips", None, ADDRESSES[0], |object: &mut Value| {
        object["spec"]["attachment"]["state"] = json!("Borrowed");
    });
    let report = uninstalled(&server, &["--yes"]).await.unwrap();
    assert_eq!(report.end(), Uninstalled::InUse, "an unknown state may be a use: {report:?}");
}

#[test]
fn without_confirmation_the_command_is_a_usage_error() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_firecamp"));
    let ended = command.arg("uninstall").env_clear().output().unwrap();
    assert_eq!(ended.status.code(), Some(i32::from(Exit::Usage.code())));
    let text = String::from_utf8(ended.stderr).unwrap();
    assert!(text.contains("--dry-run") && text.contains("--yes"), "{text}");
}
