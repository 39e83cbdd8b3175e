//! A stop container without privileges, which asks the agent of its node.

use std::net::TcpListener;

use firecamp_core::contract::exit::Exit;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::STOP;
use crate::agent::{ScriptedAgent, asking, body, ended_as, outcome};

const OK: &str = "200 OK";

fn parked() -> Value {
    json!({ "outcome": {
        "reason": "Success", "message": "parked", "address": "10.0.0.7", "path": "parked",
    }})
}

#[test]
fn a_hook_releases_what_its_pod_holds_while_the_service_runs() {
    let agent = ScriptedAgent::with(&[(OK, &[parked()])]);
    let ended = agent.asked_by(STOP).arg("release").arg("--drain=3s").arg("--grace=20s").end();
    ended_as(&ended, Exit::Success, "parked");
    assert_eq!(ended.report()["address"], "10.0.0.7");
    let requests = agent.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /v1/release");
    let asked = json!({ "scope": "connections", "drainMs": 3000, "graceMs": 20000 });
    assert_eq!(body(&requests[0]), asked);
}

#[test]
fn f023_a_sidecar_that_asks_the_agent_releases_only_the_epoch_of_its_start() {
    for (held, epoch) in
        [(json!({ "address": "10.0.0.7", "epoch": 7 }), 7), (json!({ "address": null }), 0)]
    {
        let starting = outcome("AgentUnavailable", "the agent starts");
        let agent = ScriptedAgent::with(&[
            ("503 Service Unavailable", &[starting]),
            (OK, &[held]),
            (OK, &[parked()]),
        ]);
        let sidecar = agent.asked_by(STOP).start();
        sidecar.wait_for_log("waiting for SIGTERM");
        sidecar.signal(Signal::SIGTERM);
        ended_as(&sidecar.end(), Exit::Success, "parked");
        let requests = agent.requests();
        let lines: Vec<&str> = requests.iter().map(|request| &*request.line).collect();
        assert_eq!(lines, ["GET /v1/address", "GET /v1/address", "POST /v1/release"]);
        let asked = body(&requests[2]);
        assert_eq!((&asked["epoch"], &asked["scope"]), (&json!(epoch), &json!("all")));
    }
}

#[test]
fn f142_a_sidecar_that_does_not_know_its_epoch_releases_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let sidecar = asking(STOP, &silent.local_addr().unwrap().to_string()).start();
    let _connection = silent.accept().unwrap();
    sidecar.signal(Signal::SIGTERM);
    let text = "the agent releases the address when the pod has ended";
    ended_as(&sidecar.end(), Exit::AgentUnavailable, text);
}

#[test]
fn a_sidecar_without_a_token_reports_it_and_does_not_end_before_its_pod() {
    let agent = ScriptedAgent::with(&[(OK, &[parked()])]);
    let sidecar = agent.asked_by(STOP).set("FIRECAMP_TOKEN_FILE", "/nonexistent/token").start();
    sidecar.wait_for_log("waiting for SIGTERM");
    sidecar.signal(Signal::SIGTERM);
    ended_as(&sidecar.end(), Exit::TokenRefused, "/nonexistent/token");
    assert!(agent.requests().is_empty());
}

#[test]
fn a_pod_ends_in_its_usual_time_without_its_agent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = asking(STOP, &free).arg("release").end();
    ended_as(&ended, Exit::AgentUnavailable, &free);
    let elapsed = ended.report()["elapsedMs"].as_u64().unwrap();
    assert!((1_000..10_000).contains(&elapsed), "{elapsed} ms");
}

#[test]
fn a_refusal_of_the_agent_is_the_end_of_the_container() {
    for exit in [Exit::Superseded, Exit::RegistryUnavailable, Exit::NamespaceNotAllowed] {
        let agent = ScriptedAgent::with(&[(OK, &[outcome(exit.reason(), "the cause")])]);
        ended_as(&agent.asked_by(STOP).arg("release").end(), exit, "the cause");
        assert_eq!(agent.requests().len(), 1);
    }
}
