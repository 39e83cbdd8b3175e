//! Pods with FireCamp's scheduling gate: how they are read and changed.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_controllers::leader::{BoundVolume, Change, Cluster as _, GatedPod, Identity};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::Member;
use firecamp_kube::{Item, KubeCluster, KubeRegistry};
use serde_json::{Value, json};

use super::support::{QUICK, failed};

fn cluster(server: &ApiServer) -> KubeCluster {
    KubeCluster::new(&KubeRegistry::new(server.client(), QUICK))
}

fn member() -> Member {
    Member::new("prod", "redis-0").unwrap()
}

fn set_pod(server: &ApiServer, spec: &Value) {
    server.set_pod("prod", "redis-0", json!({ "metadata": { "uid": "u-1" }, "spec": spec }));
}

fn gates(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "name": name })).collect()
}

/// The only unscheduled pod; none if it has not the gate.
async fn gated(server: &ApiServer) -> Option<GatedPod> {
    let items = cluster(server).unscheduled_pods().list().await.unwrap();
    let [Item { object, .. }] = &*items else { panic!("{items:?}") };
    object.clone().unwrap()
}

#[tokio::test]
async fn a_gated_pod_is_read_with_its_zone_its_claims_and_its_other_gates() {
    let server = ApiServer::default();
    set_pod(
        &server,
        &json!({
            "schedulingGates": gates(&["a.example/b", "firecamp.io/zone"]),
            "nodeSelector": { "disk": "ssd", "topology.kubernetes.io/zone": "us-east-1a" },
            "volumes": [
                { "name": "data", "persistentVolumeClaim": { "claimName": "data-redis-0" } },
                { "name": "scratch", "ephemeral": {} },
                { "name": "token", "projected": {} },
            ],
        }),
    );
    server.set_pod("prod", "redis-1", json!({ "metadata": {}, "spec": { "nodeName": "node-1" } }));
    let pod = gated(&server).await.unwrap();
    assert_eq!(pod.other_gates, ["a.example/b"]);
    assert_eq!(pod.zone.as_deref(), Some("us-east-1a"));
    assert_eq!(pod.claims, ["data-redis-0", "redis-0-scratch"]);
    assert_eq!((pod.id.uid.as_str(), pod.id.deleting), ("u-1", false));
}

#[tokio::test]
async fn a_pod_without_the_gate_is_not_gated() {
    let server = ApiServer::default();
    for names in [&[][..], &["a.example/b"]] {
        set_pod(&server, &json!({ "schedulingGates": gates(names) }));
        assert_eq!(gated(&server).await, None);
    }
}

#[tokio::test]
async fn the_gate_is_removed_and_the_zone_added_in_one_write_of_the_version_that_was_read() {
    let server = ApiServer::default();
    set_pod(
        &server,
        &json!({
            "schedulingGates": gates(&["firecamp.io/zone", "a.example/b"]),
            "nodeSelector": { "disk": "ssd" },
        }),
    );
    let GatedPod { id, other_gates, .. } = gated(&server).await.unwrap();
    let (leader, zone) = (cluster(&server), Some("us-east-1a".parse().unwrap()));
    let change = |id: &Identity| {
        Change::RemoveZoneGate(member(), id.clone(), other_gates.clone(), zone.clone())
    };
    let stale = Identity { version: "1".parse().unwrap(), ..id.clone() };
    let (kind, _, detail) = failed(leader.change(&change(&stale)).await);
    assert_eq!(kind, RegistryKind::Conflict, "{detail}");
    let before = server.requests().len();
    leader.change(&change(&id)).await.unwrap();
    assert_eq!(server.requests_since(before), ["PATCH pods/redis-0"]);
    let pod = server.object("pods", Some("prod"), "redis-0").unwrap();
    let selector = json!({ "disk": "ssd", "topology.kubernetes.io/zone": "us-east-1a" });
    assert_eq!(pod["spec"]["nodeSelector"], selector);
    assert_eq!(pod["spec"]["schedulingGates"], gates(&["a.example/b"]));
}

#[tokio::test]
async fn without_a_zone_the_node_selector_stays() {
    let server = ApiServer::default();
    set_pod(&server, &json!({ "schedulingGates": gates(&["firecamp.io/zone"]) }));
    let id = gated(&server).await.unwrap().id;
    let change = Change::RemoveZoneGate(member(), id, Vec::new(), None);
    cluster(&server).change(&change).await.unwrap();
    let pod = server.object("pods", Some("prod"), "redis-0").unwrap();
    assert_eq!(pod["spec"], json!({ "schedulingGates": [] }));
}

#[tokio::test]
async fn the_volumes_of_a_pod_are_those_to_which_its_claims_are_bound() {
    let server = ApiServer::default();
    let claim = |name: &str, volume: Option<&str>| {
        let object = json!({ "metadata": {}, "spec": { "volumeName": volume } });
        server.set("persistentvolumeclaims", (Some("prod"), name), object);
    };
    claim("zonal", Some("pv-1"));
    claim("shared", Some("pv-2"));
    claim("pending", None);
    claim("lost", Some("pv-9"));
    let terms = json!([{ "matchExpressions": [{
        "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"],
    }] }]);
    let affinity = json!({ "required": { "nodeSelectorTerms": terms } });
    let volume = |name, spec: Value| {
        server.set("persistentvolumes", (None, name), json!({ "metadata": {}, "spec": spec }));
    };
    volume("pv-1", json!({ "nodeAffinity": affinity }));
    volume("pv-2", json!({ "nfs": {} }));
    let leader = cluster(&server);
    let claims = ["zonal", "shared", "pending", "lost", "absent"].map(str::to_owned);
    let found = leader.volumes(&member(), &claims).await.unwrap();
    let bound = |name: &str, zones: &[&str]| BoundVolume {
        name: name.to_owned(),
        zones: zones.iter().map(|zone| zone.parse().unwrap()).collect(),
    };
    assert_eq!(found, [bound("pv-1", &["us-east-1a"]), bound("pv-2", &[])]);
    server.fail_next("GET", "persistentvolumes", Fault::Cut);
    assert!(leader.volumes(&member(), &claims).await.is_err(), "none of them counts as unbound");
}
