//! Reads of a StatefulSet, its pods and its members' objects.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::SetName;
use firecamp_core::ports::Controller;
use firecamp_kube::{Inventory, ObservedSet, PodState};
use serde_json::{Value, json};

use super::support::{Cluster, IPS, QUICK, failed};

fn inventory(server: &ApiServer) -> Inventory {
    Inventory::new(server.client(), QUICK)
}

#[tokio::test]
async fn a_stateful_set_is_read_with_its_ordinals_and_observed_generation() {
    let server = ApiServer::default();
    let put = |metadata: Value, spec: Value, observed: u64| {
        let status = json!({ "observedGeneration": observed });
        let object = json!({ "metadata": metadata, "spec": spec, "status": status });
        server.set("statefulsets", (Some("prod"), "redis"), object);
    };
    let read = async || inventory(&server).set("prod", "redis").await.unwrap();
    assert_eq!(read().await, None);
    put(json!({}), json!({ "replicas": 3, "ordinals": { "start": 2 } }), 1);
    let wanted = ObservedSet { replicas: 3, first: 2, observed: true, deleting: false };
    assert_eq!(read().await, Some(wanted));
    put(json!({ "deletionTimestamp": "2026-11-20T15:00:30Z" }), json!({ "replicas": 0 }), 1);
    let wanted = ObservedSet { replicas: 0, first: 0, observed: false, deleting: true };
    assert_eq!(read().await, Some(wanted), "the controller has observed only the first spec");
}

#[tokio::test]
async fn pods_are_read_with_their_state_and_controller() {
    let server = ApiServer::default();
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis",
        "uid": "s-1", "controller": true }]);
    let label = |name: &str| json!({ "statefulset.kubernetes.io/pod-name": name });
    let put = |name: &str, metadata: Value, phase: &str| {
        let spec = json!({ "nodeName": "node-a" });
        let object = json!({ "metadata": metadata, "spec": spec, "status": { "phase": phase } });
        server.set_pod("prod", name, object);
    };
    put("redis-0", json!({ "ownerReferences": owner, "labels": label("redis-0") }), "Running");
    let ending = json!({ "deletionTimestamp": "2026-11-20T15:00:30Z",
        "deletionGracePeriodSeconds": 30, "labels": label("redis-0") });
    put("redis-1", ending, "Failed");
    put("redis-2", json!({}), "Succeeded");
    server.set_pod("dev", "redis-0", json!({ "metadata": {} }));
    let pods = inventory(&server).pods("prod").await.unwrap();
    let observed: Vec<_> = pods
        .iter()
        .map(|pod| (pod.name.as_str(), pod.controller.clone(), pod.made_by_set, &pod.lifecycle))
        .collect();
    let redis = Some(Controller::StatefulSet(SetName::new("redis").unwrap()));
    let over = PodState::Ending {
        since: Some("2026-11-20T15:00:00Z".to_owned()),
        until: "2026-11-20T15:00:30Z".to_owned(),
    };
    let wanted = [
        ("redis-0", redis, true, &PodState::Live),
        // A copied label of another pod.
        ("redis-1", None, false, &over),
        ("redis-2", None, false, &PodState::Ended),
    ];
    assert_eq!(observed, wanted);
    assert!(pods.iter().all(|pod| pod.node.as_deref() == Some("node-a")), "{pods:?}");
}

#[tokio::test]
async fn the_start_of_a_deletion_is_not_guessed() {
    let server = ApiServer::default();
    let metadata = json!({ "deletionTimestamp": "soon", "deletionGracePeriodSeconds": 30 });
    server.set_pod("prod", "redis-0", json!({ "metadata": metadata }));
    let pods = inventory(&server).pods("prod").await.unwrap();
    let lifecycle = PodState::Ending { since: None, until: "soon".to_owned() };
    assert_eq!((pods[0].node.as_ref(), &pods[0].lifecycle), (None, &lifecycle));
}

#[tokio::test]
async fn an_unreadable_pod_fails_the_list() {
    let server = ApiServer::default();
    server.set_pod("prod", "redis-0", json!({ "metadata": {} }));
    server.fail_next("GET", "pods", Fault::Cut);
    let (_, _, text) = failed(inventory(&server).pods("prod").await);
    assert!(text.contains("list the pods of namespace prod"), "{text}");
    server.set_pod("prod", "redis-1", json!({ "metadata": { "uid": 7 } }));
    let (kind, _, text) = failed(inventory(&server).pods("prod").await);
    assert_eq!(kind, RegistryKind::Invalid, "{text}");
}

#[tokio::test]
async fn claims_and_addresses_are_those_of_the_namespace() {
    let cluster = Cluster::new().await;
    let inventory = inventory(&cluster.server);
    for (namespace, some) in [("prod", true), ("dev", false)] {
        let claims = inventory.claims_in(namespace).await.unwrap();
        let addresses = inventory.addresses_in(namespace).await.unwrap();
        assert_eq!((!claims.is_empty(), !addresses.is_empty()), (some, some), "{namespace}");
    }
    cluster.server.fail_next("GET", IPS, Fault::Cut);
    let (_, _, text) = failed(inventory.addresses_in("prod").await);
    assert!(text.contains("list the StaticIPs of namespace prod"), "{text}");
}
