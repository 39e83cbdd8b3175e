//! Pods that the policies see.

use serde_json::{Value, json};

use super::{LABEL, member};
use crate::samples::with;

/// Pods, and the QoS class that they have without FireCamp.
pub(super) fn pods() -> Vec<(Value, &'static str)> {
    let amounts = json!({ "cpu": "1", "memory": "1Gi" });
    let requests = json!([{ "name": "a", "image": "a", "resources": { "requests": amounts } }]);
    let all = json!({ "requests": amounts, "limits": amounts });
    let guaranteed = json!([{ "name": "a", "image": "a", "resources": all }]);
    let empty = json!([{ "name": "data", "emptyDir": {} }]);
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let before = json!([{ "name": "prepare", "image": "b", "volumeMounts": mounts }]);
    let two = json!([{ "name": "a", "image": "a", "volumeMounts": mounts }, { "name": "b", "image": "b" }]);
    let twice = json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }]);
    let twice = json!([{ "name": "a", "image": "a", "env": twice, "volumeMounts": null }]);
    let sidecar = json!([{ "name": "log", "image": "b", "restartPolicy": "Always" }]);
    // One has the endpoint already.
    let meshed = json!({
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/8",
        "config.linkerd.io/skip-outbound-ports": "3306,9814",
    });
    vec![
        (member(), "BestEffort"),
        (with(member(), &[("/spec/hostNetwork", json!(false))]), "BestEffort"),
        (with(member(), &[("/metadata/annotations", meshed)]), "BestEffort"),
        (
            with(member(), &[("/spec/containers", twice), ("/spec/volumes", json!([]))]),
            "BestEffort",
        ),
        (with(member(), &[("/spec/initContainers", sidecar)]), "BestEffort"),
        (with(member(), &[("/spec/containers", requests)]), "Burstable"),
        (with(member(), &[("/spec/containers", guaranteed)]), "Guaranteed"),
        (with(member(), &[("/metadata/labels", json!({ LABEL: "other" }))]), "BestEffort"),
        (
            with(
                member(),
                &[
                    ("/spec/volumes", empty),
                    ("/spec/initContainers", before),
                    ("/spec/containers", two),
                ],
            ),
            "BestEffort",
        ),
    ]
}

/// A field of an injected container, another value, and a text of the refusal.
pub(super) fn other_containers() -> Vec<(&'static str, Value, &'static str)> {
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    let asks = variable("FIRECAMP_ENDPOINT", "169.254.196.96:9814");
    let token = json!({ "name": "firecamp-token", "mountPath": "/var/run/secrets/firecamp.io" });
    let part = json!({
        "name": "firecamp-address", "mountPath": "/run/firecamp.io", "subPath": "elsewhere",
    });
    let limit = |name: &str, count: &str| json!({ "limits": { name: count }, "requests": {} });
    let runs = "must run the image firecamp-initcontainer";
    let endpoint = "FIRECAMP_ENDPOINT must be";
    let slots = "must have the limit firecamp.io/static-ip: 1";
    vec![
        ("image", json!("firecamp-initcontainer-2:1"), runs),
        ("image", json!("busybox:1"), runs),
        ("command", json!(["true"]), runs),
        ("args", json!(["--help"]), runs),
        ("envFrom", json!([{ "configMapRef": { "name": "a" } }]), runs),
        ("restartPolicy", json!("Always"), runs),
        ("env", json!([variable("FIRECAMP_ENDPOINT", "10.0.0.1:9814")]), endpoint),
        ("env", json!([]), endpoint),
        ("env", json!([asks, variable("FIRECAMP_REQUIRE_MOUNT", "false")]), endpoint),
        ("env", json!([asks, variable("FIRECAMP_ADDRESS_FILE", "/tmp/a")]), endpoint),
        ("volumeMounts", json!([]), "must mount firecamp-token"),
        ("volumeMounts", json!([token, part]), "must mount firecamp-token"),
        ("resources", json!({}), slots),
        ("resources", limit("firecamp.io/static-ip", "0"), slots),
        ("resources", limit("firecamp.io/static-ip-b", "1"), slots),
    ]
}

/// Changes of an injected pod, and a text of the refusal.
pub(super) fn refused() -> Vec<(Vec<(&'static str, Value)>, &'static str)> {
    let mirror = json!({ "kubernetes.io/config.mirror": "x" });
    let token = json!({ "name": "firecamp-token", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "audience": "other" } },
    ]}});
    let elsewhere = json!({ "name": "firecamp-address", "hostPath": { "path": "/tmp" } });
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": true,
    }]);
    let gone = ("/spec/initContainers", Value::Null);
    let sandboxed = ("/spec/runtimeClassName", json!("kata"));
    let eni = json!({ "limits": { "vpc.amazonaws.com/pod-eni": "1" } });
    let mounting = |volume: &str, name: &str| {
        let mounts = json!([{ "name": volume, "mountPath": "/run/firecamp.io" }]);
        json!({ "name": name, "image": name, "volumeMounts": mounts })
    };
    let hidden = json!([mounting("firecamp-address", "a"), mounting("firecamp-token", "b")]);
    let covered = "a container mounts another volume at /run/firecamp.io";
    let beside = json!([{ "name": "firecamp-address", "mountPath": "/etc/address" }]);
    let part = |field: &str| {
        let mount =
            json!({ "name": "firecamp-address", "mountPath": "/run/firecamp.io", field: "part" });
        json!([mount])
    };
    let unread = "no container mounts the whole volume";
    // A volume of direct mode that nothing mounts.
    let left = json!([{ "name": "run", "hostPath": { "path": "/run/firecamp" } }]);
    vec![
        (vec![("/metadata/labels", json!({ LABEL: "missing" })), gone.clone()], "is missing"),
        (
            vec![gone, ("/spec/volumes", left), ("/spec/containers/0/volumeMounts", json!([]))],
            "is missing",
        ),
        (
            vec![("/metadata/annotations", mirror), ("/spec/nodeName", json!("n1"))],
            "a static pod has no token",
        ),
        (vec![("/metadata/ownerReferences", owner)], "only pods whose names stay"),
        (vec![("/spec/hostNetwork", json!(false)), sandboxed], "the runtimeClassName kata"),
        (vec![("/spec/containers/0/resources", eni)], "vpc.amazonaws.com/pod-eni"),
        (vec![("/spec/volumes/0", token)], "the audience"),
        (vec![("/spec/volumes/1", elsewhere)], "must be an emptyDir"),
        (vec![("/spec/containers", hidden)], covered),
        (vec![("/spec/containers", json!([mounting("firecamp-token", "a")]))], covered),
        (vec![("/spec/containers/0/volumeMounts", json!([]))], unread),
        (vec![("/spec/containers/0/volumeMounts", beside)], unread),
        (vec![("/spec/containers/0/volumeMounts", part("subPath"))], unread),
        (vec![("/spec/containers/0/volumeMounts", part("subPathExpr"))], unread),
    ]
}

/// Pods that stay valid: `firecamp inject` prepared them for an earlier version, a webhook put its
/// own containers before those of a prepared pod, or a container mounts the address twice.
pub(super) fn accepted(whole: &Value) -> Vec<Value> {
    let older = |image: &str| {
        let image = json!(image);
        with(whole.clone(), &[("/spec/initContainers/0/image", image)])
    };
    let before = |list: &str, name: &str| {
        let first = json!({ "name": name, "image": "c" });
        json!([first, whole["spec"][list][0]])
    };
    let mesh = [
        ("/spec/initContainers", before("initContainers", "mesh-init")),
        ("/spec/containers", before("containers", "mesh-proxy")),
    ];
    let own = json!({ "name": "firecamp-address", "mountPath": "/etc/address" });
    let twice = json!([own, whole["spec"]["containers"][0]["volumeMounts"][0]]);
    vec![
        older("firecamp-initcontainer:0.0.9"),
        older("r.example.com:5000/firecamp-initcontainer@sha256:0"),
        with(whole.clone(), &mesh),
        with(whole.clone(), &[("/spec/containers/0/volumeMounts", twice)]),
    ]
}
