//! An init container without privileges, which asks the agent of its node.

use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;

use firecamp_core::contract::exit::Exit;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::INIT;
use crate::agent::{ScriptedAgent, asking, body, ended_as, outcome};
use crate::process::Run;

const OK: &str = "200 OK";

fn attached() -> Value {
    json!({ "outcome": {
        "reason": "Success", "message": "10.0.0.7 is attached", "address": "10.0.0.7",
        "eni": "eni-0fedcba9876543210", "epoch": 4, "path": "moved",
    }})
}

/// The file for the address, which outlives the container.
struct AddressFile {
    path: PathBuf,
    _dir: Rc<TempDir>,
}

impl AddressFile {
    /// In a directory that is no mount of its own.
    fn of(run: Run) -> (Run, Self) {
        let (path, dir) = (run.path("address/address"), Rc::clone(&run.dir));
        std::fs::create_dir(run.path("address")).unwrap();
        let run = run.set("FIRECAMP_ADDRESS_FILE", &path).set("FIRECAMP_REQUIRE_MOUNT", "false");
        (run, Self { path, _dir: dir })
    }

    fn read(&self) -> Option<String> {
        std::fs::read_to_string(&self.path).ok()
    }
}

#[test]
fn an_address_that_the_agent_has_attached_is_written_to_the_file() {
    let step = json!({ "step": { "step": "attach.3", "done": "the record is ours" } });
    let waiting = json!({ "waiting": {
        "waitingFor": "the metadata service", "waitedMs": 2500, "atMostMs": 8000,
    }});
    let agent = ScriptedAgent::with(&[(OK, &[step, waiting, attached()])]);
    let (run, file) = AddressFile::of(agent.asked_by(INIT));
    let ended = run.arg("--timeout=60s").end();
    ended_as(&ended, Exit::Success, "10.0.0.7 is attached");
    let report = ended.report();
    let reported = ["result", "address", "eni", "path"].map(|name| report[name].as_str().unwrap());
    assert_eq!(reported, ["succeeded", "10.0.0.7", "eni-0fedcba9876543210", "moved"]);
    assert_eq!(report["epoch"], 4);
    assert_eq!(file.read().unwrap().trim(), "10.0.0.7");
    for text in ["attach.3", "the record is ours", "the metadata service"] {
        assert!(ended.stderr.contains(text), "{text:?} is not in {}", ended.stderr);
    }
    let requests = agent.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /v1/attach");
    let left = body(&requests[0])["timeoutMs"].as_u64().unwrap();
    assert!((50_000..60_000).contains(&left), "{left} ms, less than the container waits");
}

#[test]
fn each_failure_of_the_agent_ends_the_container_with_the_code_of_direct_mode() {
    for exit in Exit::ALL.into_iter().filter(|exit| *exit != Exit::Success) {
        let agent = ScriptedAgent::with(&[(OK, &[outcome(exit.reason(), "the cause")])]);
        let (run, file) = AddressFile::of(agent.asked_by(INIT));
        ended_as(&run.end(), exit, "the cause");
        assert_eq!(file.read(), None, "{exit:?}");
    }
}

#[test]
fn a_success_without_an_address_and_an_unknown_outcome_are_no_success() {
    for answer in [outcome("Success", "done"), outcome("Paused", "later")] {
        let agent = ScriptedAgent::with(&[(OK, &[answer])]);
        let (run, file) = AddressFile::of(agent.asked_by(INIT));
        ended_as(&run.end(), Exit::VersionMismatch, "the agent");
        assert_eq!(file.read(), None);
    }
}

#[test]
fn f121_an_agent_that_is_lost_or_busy_is_asked_again() {
    let step = json!({ "step": { "step": "attach.3", "done": "the record is ours" } });
    let busy = outcome("AgentUnavailable", "the agent starts");
    let agent = ScriptedAgent::with(&[
        ("503 Service Unavailable", &[busy]),
        (OK, &[step]),
        (OK, &[attached()]),
    ]);
    let (run, file) = AddressFile::of(agent.asked_by(INIT));
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(file.read().unwrap().trim(), "10.0.0.7");
    let left =
        agent.requests().iter().map(|one| body(one)["timeoutMs"].as_u64().unwrap()).collect();
    let left: Vec<u64> = left;
    assert!(left.len() == 3 && left.is_sorted_by(|before, after| before > after), "{left:?}");
    assert!(ended.stderr.contains("waiting for the agent of this node"), "{}", ended.stderr);
}

#[test]
fn a_token_that_stays_refused_is_reported_with_the_agents_reason() {
    let refused = outcome("TokenRefused", "the API server does not know the token");
    let agent = ScriptedAgent::with(&[("401 Unauthorized", &[refused])]);
    let (run, file) = AddressFile::of(agent.asked_by(INIT));
    ended_as(&run.end(), Exit::TokenRefused, "the API server does not know the token");
    assert!(agent.requests().len() > 1, "a new pod's token may become known late");
    assert_eq!(file.read(), None);
}

#[test]
fn an_agent_that_is_not_there_is_named_with_what_may_block_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // The host name of a pod names no node.
    for (run, agent) in [
        (asking(INIT, &free), "the agent of this node did not answer"),
        (asking(INIT, &free).set("NODE_NAME", "node-b"), "the agent of node node-b did not answer"),
    ] {
        let (run, file) = AddressFile::of(run);
        let ended = run.arg("--timeout=1s").end();
        for text in [agent, free.as_str(), "NetworkPolicy"] {
            ended_as(&ended, Exit::AgentUnavailable, text);
        }
        assert_eq!(file.read(), None);
    }
}

#[test]
fn f017_sigterm_ends_a_container_that_waits_for_its_agent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (run, file) = AddressFile::of(asking(INIT, &silent.local_addr().unwrap().to_string()));
    let init = run.start();
    // Its request is on the way.
    let _connection = silent.accept().unwrap();
    init.signal(Signal::SIGTERM);
    ended_as(&init.end(), Exit::Interrupted, "signal");
    assert_eq!(file.read(), None);
}

#[test]
fn a_file_that_would_not_outlive_the_container_is_refused_before_the_agent_is_asked() {
    let agent = ScriptedAgent::with(&[(OK, &[attached()])]);
    let (run, file) = AddressFile::of(agent.asked_by(INIT));
    let ended = run.unset("FIRECAMP_REQUIRE_MOUNT").end();
    ended_as(&ended, Exit::DiskRefused, "mount");
    assert!(agent.requests().is_empty() && file.read().is_none());
}

#[test]
fn a_missing_token_is_named_and_nobody_is_asked() {
    let agent = ScriptedAgent::with(&[(OK, &[attached()])]);
    let (run, file) = AddressFile::of(agent.asked_by(INIT));
    let ended = run.set("FIRECAMP_TOKEN_FILE", "/nonexistent/token").end();
    ended_as(&ended, Exit::TokenRefused, "/nonexistent/token");
    assert!(agent.requests().is_empty() && file.read().is_none());
}
