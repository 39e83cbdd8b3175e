//! How `firecamp cleanup` finds the members of its node.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::cleanup::{Members, members};
use firecamp_core::ids::{NodeName, PodUid};
use firecamp_node::cleanup::Holder;
use serde_json::{Value, json};

use super::support::{Files, NODE, POD, address, cluster, reader_of};

/// The addresses of the machine on which the command runs.
fn here() -> Vec<std::net::Ipv4Addr> {
    vec![[127, 0, 0, 1].into(), address(4)]
}

fn pod(uid: &str, phase: &str, node: &str) -> Value {
    let (spec, status) = (json!({ "nodeName": node }), json!({ "phase": phase }));
    json!({ "metadata": { "uid": uid }, "spec": spec, "status": status })
}

/// The cluster, with this machine as a Node and some pods.
async fn node() -> ApiServer {
    let server = cluster().await;
    let internal = json!([{ "type": "InternalIP", "address": address(4).to_string() }]);
    server.set(
        "nodes",
        (None, NODE),
        json!({ "metadata": {}, "status": { "addresses": internal } }),
    );
    server.set_pod("prod", "redis-0", pod(POD, "Running", NODE));
    server.set_pod("prod", "done-0", pod("ended", "Succeeded", NODE));
    server.set_pod("prod", "redis-2", pod("elsewhere", "Running", "another"));
    server
}

async fn found(server: &ApiServer, node: &str) -> Members {
    members(&reader_of(server), &NodeName::new(node).unwrap(), &here()).await
}

#[tokio::test]
async fn live_pods_and_attached_addresses_of_the_node_are_listed() {
    let Members { pods, records } = found(&node().await, NODE).await;
    let uid = PodUid::new(POD).unwrap();
    assert_eq!(pods, Ok([(uid, "prod/redis-0".to_owned())].into()));
    let records = records.unwrap();
    let Holder { member, .. } = &records[&address(20)];
    assert_eq!(member, "prod/redis-0");
    assert!(!records.contains_key(&address(22)), "a parked address is not held");
}

#[tokio::test]
async fn f099_a_node_object_of_another_machine_is_rejected() {
    let server = node().await;
    let other = json!([{ "type": "InternalIP", "address": "10.9.9.9" }]);
    server.set(
        "nodes",
        (None, "other"),
        json!({ "metadata": {}, "status": { "addresses": other } }),
    );
    for (name, words) in [("other", "another machine"), ("no-node", "no Node no-node")] {
        let Members { pods, records } = found(&server, name).await;
        let why = pods.unwrap_err();
        assert!(why.contains(words) && why.contains("--node-name"), "{why}");
        assert_eq!(records.unwrap_err(), why);
    }
}

#[tokio::test]
async fn f099_unreadable_objects_are_unknown_not_absent() {
    for plural in ["nodes", "pods", "staticips"] {
        let server = node().await;
        server.fail_next("GET", plural, Fault::LostRequest);
        let Members { pods, records } = found(&server, NODE).await;
        assert_eq!(pods.is_err(), plural != "staticips", "{plural}");
        assert_eq!(records.is_err(), plural != "pods", "{plural}");
    }
    let server = node().await;
    let invalid = json!({ "metadata": {}, "spec": { "nodeName": NODE }, "status": { "phase": 5 } });
    server.set_pod("prod", "invalid", invalid);
    let why = found(&server, NODE).await.pods.unwrap_err();
    assert!(why.contains("prod/invalid"), "{why}");
}

#[tokio::test]
async fn a_file_registry_has_attached_addresses_but_no_pods() {
    let files = Files::new().await;
    let Members { pods, records } =
        members(&files.reader(), &NodeName::new(NODE).unwrap(), &here()).await;
    assert!(pods.unwrap_err().contains("no pods"));
    assert!(records.unwrap().contains_key(&address(20)));
}
