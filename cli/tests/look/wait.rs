//! `firecamp wait` with a strict API server, in this process and over a socket.

use std::collections::VecDeque;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::args::Command;
use firecamp_cli::failure::Failure;
use firecamp_cli::wait::{self, Report, WaitArguments};
use firecamp_core::contract::exit::Waited;
use serde_json::{Value, json};

use super::support::{Files, NODE, POD, Socket, cluster, golden, now, parsed, reader_of, run};

fn arguments(words: &[&str]) -> WaitArguments {
    let command = parsed(&[&["wait"], words].concat()).command;
    let Command::Wait(arguments) = command else { panic!("{command:?}") };
    arguments
}

/// Waits. Each progress report triggers the next of these changes to the server.
async fn waited(
    server: &ApiServer,
    words: &[&str],
    disruptions: &[&dyn Fn(&ApiServer)],
) -> (Result<Report, Failure>, Vec<String>) {
    let (mut disruptions, mut reported) = (VecDeque::from(disruptions.to_vec()), Vec::new());
    let mut report = |line: &str| {
        reported.push(line.to_owned());
        if let Some(disruption) = disruptions.pop_front() {
            disruption(server);
        }
    };
    let ended = wait::of(&reader_of(server), &arguments(words), &mut report).await;
    (ended, reported)
}

fn set(server: &ApiServer, replicas: u32) {
    let object = json!({
        "metadata": {},
        "spec": { "replicas": replicas },
        "status": { "observedGeneration": 9 },
    });
    server.set("statefulsets", (Some("prod"), "redis"), object);
}

fn pod(server: &ApiServer, name: &str, metadata: &Value) {
    let mut object = json!({
        "metadata": {
            "uid": POD,
            "labels": { "statefulset.kubernetes.io/pod-name": name },
        },
        "spec": { "nodeName": NODE },
        "status": { "phase": "Running" },
    });
    for (key, value) in metadata.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    server.set_pod("prod", name, object);
}

fn owner(name: &str) -> Value {
    let by = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": "s",
        "controller": true });
    json!([by])
}

/// A pod that began to terminate 90 minutes ago with a grace period of 30 s.
fn terminating(server: &ApiServer, name: &str) {
    let more = json!({
        "ownerReferences": owner("redis"),
        "deletionTimestamp": "2026-11-20T14:30:30Z",
        "deletionGracePeriodSeconds": 30,
    });
    pod(server, name, &more);
}

fn park(server: &ApiServer, address: &str) {
    server.change("staticips", None, address, |object| {
        object["spec"]["attachment"]["state"] = json!("Parked");
    });
}

#[tokio::test(start_paused = true)]
async fn f096_a_stopped_service_is_released_once_pods_and_held_addresses_are_gone() {
    let server = cluster().await;
    set(&server, 0);
    terminating(&server, "redis-0");
    let before = server.requests().len();
    let disruptions: [&dyn Fn(&ApiServer); 3] = [
        &|server| assert!(server.remove("pods", Some("prod"), "redis-0")),
        &|server| park(server, "10.1.0.20"),
        &|server| park(server, "10.1.0.23"),
    ];
    let (ended, reported) = waited(&server, &["released", "prod/redis"], &disruptions).await;
    let report = ended.unwrap();
    assert_eq!((report.reached, report.end()), (true, Waited::Reached), "{report:?}");
    let prefixes = [
        "prod/redis is not released yet: Pod prod/redis-0 on",
        "prod/redis is not released yet: StaticIP 10.1.0.20 on",
        "prod/redis is not released yet: StaticIP 10.1.0.23 on",
    ];
    assert_eq!(reported.len(), prefixes.len(), "{reported:?}");
    for (line, prefix) in reported.iter().zip(prefixes) {
        assert!(line.starts_with(prefix), "{line}");
    }
    let all = server.requests_since(before);
    assert!(all.iter().all(|one| one.starts_with("GET ")), "the command is read-only: {all:?}");
}

#[tokio::test(start_paused = true)]
async fn f096_a_deleted_set_is_not_released_while_orphaned_pods_exist() {
    let server = cluster().await;
    park(&server, "10.1.0.20");
    park(&server, "10.1.0.23");
    pod(&server, "redis-0", &json!({}));
    let (ended, _) = waited(&server, &["released", "redis", "--timeout", "3s"], &[]).await;
    let report = ended.unwrap();
    assert_eq!((report.end(), report.waited_seconds), (Waited::TimedOut, 3));
    let all = serde_json::to_value(&report.missing).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(all[0]["reason"], json!("PodNotDeleted"));
    assert_eq!((&all[0]["name"], &all[0]["node"]), (&json!("prod/redis-0"), &json!(NODE)));
    server.remove("pods", Some("prod"), "redis-0");
    let (ended, _) = waited(&server, &["released", "redis"], &[]).await;
    assert!(ended.unwrap().reached);
}

#[tokio::test(start_paused = true)]
async fn after_a_timeout_missing_objects_are_shown_with_advice() {
    let server = cluster().await;
    set(&server, 0);
    terminating(&server, "redis-0");
    server.change("staticips", None, "10.1.0.20", |object| {
        object["metadata"]["managedFields"] = json!([
            { "manager": "firecamp", "operation": "Update", "time": "2026-11-20T14:10:00Z" },
            { "manager": "firecamp", "operation": "Update", "time": "2026-11-20T15:59:00Z",
              "subresource": "status" },
        ]);
    });
    let (ended, _) = waited(&server, &["released", "prod/redis", "--timeout=9"], &[]).await;
    let report = ended.unwrap();
    golden("wait-missing.txt", &report.people(now()));
    golden("wait-missing.json", &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
}

#[tokio::test(start_paused = true)]
async fn a_service_is_attached_once_all_its_members_are() {
    let server = cluster().await;
    let (ended, _) = waited(&server, &["attached", "a/b/c"], &[]).await;
    assert_eq!(ended.unwrap_err().exit().code(), 2);
    set(&server, 1);
    let live = json!({ "ownerReferences": owner("redis") });
    let disruptions: [&dyn Fn(&ApiServer); 1] = [&|server| pod(server, "redis-0", &live)];
    let (ended, reported) = waited(&server, &["attached", "prod/redis"], &disruptions).await;
    let report = ended.unwrap();
    assert!(report.reached, "{report:?}");
    assert!(reported[0].contains("Pod prod/redis-0: PodMissing"), "{reported:?}");
    let text = report.people(now());
    assert!(text.starts_with("prod/redis is attached after "), "{text}");
    // The StaticIP of the second member names no live pod.
    set(&server, 2);
    pod(&server, "redis-1", &json!({ "ownerReferences": owner("redis"), "uid": "other" }));
    let (ended, _) = waited(&server, &["attached", "prod/redis", "--timeout=0"], &[]).await;
    let report = ended.unwrap();
    assert_eq!(report.missing.len(), 1, "{report:?}");
    assert_eq!(report.missing[0].name, "prod/redis-1");
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_list_or_an_unreadable_pod_is_an_error() {
    let server = cluster().await;
    server.fail_next("GET", "pods", Fault::Cut);
    let (ended, _) = waited(&server, &["released", "prod/kafka"], &[]).await;
    assert!(ended.unwrap_err().chain().contains("list the pods of namespace prod"));
    server.set_pod("prod", "kafka-0", json!({ "metadata": { "uid": 7 } }));
    let (ended, _) = waited(&server, &["released", "prod/kafka"], &[]).await;
    assert_eq!(ended.unwrap_err().exit().code(), 16);
}

#[tokio::test]
async fn the_command_exits_with_14_on_timeout_and_with_0_on_success() {
    let server = cluster().await;
    let socket = Socket::of(&server).await;
    let file = socket.kubeconfig();
    let place = ["--kubeconfig", file.to_str().unwrap(), "--context", "test"];
    let output =
        run(&[&["wait", "released", "redis", "--timeout", "0"], &place[..]].concat()).await;
    assert_eq!((output.code, output.err.as_str()), (Some(14), ""), "{}", output.out);
    assert!(
        output.out.contains("10.1.0.20") && output.out.contains("AddressHeld"),
        "{}",
        output.out
    );
    let words = ["wait", "released", "dev/old", "-o", "json"];
    let output = run(&[&words, &place[..]].concat()).await;
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{}", output.out);
    let value: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&value["reached"], &value["state"]), (&json!(true), &json!("Released")));
}

#[tokio::test]
async fn invalid_arguments_are_usage_errors() {
    let files = Files::new().await;
    let output = run(&["wait", "released", "prod/redis", "--registry", &files.url()]).await;
    assert_eq!(output.code, Some(2), "{}", output.err);
    assert!(output.err.contains("neither pods nor StatefulSets"), "{}", output.err);
    for (words, named) in
        [(["wait", "stopped", "redis"], "stopped"), (["wait", "released", "--timeout=1y"], "1y")]
    {
        let output = run(&words).await;
        assert_eq!(output.code, Some(2), "{words:?}: {}", output.err);
        assert!(output.err.contains(named), "{words:?}: {}", output.err);
    }
    let help = run(&["wait", "--help"]).await.out;
    for text in ["FIRECAMP_WAIT_TIMEOUT", "--replicas=0", "Exit codes: 0 ", "14 timed out"] {
        assert!(help.contains(text), "{text} is not in:\n{help}");
    }
}
