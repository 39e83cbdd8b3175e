//! The fixture of the policy checks: a member on `node-a` and another one on `node-b`, their
//! addresses, the agent of `node-a`, and users whose tokens name no pod.

use std::collections::BTreeMap;

use firecamp_kube::Source;
use firecamp_testkit::kubernetes::Api;
use serde_json::{Value, json};

use super::super::rights::{members_may, of_agents};
use super::super::{Outcome, ensure};
use crate::cluster::{Cluster, api};
use crate::deploy::apply;
use crate::lifecycle::{ACCOUNT, Site};
use crate::samples::{GROUP, gated_pod, node_interface, static_ip, with};

/// The addresses: the live pod of `redis-0` on `node-a` holds `OWN`, an earlier pod of it on
/// `node-b` holds `LEFT`, `redis-1` on `node-b` holds `OTHER`, `PARKED` is parked on `node-a`, and
/// `GONE` and `LEAVING` are out of EC2. An attach of `BEGUN` has begun on `node-a`, and no pod has
/// acquired `NEW`. `LEAVING` and `BEGUN` have FireCamp's finalizer.
pub(super) const OWN: &str = "10.1.0.20";
pub(super) const OTHER: &str = "10.1.0.21";
pub(super) const LEFT: &str = "10.1.0.22";
pub(super) const GONE: &str = "10.1.0.23";
pub(super) const PARKED: &str = "10.1.0.24";
pub(super) const BEGUN: &str = "10.1.0.26";
pub(super) const NEW: &str = "10.1.0.27";
pub(super) const LEAVING: &str = "10.1.0.28";
/// The claim whose volume condition the agent of `node-b` has set.
pub(super) const REPORTED: &str = "redis-8";
/// A claim that has an address.
pub(super) const NAMED: &str = "redis-5";
/// A claim of a member on `node-a` that is bound to a StatefulSet.
pub(super) const BOUND: &str = "redis-7";
/// A pod with FireCamp's scheduling gate and another one.
pub(super) const GATED: &str = "redis-6";
/// An address without a StaticIP.
pub(super) const FREE: &str = "10.1.0.25";
/// The records of an interface that is removed from `node-a`, of one of `node-b`, and of one of
/// `node-a` that is detached.
pub(super) const MADE: &str = "i-0000000c-0";
pub(super) const MADE_ELSEWHERE: &str = "i-0000000d-0";
pub(super) const DELETED: &str = "i-0000000f-0";
pub(super) const INTERFACES: &str = "/apis/firecamp.io/v1alpha1/nodeinterfaces";
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const PODS: &str = "/api/v1/namespaces/prod/pods";
pub(super) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases";

/// A Service that names members, whose EndpointSlice FireCamp manages, and another one.
pub(super) const NAMED_SERVICE: &str = "named-static";
pub(super) const OTHER_SERVICE: &str = "other";
const SERVICES: &str = "/api/v1/namespaces/prod/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices";

/// The taint that agents remove; both nodes have it.
pub(super) const TAINT: &str = "startup-taint.cluster-autoscaler.kubernetes.io/firecamp";

/// The user of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The pod `redis-0` on `node-a`.
    Member,
    /// The member's service account, with a token that names no pod.
    MemberWithoutPod,
    /// The pod whose claim is `BOUND`.
    BoundMember,
    /// A service account that manages claims and addresses.
    Operator,
    /// A service account that may create claims and addresses, but does not manage them.
    Creator,
    /// An administrator.
    Person,
    /// The agent of `node-a`.
    Agent,
    /// The agent of `node-b`, which is the leader.
    AgentOfB,
    /// The agent of `node-c`, which has no object yet.
    AgentOfC,
    /// The agents' service account, with a token that names no pod.
    AgentWithoutPod,
}

pub(super) struct Scene<'a> {
    cluster: &'a Cluster,
    own: BTreeMap<Who, Api>,
    /// The UID of `redis-0`.
    pub(super) uid: String,
    /// The UID of `redis-1`, which runs on `node-b`.
    pub(super) elsewhere: String,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(cluster: &'a Cluster) -> Result<Self, String> {
        members_may(cluster).await?;
        of_agents(cluster).await?;
        let site = Site::new(cluster).await?;
        let member = site.pod("redis-0", "node-a").await?;
        let elsewhere = site.pod("redis-1", "node-b").await?.uid.to_string();
        let mut own = BTreeMap::new();
        let mut add = async |who, source: Source| -> Outcome {
            own.insert(who, api(&source).await?);
            Ok(())
        };
        add(Who::Member, member.source(cluster).await?).await?;
        add(Who::BoundMember, site.pod(BOUND, "node-a").await?.source(cluster).await?).await?;
        add(Who::MemberWithoutPod, cluster.account("prod", ACCOUNT).await?).await?;
        add(Who::Operator, creator(cluster, "operator", &["create", "manage"]).await?).await?;
        add(Who::Creator, creator(cluster, "creator", &["create"]).await?).await?;
        add(Who::Agent, agent(cluster, "node-a").await?).await?;
        add(Who::AgentOfB, agent(cluster, "node-b").await?).await?;
        add(Who::AgentOfC, agent(cluster, "node-c").await?).await?;
        let bare = cluster.account("firecamp-system", "firecamp-agent").await?;
        add(Who::AgentWithoutPod, bare).await?;
        own.insert(Who::Person, cluster.api.clone());
        let scene = Self { cluster, own, uid: member.uid.to_string(), elsewhere };
        scene.objects().await?;
        Ok(scene)
    }

    pub(super) fn of(&self, who: Who) -> Result<&Api, String> {
        self.own.get(&who).ok_or_else(|| format!("no client for {who:?}"))
    }

    async fn objects(&self) -> Outcome {
        self.addresses().await?;
        self.claims().await?;
        self.cluster.api.delete(&format!("{PODS}/{GATED}?gracePeriodSeconds=0")).await?;
        self.make(PODS, &gated_pod(GATED, &["firecamp.io/zone", "example.com/quota"])).await?;
        self.nodes().await?;
        self.names().await?;
        self.cluster.api.delete(&format!("{LEASES}/firecamp-agents")).await?;
        let lease = json!({
            "metadata": { "name": "firecamp-agents" },
            "spec": { "holderIdentity": "node-b_run", "leaseDurationSeconds": 60,
                "renewTime": "2026-11-20T15:00:00.000000Z" },
        });
        self.make(LEASES, &lease).await
    }

    async fn addresses(&self) -> Outcome {
        let held = |address, node, member, uid: &str| {
            with(static_ip(address, node, member), &[("/spec/attachment/podUID", json!(uid))])
        };
        let out = |address, node| {
            let changes = [
                ("/spec/attachment/state", json!("Released")),
                ("/spec/attachment/eni", Value::Null),
            ];
            with(held(address, node, "redis-1", "earlier"), &changes)
        };
        let finalizer = ("/metadata/finalizers", json!(["firecamp.io/address"]));
        let in_state =
            |object, state: &str| with(object, &[("/spec/attachment/state", json!(state))]);
        let unattached = [
            ("/spec/attachment", Value::Null),
            ("/spec/reservedOn", Value::Null),
            ("/spec/pendingMutations", json!([])),
            ("/spec/epoch", json!(0)),
        ];
        let all = [
            held(OWN, "node-a", "redis-0", &self.uid),
            held(OTHER, "node-b", "redis-1", "u-1"),
            held(LEFT, "node-b", "redis-0", "earlier"),
            out(GONE, "node-b"),
            with(out(LEAVING, "node-a"), std::slice::from_ref(&finalizer)),
            in_state(held(PARKED, "node-a", "redis-0", &self.uid), "Parked"),
            with(in_state(held(BEGUN, "node-a", "redis-2", "u-2"), "Attaching"), &[finalizer]),
            with(static_ip(NEW, "node-a", "redis-3"), &unattached),
        ];
        for object in all {
            self.make(&format!("{GROUP}/staticips"), &object).await?;
        }
        Ok(())
    }

    async fn claims(&self) -> Outcome {
        let claims = format!("{GROUP}/namespaces/prod/staticipclaims");
        let bound = json!({ "name": BOUND, "annotations": { "firecamp.io/statefulset": "redis" } });
        for (metadata, spec) in [
            (json!({ "name": "redis-1" }), json!({ "pool": "pool" })),
            (bound, json!({ "pool": "pool" })),
            (json!({ "name": NAMED }), json!({ "pool": "pool", "address": OWN })),
        ] {
            let claim = json!({ "metadata": metadata, "spec": spec });
            self.make(&claims, &kind(claim, "StaticIPClaim")).await?;
        }
        self.volume_condition().await
    }

    async fn names(&self) -> Outcome {
        self.remove_names().await?;
        for (name, labels, suffix, manager) in [
            (
                NAMED_SERVICE,
                json!({ "firecamp.io/statefulset": "redis" }),
                "firecamp",
                "firecamp.io",
            ),
            (OTHER_SERVICE, json!({}), "x", "endpointslice-controller.k8s.io"),
        ] {
            let service = json!({
                "metadata": { "name": name, "labels": labels },
                "spec": { "clusterIP": "None", "ports": [{ "port": 6379 }] },
            });
            self.make(SERVICES, &service).await?;
            let labels = json!({
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": manager,
                "service.kubernetes.io/headless": "",
            });
            let owner =
                json!([{ "apiVersion": "v1", "kind": "Service", "name": name, "uid": "s" }]);
            let metadata = json!({
                "name": format!("{name}-{suffix}"), "labels": labels, "ownerReferences": owner,
            });
            let slice = json!({
                "metadata": metadata,
                "addressType": "IPv4",
                "endpoints": [{ "addresses": [OWN] }],
            });
            self.make(SLICES, &slice).await?;
        }
        Ok(())
    }

    async fn remove_names(&self) -> Outcome {
        for (name, suffix) in [(NAMED_SERVICE, "firecamp"), (OTHER_SERVICE, "x")] {
            self.cluster.api.delete(&format!("{SLICES}/{name}-{suffix}")).await?;
            self.cluster.api.delete(&format!("{SERVICES}/{name}")).await?;
        }
        Ok(())
    }

    async fn nodes(&self) -> Outcome {
        for name in ["node-a", "node-b"] {
            let taint = |key: &str| json!({ "key": key, "effect": "NoSchedule" });
            let node = json!({ "metadata": { "name": name }, "spec": {
                "taints": [taint(TAINT), taint("example.com/kept")],
            }, "status": {
                "capacity": { "cpu": "2" },
                "conditions": [{ "type": "Ready", "status": "True" }],
            }});
            self.cluster.api.delete(&format!("{NODES}/{name}")).await?;
            self.make(NODES, &node).await?;
            let attachments = kind(json!({ "metadata": { "name": name } }), "NodeAttachments");
            self.make(&format!("{GROUP}/nodeattachments"), &attachments).await?;
        }
        for (name, node, phase) in [
            (MADE, "node-a", "Draining"),
            (MADE_ELSEWHERE, "node-b", "Attached"),
            (DELETED, "node-a", "Deleting"),
        ] {
            let made = with(
                node_interface(name.trim_end_matches("-0")),
                &[("/spec/nodeName", json!(node)), ("/spec/phase", json!(phase))],
            );
            self.remove_interface(name).await?;
            self.make(INTERFACES, &made).await?;
        }
        Ok(())
    }

    /// The taints of the nodes but that of FireCamp. The API server adds one of its own.
    pub(super) async fn other_taints(&self) -> Result<Vec<Value>, String> {
        let node = self.cluster.api.get(&format!("{NODES}/node-a")).await?.json();
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        Ok(taints.into_iter().filter(|taint| taint["key"] != TAINT).collect())
    }

    async fn volume_condition(&self) -> Outcome {
        let claims = format!("{GROUP}/namespaces/prod/staticipclaims");
        let claim = json!({ "metadata": { "name": REPORTED }, "spec": { "pool": "pool" } });
        self.make(&claims, &kind(claim, "StaticIPClaim")).await?;
        let path = format!("{claims}/{REPORTED}/status");
        let status = json!({ "conditions": [volume_ready_by_node_b()] });
        let operations = json!([{ "op": "add", "path": "/status", "value": status }]);
        let answer = self.cluster.api.patch(&path, &operations).await?;
        ensure(answer.code == 200, || answer.text)
    }

    async fn make(&self, path: &str, object: &Value) -> Outcome {
        let made = self.cluster.api.post(path, object).await?;
        ensure(made.code == 201, || made.text)
    }

    /// Nobody may delete a record before its last phase.
    async fn remove_interface(&self, name: &str) -> Outcome {
        let path = format!("{INTERFACES}/{name}");
        let last = json!([{ "op": "add", "path": "/spec/phase", "value": "Deleting" }]);
        self.cluster.api.patch(&path, &last).await?;
        let gone = self.cluster.api.delete(&path).await?;
        ensure(matches!(gone.code, 200 | 404), || gone.text)
    }

    /// Removes the fixture for the next checks.
    pub(super) async fn remove_all(&self) -> Outcome {
        for node in ["node-a", "node-b"] {
            self.cluster.api.delete(&format!("{NODES}/{node}")).await?;
        }
        for name in [MADE, MADE_ELSEWHERE, DELETED] {
            self.remove_interface(name).await?;
        }
        self.remove_names().await?;
        self.cluster.api.delete(&format!("{LEASES}/firecamp-agents")).await?;
        self.cluster.empty().await
    }
}

/// The volume condition that the agent of `node-b` has set.
pub(super) fn volume_ready_by_node_b() -> Value {
    let message = "node-b (i-b): volume v is stuck";
    json!({ "type": "VolumeReady", "status": "False", "reason": "Busy", "message": message })
}

fn kind(mut object: Value, kind: &str) -> Value {
    object["apiVersion"] = json!("firecamp.io/v1alpha1");
    object["kind"] = json!(kind);
    object
}

/// The agent of a node, with the token of its pod.
pub(in crate::checks) async fn agent(cluster: &Cluster, node: &str) -> Result<Source, String> {
    let pods = "/api/v1/namespaces/firecamp-system/pods";
    let name = format!("agent-on-{node}");
    cluster.api.delete(&format!("{pods}/{name}?gracePeriodSeconds=0")).await?;
    let pod = json!({ "metadata": { "name": name }, "spec": {
        "nodeName": node,
        "serviceAccountName": "firecamp-agent",
        "containers": [{ "name": "agent", "image": "none" }],
    }});
    let made = cluster.api.post(pods, &pod).await?;
    ensure(made.code == 201, || made.text.clone())?;
    let made = made.json();
    let uid = made["metadata"]["uid"].as_str().unwrap_or_default();
    cluster.pod("firecamp-system", "firecamp-agent", (&name, uid)).await
}

/// A service account with these verbs on claims and addresses.
async fn creator(cluster: &Cluster, name: &str, verbs: &[&str]) -> Result<Source, String> {
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({
        "apiVersion": version, "kind": "ClusterRole", "metadata": { "name": name },
        "rules": [{
            "apiGroups": ["firecamp.io"],
            "resources": ["staticipclaims", "staticips"],
            "verbs": verbs,
        }],
    });
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "test", "name": name }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": name },
    });
    apply(cluster, &role).await?;
    apply(cluster, &binding).await?;
    cluster.account("test", name).await
}
