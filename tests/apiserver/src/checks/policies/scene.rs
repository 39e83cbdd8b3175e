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
/// `GONE` is out of EC2.
pub(super) const OWN: &str = "10.1.0.20";
pub(super) const OTHER: &str = "10.1.0.21";
pub(super) const LEFT: &str = "10.1.0.22";
pub(super) const GONE: &str = "10.1.0.23";
pub(super) const PARKED: &str = "10.1.0.24";
/// The claim whose volume condition the agent of `node-b` has set.
pub(super) const REPORTED: &str = "redis-8";
/// A claim of a member on `node-a` that is bound to a StatefulSet.
pub(super) const BOUND: &str = "redis-7";
/// A pod with FireCamp's scheduling gate and another one.
pub(super) const GATED: &str = "redis-6";
/// An address without a StaticIP.
pub(super) const FREE: &str = "10.1.0.25";
/// The records of an interface that is removed from `node-a`, and of one of `node-b`.
pub(super) const MADE: &str = "i-0000000c-0";
pub(super) const MADE_ELSEWHERE: &str = "i-0000000d-0";
pub(super) const INTERFACES: &str = "/apis/firecamp.io/v1alpha1/nodeinterfaces";
const NODES: &str = "/api/v1/nodes";
pub(super) const PODS: &str = "/api/v1/namespaces/prod/pods";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases";

/// The user of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The pod `redis-0` on `node-a`.
    Member,
    /// The member's service account, with a token that names no pod.
    MemberWithoutPod,
    /// The pod whose claim is `BOUND`.
    BoundMember,
    /// A service account that manages claims.
    Operator,
    /// The agent of `node-a`.
    Agent,
    /// The agents' service account, with a token that names no pod.
    AgentWithoutPod,
}

pub(super) struct Scene<'a> {
    cluster: &'a Cluster,
    own: BTreeMap<Who, Api>,
    /// The UID of `redis-0`.
    pub(super) uid: String,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(cluster: &'a Cluster) -> Result<Self, String> {
        members_may(cluster).await?;
        of_agents(cluster).await?;
        let site = Site::new(cluster).await?;
        let member = site.pod("redis-0", "node-a").await?;
        let mut own = BTreeMap::new();
        let mut add = async |who, source: Source| -> Outcome {
            own.insert(who, api(&source).await?);
            Ok(())
        };
        add(Who::Member, member.source(cluster).await?).await?;
        add(Who::BoundMember, site.pod(BOUND, "node-a").await?.source(cluster).await?).await?;
        add(Who::MemberWithoutPod, cluster.account("prod", ACCOUNT).await?).await?;
        add(Who::Operator, operator(cluster).await?).await?;
        add(Who::Agent, agent(cluster, "node-a").await?).await?;
        let bare = cluster.account("firecamp-system", "firecamp-agent").await?;
        add(Who::AgentWithoutPod, bare).await?;
        let scene = Self { cluster, own, uid: member.uid.to_string() };
        scene.objects().await?;
        Ok(scene)
    }

    pub(super) fn of(&self, who: Who) -> Result<&Api, String> {
        self.own.get(&who).ok_or_else(|| format!("no client for {who:?}"))
    }

    async fn objects(&self) -> Outcome {
        let held = |address, node, member, uid: &str| {
            with(static_ip(address, node, member), &[("/spec/attachment/podUID", json!(uid))])
        };
        let own = held(OWN, "node-a", "redis-0", &self.uid);
        let parked = held(PARKED, "node-a", "redis-0", &self.uid);
        let parked = with(parked, &[("/spec/attachment/state", json!("Parked"))]);
        let gone = with(
            held(GONE, "node-b", "redis-1", "earlier"),
            &[("/spec/attachment/state", json!("Released")), ("/spec/attachment/eni", Value::Null)],
        );
        let left = held(LEFT, "node-b", "redis-0", "earlier");
        let other = held(OTHER, "node-b", "redis-1", "u-1");
        for object in [own, other, left, gone, parked] {
            self.make(&format!("{GROUP}/staticips"), &object).await?;
        }
        let claim = json!({ "metadata": { "name": "redis-1" }, "spec": { "pool": "pool" } });
        self.make(
            &format!("{GROUP}/namespaces/prod/staticipclaims"),
            &kind(claim, "StaticIPClaim"),
        )
        .await?;
        let bound = json!({
            "metadata": { "name": BOUND, "annotations": { "firecamp.io/statefulset": "redis" } },
            "spec": { "pool": "pool" },
        });
        let claims = format!("{GROUP}/namespaces/prod/staticipclaims");
        self.make(&claims, &kind(bound, "StaticIPClaim")).await?;
        self.volume_condition().await?;
        self.cluster.api.delete(&format!("{PODS}/{GATED}?gracePeriodSeconds=0")).await?;
        self.make(PODS, &gated_pod(GATED, &["firecamp.io/zone", "example.com/quota"])).await?;
        for name in ["node-a", "node-b"] {
            let node = json!({ "metadata": { "name": name }, "status": {
                "capacity": { "cpu": "2" },
                "conditions": [{ "type": "Ready", "status": "True" }],
            }});
            self.cluster.api.delete(&format!("{NODES}/{name}")).await?;
            self.make(NODES, &node).await?;
            let attachments = kind(json!({ "metadata": { "name": name } }), "NodeAttachments");
            self.make(&format!("{GROUP}/nodeattachments"), &attachments).await?;
        }
        for (name, node, phase) in
            [(MADE, "node-a", "Draining"), (MADE_ELSEWHERE, "node-b", "Attached")]
        {
            let made = with(
                node_interface(name.trim_end_matches("-0")),
                &[("/spec/nodeName", json!(node)), ("/spec/phase", json!(phase))],
            );
            self.remove_interface(name).await?;
            self.make(INTERFACES, &made).await?;
        }
        self.cluster.api.delete(&format!("{LEASES}/firecamp-agents")).await?;
        let lease = json!({
            "metadata": { "name": "firecamp-agents" },
            "spec": { "holderIdentity": "node-b_run" },
        });
        self.make(LEASES, &lease).await
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
        for name in [MADE, MADE_ELSEWHERE] {
            self.remove_interface(name).await?;
        }
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
pub(super) async fn agent(cluster: &Cluster, node: &str) -> Result<Source, String> {
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

/// A service account that may create claims for others.
async fn operator(cluster: &Cluster) -> Result<Source, String> {
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({
        "apiVersion": version, "kind": "ClusterRole", "metadata": { "name": "operator" },
        "rules": [{
            "apiGroups": ["firecamp.io"],
            "resources": ["staticipclaims"],
            "verbs": ["create", "manage"],
        }],
    });
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": { "name": "operator" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "test", "name": "operator" }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "operator" },
    });
    apply(cluster, &role).await?;
    apply(cluster, &binding).await?;
    cluster.account("test", "operator").await
}
