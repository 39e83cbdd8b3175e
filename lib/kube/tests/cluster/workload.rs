//! A StatefulSet, its pods and what its members have, as who waits for them reads it.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::SetName;
use firecamp_core::outside::Controller;
use firecamp_kube::{Inventory, PodLife, SetSeen};
use serde_json::{Value, json};

use super::support::{Cluster, IPS, QUICK, failed};

fn inventory(server: &ApiServer) -> Inventory {
    Inventory::new(server.client(), QUICK)
}

#[tokio::test]
async fn a_stateful_set_is_told_with_its_numbers_and_whether_its_controller_has_seen_it() {
    let server = ApiServer::default();
    let put = |metadata: Value, spec: Value, observed: u64| {
        let status = json!({ "observedGeneration": observed });
        let object = json!({ "metadata": metadata, "spec": spec, "status": status });
        server.set("statefulsets", (Some("prod"), "redis"), object);
    };
    let read = async || inventory(&server).set("prod", "redis").await.unwrap();
    assert_eq!(read().await, None);
    put(json!({}), json!({ "replicas": 3, "ordinals": { "start": 2 } }), 1);
    let wanted = SetSeen { replicas: 3, first: 2, observed: true, deleting: false };
    assert_eq!(read().await, Some(wanted));
    put(json!({ "deletionTimestamp": "2026-11-20T15:00:30Z" }), json!({ "replicas": 0 }), 1);
    let wanted = SetSeen { replicas: 0, first: 0, observed: false, deleting: true };
    assert_eq!(read().await, Some(wanted), "its controller has seen the first spec alone");
}

#[tokio::test]
async fn pods_are_told_with_where_they_are_in_their_lives_and_whose_they_are() {
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
    let seen: Vec<_> = pods
        .iter()
        .map(|pod| (pod.name.as_str(), pod.controller.clone(), pod.made_by_set, &pod.life))
        .collect();
    let redis = Some(Controller::StatefulSet(SetName::new("redis").unwrap()));
    let over = PodLife::Ending {
        since: Some("2026-11-20T15:00:00Z".to_owned()),
        until: "2026-11-20T15:00:30Z".to_owned(),
    };
    let wanted = [
        ("redis-0", redis, true, &PodLife::Live),
        // Another pod's label, which somebody has copied.
        ("redis-1", None, false, &over),
        ("redis-2", None, false, &PodLife::Ended),
    ];
    assert_eq!(seen, wanted);
    assert!(pods.iter().all(|pod| pod.node.as_deref() == Some("node-a")), "{pods:?}");
}

#[tokio::test]
async fn when_a_pods_deletion_was_asked_for_is_not_guessed() {
    let server = ApiServer::default();
    let metadata = json!({ "deletionTimestamp": "soon", "deletionGracePeriodSeconds": 30 });
    server.set_pod("prod", "redis-0", json!({ "metadata": metadata }));
    let pods = inventory(&server).pods("prod").await.unwrap();
    let life = PodLife::Ending { since: None, until: "soon".to_owned() };
    assert_eq!((pods[0].node.as_ref(), &pods[0].life), (None, &life));
}

#[tokio::test]
async fn pods_of_which_one_cannot_be_read_are_no_list() {
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
