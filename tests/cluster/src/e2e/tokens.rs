//! What an attacker can do with the ServiceAccount token of one of FireCamp's containers.

use std::fs;
use std::path::PathBuf;

use firecamp_testkit::kubernetes::Api;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::audit::Held;
use super::processes::{container, processes};
use super::set::Set;
use super::test_cluster::{ADDRESSES, CLAIMS, PODS, POOLS, Pod, TestCluster, all_but, ensure};
use crate::cli::print_line;
use crate::install::until;
use crate::{Outcome, failed};

const NODES: &str = "/api/v1/nodes";
const REPORTS: &str = "/apis/firecamp.io/v1alpha1/nodeattachments";
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases/firecamp-agents";
const TOKEN: &str = "var/run/secrets/kubernetes.io/serviceaccount/token";
/// An address of the pool that no member uses.
const FREE: &str = "10.0.1.190";
/// Part of RBAC's error message.
const RBAC: &str = "cannot";

/// A request, and part of the expected error message.
struct Attempt {
    verb: &'static str,
    place: String,
    body: Value,
    reason: &'static str,
}

fn attempt(
    verb: &'static str,
    place: impl Into<String>,
    body: Value,
    reason: &'static str,
) -> Attempt {
    Attempt { verb, place: place.into(), body, reason }
}

fn read(place: impl Into<String>) -> Attempt {
    attempt("GET", place, Value::Null, RBAC)
}

fn delete(place: impl Into<String>) -> Attempt {
    attempt("DELETE", place, Value::Null, RBAC)
}

/// Two members of one set on different nodes. The attacker has the token of `own` or of its
/// node's agent.
struct TwoMembers {
    set: Set,
    own: (Pod, Held),
    other: (Pod, Held),
}

impl TwoMembers {
    async fn start(cluster: &TestCluster<'_>, name: &'static str) -> Outcome<Self> {
        let set = Set::new(name, 2);
        let first = "node-a";
        cluster.cordon(&all_but(first), true).await?;
        let alone = Set { replicas: 1, ..set.clone() };
        let own = cluster.start_members(&alone).await?.pop().ok_or("no member")?;
        cluster.cordon(&all_but(first), false).await?;
        cluster.cordon(&[first], true).await?;
        cluster.scale(&set, 2).await?;
        let pod = cluster.wait_ready(&format!("{name}-1"), None).await?;
        let held = cluster.wait_held(&pod).await?;
        cluster.cordon(&[first], false).await?;
        ensure(own.0.node != pod.node, || format!("both are on {first}"))?;
        Ok(Self { set, own, other: (pod, held) })
    }

    /// Checks that both still hold their addresses, and deletes the set.
    async fn end(self, cluster: &TestCluster<'_>) -> Outcome {
        for (pod, held) in [&self.own, &self.other] {
            let now = cluster.wait_held(pod).await?;
            ensure(now == *held, || format!("{now:?} after {held:?}"))?;
        }
        cluster.delete(&self.set).await
    }
}

fn address(whose: &(Pod, Held)) -> String {
    format!("{ADDRESSES}/{}", whose.1.address)
}

impl TestCluster<'_> {
    /// A client of the API server with the token of a container.
    async fn api_with_token_of(&self, process: Pid) -> Outcome<Api> {
        self.admin.by_token(&token_of(process)?).await
    }

    /// Checks that a token may annotate an object, with the current resourceVersion.
    async fn verify_can_annotate(&self, api: &Api, place: &str, text: &str) -> Outcome {
        until(&format!("{place} can be annotated"), || async {
            let version = self.admin.get(place).await?["metadata"]["resourceVersion"].take();
            let note = json!({ "example.com/by": text });
            let metadata = json!({ "resourceVersion": version, "annotations": note });
            verify_granted(api, "PATCH", place, &json!({ "metadata": metadata })).await?;
            let object = self.admin.get(place).await?;
            let there = &object["metadata"]["annotations"]["example.com/by"];
            ensure(there == text, || object.to_string())
        })
        .await
    }

    /// The process of a node's agent.
    pub(super) fn agent_of(&self, node: &str) -> Outcome<Pid> {
        let here = processes("environ", &format!("NODE_NAME={node}\0"));
        let found = self.agents().into_iter().find(|pid| here.contains(pid));
        found.ok_or_else(|| format!("no agent runs on {node}"))
    }
}

/// The ServiceAccount token of a container for the API server.
pub(super) fn token_of(process: Pid) -> Outcome<String> {
    let file = PathBuf::from(format!("/proc/{process}")).join("root").join(TOKEN);
    let token = fs::read_to_string(&file).map_err(failed(file.display()))?;
    Ok(token.trim().to_owned())
}

async fn ask(api: &Api, verb: &str, place: &str, body: &Value) -> Outcome<(u16, String)> {
    let answer = match verb {
        "GET" => api.get(place).await?,
        "POST" => api.post(place, body).await?,
        "DELETE" => api.delete(place).await?,
        _patch => api.patch_as("application/merge-patch+json", place, body).await?,
    };
    Ok((answer.code, answer.text))
}

/// Checks that the API server denies all of these requests, for the given reason.
async fn verify_denied(api: &Api, all: &[Attempt]) -> Outcome {
    for Attempt { verb, place, body, reason } in all {
        let (code, text) = ask(api, verb, place, body).await?;
        let good = code == 403 && text.contains(reason);
        ensure(good, || format!("{verb} {place}: {code} {text} instead of {reason:?}"))?;
    }
    print_line(&format!("        {} requests were denied", all.len()))
}

async fn verify_granted(api: &Api, verb: &str, place: &str, body: &Value) -> Outcome {
    let (code, text) = ask(api, verb, place, body).await?;
    ensure(code == 200, || format!("{verb} {place}: {code} {text}"))
}

/// Requests outside a member's RBAC permissions.
fn requests_beyond_member_rbac(two: &TwoMembers) -> Vec<Attempt> {
    let (own, other) = (&two.own.0, &two.other.0);
    let secrets = ["configmaps", "secrets"].into_iter().flat_map(|kind| {
        let named = json!({ "metadata": { "name": "mine" } });
        let prod = format!("/api/v1/namespaces/prod/{kind}");
        [
            read(format!("/api/v1/{kind}")),
            read(&prod),
            read(format!("/api/v1/namespaces/firecamp-system/{kind}")),
            read(format!("/api/v1/namespaces/kube-system/{kind}/any")),
            attempt("POST", &prod, named, RBAC),
            attempt("PATCH", format!("{prod}/any"), json!({ "data": {} }), RBAC),
        ]
    });
    let apart = CLAIMS.replace("/prod/", "/default/");
    let rest = [
        read(CLAIMS),
        read(format!("{apart}/{}", own.name)),
        attempt("POST", &apart, claim(&own.name, "default"), RBAC),
        read(PODS.replace("/prod/", "/firecamp-system/")),
        read(PODS),
        delete(format!("{PODS}/{}", other.name)),
        delete(format!("{CLAIMS}/{}", own.name)),
        delete(address(&two.own)),
        delete(address(&two.other)),
        delete(format!("{POOLS}/main")),
        attempt("PATCH", format!("{POOLS}/main"), json!({ "spec": {} }), RBAC),
        attempt("POST", POOLS, json!({ "metadata": { "name": "mine" } }), RBAC),
        read(REPORTS),
        read(format!("{REPORTS}/{}", own.node)),
        attempt("PATCH", format!("{REPORTS}/{}/status", own.node), json!({ "status": {} }), RBAC),
        attempt("PATCH", format!("{NODES}/{}/status", own.node), json!({ "status": {} }), RBAC),
        attempt("PATCH", format!("{}/status", address(&two.own)), json!({}), RBAC),
        read(LEASE),
        attempt(
            "POST",
            "/api/v1/namespaces/prod/serviceaccounts/default/token",
            json!({ "spec": {} }),
            RBAC,
        ),
    ];
    secrets.chain(rest).collect()
}

fn claim(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "pool": "main" },
    })
}

/// Requests that RBAC allows and the admission policies refuse, because of another member.
fn requests_about_other_members(two: &TwoMembers) -> Vec<Attempt> {
    let (own, other) = (&two.own.0, &two.other.0);
    let takes = |pod: &str, node: &str| {
        let attachment = json!({ "podUID": pod, "nodeName": node });
        json!({ "spec": { "attachment": attachment } })
    };
    let patch = |place: String, body, reason| attempt("PATCH", place, body, reason);
    let theirs = format!("{CLAIMS}/{}", other.name);
    let note = json!({ "metadata": { "annotations": { "firecamp.io/statefulset": "mine" } } });
    let no_other = "may only write its own claim";
    vec![
        patch(theirs, json!({ "spec": { "address": "10.0.1.99" } }), no_other),
        attempt("POST", CLAIMS, claim("another-0", "prod"), no_other),
        patch(format!("{CLAIMS}/{}", own.name), note, "to which StatefulSet"),
        patch(address(&two.other), takes(&own.uid, &own.node), "belongs to"),
        patch(address(&two.other), release(), "belongs to"),
        patch(address(&two.own), takes(&other.uid, &own.node), "only pod"),
        patch(address(&two.own), takes(&own.uid, &other.node), "only pod"),
    ]
}

fn release() -> Value {
    json!({ "spec": { "attachment": { "state": "Parked" } } })
}

pub(super) async fn f103_a_member_token_writes_only_objects_of_its_member(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let two = TwoMembers::start(cluster, "narrow").await?;
    let calls = cluster.last_call()?;
    let (own, _held) = &two.own;
    let api = cluster.api_with_token_of(container(&own.uid, "firecamp-stopcontainer")?).await?;
    verify_denied(&api, &requests_beyond_member_rbac(&two)).await?;
    verify_denied(&api, &requests_about_other_members(&two)).await?;
    verify_granted(&api, "GET", &format!("{PODS}/{}", own.name), &Value::Null).await?;
    cluster.verify_can_annotate(&api, &format!("{CLAIMS}/{}", own.name), &own.uid).await?;
    cluster.verify_can_annotate(&api, &address(&two.own), &own.uid).await?;
    cluster.verify_mutations(calls, 0)?;
    two.end(cluster).await
}

/// A StaticIP as an agent creates it for an orphaned address of its node.
fn orphaned_static_ip(namespace: &str, name: &str, node: &str) -> Value {
    let eni = "eni-0123456789abcdef0";
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIP",
        "metadata": { "name": FREE },
        "spec": {
            "address": FREE,
            "pool": "main",
            "subnet": "subnet-0a1b2c3d4e5f60718",
            "cidr": "10.0.1.0/24",
            "zone": "us-east-1a",
            "claimRef": { "namespace": namespace, "name": name },
            "epoch": 1,
            "attachment": {
                "state": "Parked",
                "podUID": "orphaned",
                "nodeName": node,
                "eni": eni,
                "run": "agent-1",
            },
            "reservedOn": eni,
        },
    })
}

/// Requests about other nodes' objects, and requests that no agent may send.
fn requests_beyond_agent_permissions(two: &TwoMembers) -> Vec<Attempt> {
    let (own, other) = (&two.own.0, &two.other.0);
    let patch = |place: &str, body, reason| attempt("PATCH", place, body, reason);
    let condition = json!([{ "type": "Ready", "status": "False", "reason": "R", "message": "" }]);
    let conditions = json!({ "status": { "conditions": condition } });
    let slots = json!({ "status": { "capacity": { "firecamp.io/static-ip": "99" } } });
    let theirs = address(&two.other);
    let at = |field: &str, value: &str| json!({ "spec": { "attachment": { (field): value } } });
    let run = json!([{ "mutation": "Assign", "eni": two.other.1.eni, "run": "agent-1" }]);
    let pending = json!({ "spec": { "pendingMutations": run } });
    let report = format!("{REPORTS}/{}/status", other.node);
    let held = json!({ "spec": { "holderIdentity": format!("{}_run", other.node) } });
    vec![
        patch(&format!("{theirs}/status"), conditions.clone(), "of its own node only"),
        patch(&theirs, pending, "release it, if that node is gone"),
        patch(&theirs, at("nodeName", &own.node), "the pod or the node of"),
        patch(&theirs, at("podUID", &own.uid), "the pod or the node of"),
        patch(&address(&two.own), at("podUID", &other.uid), "the pod or the node of"),
        patch(&report, conditions, "its own node only"),
        patch(&format!("{NODES}/{}/status", other.node), slots, "its own node only"),
        patch(LEASE, held, "the Lease only for itself"),
        attempt("DELETE", &theirs, Value::Null, "is not Released"),
        attempt(
            "POST",
            ADDRESSES,
            orphaned_static_ip("prod", &own.name, &own.node),
            "orphaned address",
        ),
        attempt(
            "POST",
            ADDRESSES,
            orphaned_static_ip("firecamp-orphaned", FREE, &other.node),
            "its own node",
        ),
        read("/api/v1/secrets"),
        read("/api/v1/namespaces/prod/configmaps"),
        delete(format!("{PODS}/{}", other.name)),
        delete(format!("{POOLS}/main")),
        delete(format!("{REPORTS}/{}", other.node)),
        delete(format!("{NODES}/{}", other.node)),
    ]
}

pub(super) async fn f103_an_agent_token_writes_only_objects_of_its_node(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let two = TwoMembers::start(cluster, "apart").await?;
    let calls = cluster.last_call()?;
    let (own, _held) = &two.own;
    let api = cluster.api_with_token_of(cluster.agent_of(&own.node)?).await?;
    verify_denied(&api, &requests_beyond_agent_permissions(&two)).await?;
    verify_granted(&api, "PATCH", &format!("{REPORTS}/{}/status", own.node), &json!({})).await?;
    cluster.verify_can_annotate(&api, &address(&two.own), &own.node).await?;
    cluster.verify_mutations(calls, 0)?;
    two.end(cluster).await
}
