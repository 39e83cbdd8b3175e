//! The objects of the fleet, as JSON.

use firecamp_core::contract::cluster::{LEASE, ZONE_LABEL, annotation, condition, reason};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fleet::{MEMBERS, Node, PODS, POOL, ranges};

/// The namespace of all pods and claims.
pub(super) const NAMESPACE: &str = "prod";
/// The namespace and the service account of the agents.
pub(super) const SYSTEM: &str = "firecamp-system";
pub(super) const ACCOUNT: &str = "firecamp-agent";

/// The paths of collections.
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const GROUP: &str = "/apis/firecamp.io/v1alpha1";
pub(super) const STATIC_IPS: &str = "/apis/firecamp.io/v1alpha1/staticips";
/// The plurals of all custom resources.
pub(super) const CUSTOM: [&str; 5] =
    ["staticips", "staticipclaims", "staticippools", "nodeattachments", "nodeinterfaces"];

/// The collection of a namespaced kind: `pods`.
pub(super) fn core(namespace: &str, plural: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}")
}

pub(super) fn claims() -> String {
    format!("/apis/firecamp.io/v1alpha1/namespaces/{NAMESPACE}/staticipclaims")
}

pub(super) fn sets() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets")
}

pub(super) fn leases() -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases")
}

/// The time in the objects. Nothing compares it with the present.
const SINCE: &str = "2026-11-20T15:00:00Z";

pub(super) fn pool() -> Value {
    let subnets: Vec<Value> = ranges()
        .map(|(subnet, cidr, zone, [start, end])| {
            json!({ "subnet": subnet, "cidr": cidr, "zone": zone,
                "ranges": [{ "start": start, "end": end }] })
        })
        .collect();
    json!({
        "apiVersion": "firecamp.io/v1alpha1", "kind": "StaticIPPool",
        "metadata": { "name": POOL },
        "spec": { "subnets": subnets },
    })
}

/// A Node as the kubelet and the cloud provider write it.
pub(super) fn node(node: Node) -> Value {
    json!({
        "metadata": { "name": node.name(), "labels": {
            "kubernetes.io/hostname": node.name(),
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m5.4xlarge",
            "topology.kubernetes.io/region": "us-east-1",
            ZONE_LABEL: node.zone(),
        }},
        "spec": { "providerID": format!("aws:///{}/{}", node.zone(), node.instance()) },
    })
}

pub(super) fn node_status(node: Node) -> Value {
    let resources = json!({ "cpu": "16", "memory": "63450Mi", "pods": "234" });
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "type": kind, "status": status, "reason": reason, "message": "as reported",
            "lastHeartbeatTime": SINCE, "lastTransitionTime": SINCE })
    };
    let images: Vec<Value> = (0..20_u32)
        .map(|number| {
            let name = format!("registry.example.com/image-{number}@sha256:{number:064}");
            json!({ "names": [name], "sizeBytes": 123_456_789 })
        })
        .collect();
    json!({ "status": {
        "capacity": resources, "allocatable": resources, "images": images,
        "addresses": [{ "type": "InternalIP", "address": node.primary(0) },
            { "type": "Hostname", "address": node.name() }],
        "conditions": [
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        ],
    }})
}

/// What the kubelet changes of a Node that has not changed: a strategic merge patch.
pub(super) fn heartbeat(now: Timestamp) -> Value {
    let kinds = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    let conditions =
        kinds.map(|kind| json!({ "type": kind, "lastHeartbeatTime": now.to_string() }));
    json!({ "status": { "conditions": conditions } })
}

/// The StatefulSet of a node's members. No controller acts on it.
pub(super) fn set(node: Node) -> Value {
    let labels = json!({ "app.kubernetes.io/instance": node.set() });
    let container = json!({ "name": "server", "image": "registry.example.com/team/server:v1.2.3" });
    json!({
        "metadata": { "name": node.set(), "namespace": NAMESPACE },
        "spec": {
            "serviceName": "redis", "replicas": MEMBERS, "ordinals": { "start": PODS },
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [container] },
            },
        },
    })
}

/// A member's pod: the StatefulSet with this UID controls it.
pub(super) fn member_pod(node: Node, member: u32, set: &str) -> Value {
    let mut pod = pod(node, member);
    if let Some(metadata) = pod.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": node.set(),
            "uid": set, "controller": true });
        metadata.insert("ownerReferences".to_owned(), json!([owner]));
    }
    pod
}

/// The pod with this number on a node: of a usual size, without its controller.
pub(super) fn pod(node: Node, number: u32) -> Value {
    let name = node.pod(number);
    let set = if number < MEMBERS { "redis" } else { "web" };
    let container = |name: &str| {
        let variables: Vec<Value> = (0..4)
            .map(|number| {
                let name = format!("CONFIGURATION_OF_THIS_CONTAINER_{number}");
                json!({ "name": name, "value": format!("a value of some length, {number}") })
            })
            .collect();
        let probe = json!({ "httpGet": { "path": "/healthz", "port": 8080 },
            "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3 });
        json!({
            "name": name, "image": format!("registry.example.com/team/{name}:v1.2.3"),
            "imagePullPolicy": "IfNotPresent", "env": variables,
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" },
                "limits": { "memory": "256Mi" } },
            "livenessProbe": probe, "readinessProbe": probe,
            "volumeMounts": [{ "name": "data", "mountPath": "/data" },
                { "name": "configuration", "mountPath": "/etc/configuration", "readOnly": true }],
        })
    };
    json!({
        "metadata": { "name": name, "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/name": set, "app.kubernetes.io/instance": "production",
                "app.kubernetes.io/managed-by": "helm", "apps.kubernetes.io/pod-index": "0",
                "controller-revision-hash": "redis-7d9c5b8f6d",
                "statefulset.kubernetes.io/pod-name": name,
            },
            "annotations": {
                "checksum/configuration": format!("{number:064}"),
                "prometheus.io/scrape": "true", "prometheus.io/port": "8080",
            },
        },
        "spec": {
            "nodeName": node.name(), "hostNetwork": false, "hostname": name,
            "subdomain": set, "terminationGracePeriodSeconds": 30,
            "containers": [container("server"), container("exporter")],
            "volumes": [{ "name": "data", "emptyDir": {} },
                { "name": "configuration", "configMap": { "name": "configuration" } }],
            "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists",
                "effect": "NoExecute", "tolerationSeconds": 300 }],
        },
    })
}

/// The status of a running pod. `version` is in a message, so that another version is a change.
pub(super) fn pod_status(node: Node, number: u32, version: u32) -> Value {
    let condition = |kind: &str| {
        json!({ "type": kind, "status": "True", "lastTransitionTime": SINCE,
            "message": format!("version {version}") })
    };
    let container = |name: &str| {
        json!({
            "name": name, "ready": true, "started": true, "restartCount": 0,
            "image": format!("registry.example.com/team/{name}:v1.2.3"),
            "imageID": format!("registry.example.com/team/{name}@sha256:{number:064}"),
            "containerID": format!("containerd://{:064}", node.0),
            "state": { "running": { "startedAt": SINCE } }, "lastState": {},
        })
    };
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    let address = format!("100.64.{}.{number}", node.0 % 256);
    json!({ "status": {
        "phase": "Running", "startTime": SINCE, "qosClass": "Burstable",
        "hostIP": node.primary(0), "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": conditions,
        "containerStatuses": [container("server"), container("exporter")],
    }})
}

/// The pod of the agent, to which its token is bound.
pub(super) fn agent_pod(node: Node) -> Value {
    json!({
        "metadata": { "name": agent_name(node), "namespace": SYSTEM },
        "spec": {
            "nodeName": node.name(), "serviceAccountName": ACCOUNT,
            "containers": [{ "name": "agent", "image": "firecamp-agent" }],
        },
    })
}

pub(super) fn agent_name(node: Node) -> String {
    format!("firecamp-agent-{}", node.name())
}

/// The claim of a member, which is bound, with the UID of the member's StatefulSet.
pub(super) fn claim(node: Node, member: u32, set: &str) -> Value {
    let owner = json!({ (annotation::SET): node.set(), (annotation::SET_UID): set });
    json!({
        "apiVersion": "firecamp.io/v1alpha1", "kind": "StaticIPClaim",
        "metadata": { "name": node.pod(member), "namespace": NAMESPACE, "annotations": owner },
        "spec": { "pool": POOL, "address": node.address(member) },
    })
}

/// The status of a claim as the leader writes it: it has nothing to add.
pub(super) fn claim_status(node: Node, member: u32) -> Value {
    let (address, subnet, zone) = (node.address(member), node.subnet_id(), node.zone());
    let message = format!("{address} in {subnet} belongs to the member, whose pods run in {zone}");
    json!({ "status": { "conditions": [{
        "type": condition::BOUND, "status": "True", "reason": reason::BOUND, "message": message,
        // That of a new object.
        "observedGeneration": 1, "lastTransitionTime": SINCE,
    }]}})
}

/// The StaticIP of a member, which its live pod holds.
pub(super) fn static_ip(node: Node, member: u32, pod: &str) -> Value {
    let (address, eni) = (node.address(member), node.eni_of(member));
    json!({
        "apiVersion": "firecamp.io/v1alpha1", "kind": "StaticIP",
        "metadata": { "name": address },
        "spec": {
            "address": address, "pool": POOL, "subnet": node.subnet_id(), "cidr": node.cidr(),
            "zone": node.zone(), "epoch": 1,
            "claimRef": { "namespace": NAMESPACE, "name": node.pod(member) },
            "attachment": { "state": "Attached", "podUID": pod, "nodeName": node.name(),
                "eni": eni, "run": "load" },
            "reservedOn": eni,
        },
    })
}

/// The Lease in the name of a candidate that does not exist. Others consider it alive as long as it
/// changes.
pub(super) fn lease(renewal: u32) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": LEASE, "namespace": SYSTEM },
        "spec": { "holderIdentity": "none", "leaseDurationSeconds": 60,
            "leaseTransitions": renewal, "renewTime": "2026-11-20T15:00:00.000000Z" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_without_managed_fields_has_three_kibibytes() {
        let (object, status) = (pod(Node(7), 3), pod_status(Node(7), 3, 0));
        let bytes = object.to_string().len() + status.to_string().len();
        assert!(bytes > 3 << 10, "{bytes}");
    }

    #[test]
    fn the_pods_of_members_are_those_of_their_set() {
        let (node, set) = (Node(7), set(Node(7)));
        let number = |path: &str| set.pointer(path).and_then(Value::as_u64).unwrap();
        let first = number("/spec/ordinals/start");
        for (member, ordinal) in (0..MEMBERS).zip(first..first + number("/spec/replicas")) {
            assert_eq!(node.pod(member), format!("{}-{ordinal}", node.set()));
        }
        let pod = member_pod(node, 3, "uid");
        assert_eq!(pod.pointer("/metadata/ownerReferences/0/name"), Some(&json!(node.set())));
    }

    #[test]
    fn another_version_of_a_status_is_a_change() {
        assert_ne!(pod_status(Node(7), 3, 0), pod_status(Node(7), 3, 1));
    }
}
