//! What somebody can do who has taken over a container of ours, by the token that is in it.

use std::fs;
use std::path::PathBuf;

use firecamp_testkit::kubernetes::Api;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::audit::Held;
use super::ports::{container, processes};
use super::scene::{ADDRESSES, CLAIMS, PODS, POOLS, Pod, Scene, all_but, ensure};
use super::set::Set;
use crate::cli::say;
use crate::install::until;
use crate::{Outcome, failed};

const NODES: &str = "/api/v1/nodes";
const REPORTS: &str = "/apis/firecamp.io/v1alpha1/nodeattachments";
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases/firecamp-agents";
const TOKEN: &str = "var/run/secrets/kubernetes.io/serviceaccount/token";
/// An address of the pool that no member comes to have.
const FREE: &str = "10.0.1.190";
/// How RBAC refuses.
const RBAC: &str = "cannot";

/// A request, and what it is refused with.
struct Try {
    verb: &'static str,
    place: String,
    body: Value,
    words: &'static str,
}

fn attempt(verb: &'static str, place: impl Into<String>, body: Value, words: &'static str) -> Try {
    Try { verb, place: place.into(), body, words }
}

fn read(place: impl Into<String>) -> Try {
    attempt("GET", place, Value::Null, RBAC)
}

fn delete(place: impl Into<String>) -> Try {
    attempt("DELETE", place, Value::Null, RBAC)
}

/// Two members of one set on different nodes.
struct Two {
    set: Set,
    own: (Pod, Held),
    other: (Pod, Held),
}

impl Two {
    async fn start(scene: &Scene<'_>, name: &'static str) -> Outcome<Self> {
        let set = Set::new(name, 2);
        let first = "node-a";
        scene.cordon(&all_but(first), true).await?;
        let alone = Set { replicas: 1, ..set.clone() };
        let own = scene.started(&alone).await?.pop().ok_or("no member")?;
        scene.cordon(&all_but(first), false).await?;
        scene.cordon(&[first], true).await?;
        scene.scale(&set, 2).await?;
        let pod = scene.ready(&format!("{name}-1"), None).await?;
        let held = scene.holds(&pod).await?;
        scene.cordon(&[first], false).await?;
        ensure(own.0.node != pod.node, || format!("both are on {first}"))?;
        Ok(Self { set, own, other: (pod, held) })
    }

    /// Nothing has become of them.
    async fn end(self, scene: &Scene<'_>) -> Outcome {
        for (pod, held) in [&self.own, &self.other] {
            let now = scene.holds(pod).await?;
            ensure(now == *held, || format!("{now:?} after {held:?}"))?;
        }
        scene.delete(&self.set).await
    }
}

fn address(whose: &(Pod, Held)) -> String {
    format!("{ADDRESSES}/{}", whose.1.address)
}

impl Scene<'_> {
    /// The API server, by the token that is in a container.
    async fn api_within(&self, process: Pid) -> Outcome<Api> {
        let file = PathBuf::from(format!("/proc/{process}")).join("root").join(TOKEN);
        let token = fs::read_to_string(&file).map_err(failed(file.display()))?;
        self.admin.by_token(token.trim()).await
    }

    /// Lets somebody write into what is its own, as the version that there is.
    async fn notes(&self, api: &Api, place: &str, text: &str) -> Outcome {
        until(&format!("{place} takes a note"), || async {
            let version = self.admin.get(place).await?["metadata"]["resourceVersion"].take();
            let note = json!({ "example.com/by": text });
            let metadata = json!({ "resourceVersion": version, "annotations": note });
            granted(api, "PATCH", place, &json!({ "metadata": metadata })).await?;
            let object = self.admin.get(place).await?;
            let there = &object["metadata"]["annotations"]["example.com/by"];
            ensure(there == text, || object.to_string())
        })
        .await
    }

    /// The agent of a node of this cluster.
    fn agent_of(&self, node: &str) -> Outcome<Pid> {
        let here = processes("environ", &format!("NODE_NAME={node}\0"));
        let found = self.agents().into_iter().find(|pid| here.contains(pid));
        found.ok_or_else(|| format!("{node} has no agent"))
    }
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

/// All of them are denied, for the reason that is given.
async fn denied(api: &Api, all: &[Try]) -> Outcome {
    for Try { verb, place, body, words } in all {
        let (code, text) = ask(api, verb, place, body).await?;
        let good = code == 403 && text.contains(words);
        ensure(good, || format!("{verb} {place}: {code} {text} instead of {words:?}"))?;
    }
    say(&format!("        {} requests were denied", all.len()))
}

async fn granted(api: &Api, verb: &str, place: &str, body: &Value) -> Outcome {
    let (code, text) = ask(api, verb, place, body).await?;
    ensure(code == 200, || format!("{verb} {place}: {code} {text}"))
}

/// What services keep, what the cluster is made of, and what is another's.
fn not_for_members(two: &Two) -> Vec<Try> {
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

/// What RBAC grants for the own member, and the policies refuse for any other.
fn not_its_own(two: &Two) -> Vec<Try> {
    let (own, other) = (&two.own.0, &two.other.0);
    let takes = |pod: &str, node: &str| {
        let attachment = json!({ "podUID": pod, "nodeName": node });
        json!({ "spec": { "attachment": attachment } })
    };
    let patch = |place: String, body, words| attempt("PATCH", place, body, words);
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

pub(super) async fn f103_a_members_token_writes_what_is_its_own_and_nothing_else(
    scene: &Scene<'_>,
) -> Outcome {
    let two = Two::start(scene, "narrow").await?;
    let calls = scene.calls()?;
    let (own, _held) = &two.own;
    let api = scene.api_within(container(&own.uid, "firecamp-stopcontainer")?).await?;
    denied(&api, &not_for_members(&two)).await?;
    denied(&api, &not_its_own(&two)).await?;
    granted(&api, "GET", &format!("{PODS}/{}", own.name), &Value::Null).await?;
    scene.notes(&api, &format!("{CLAIMS}/{}", own.name), &own.uid).await?;
    scene.notes(&api, &address(&two.own), &own.uid).await?;
    scene.changed(calls, 0)?;
    two.end(scene).await
}

/// A StaticIP that nobody has, as an agent makes it of what nobody claims on its own node.
fn parked(namespace: &str, name: &str, node: &str) -> Value {
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

/// What is another node's, and what is for no agent at all.
fn not_for_agents(two: &Two) -> Vec<Try> {
    let (own, other) = (&two.own.0, &two.other.0);
    let patch = |place: &str, body, words| attempt("PATCH", place, body, words);
    let condition = json!([{ "type": "Ready", "status": "False", "reason": "R", "message": "" }]);
    let reported = json!({ "status": { "conditions": condition } });
    let slots = json!({ "status": { "capacity": { "firecamp.io/static-ip": "99" } } });
    let theirs = address(&two.other);
    let at = |field: &str, value: &str| json!({ "spec": { "attachment": { (field): value } } });
    let run = json!([{ "mutation": "Assign", "eni": two.other.1.eni, "run": "agent-1" }]);
    let mark = json!({ "spec": { "pendingMutations": run } });
    let report = format!("{REPORTS}/{}/status", other.node);
    let held = json!({ "spec": { "holderIdentity": format!("{}_run", other.node) } });
    let bind = json!({ "spec": { "address": "10.0.1.99" } });
    vec![
        patch(&format!("{theirs}/status"), reported.clone(), "of its own node only"),
        patch(&theirs, mark, "release it, if that node is gone"),
        patch(&theirs, at("nodeName", &own.node), "the pod or the node of"),
        patch(&theirs, at("podUID", &own.uid), "the pod or the node of"),
        patch(&address(&two.own), at("podUID", &other.uid), "the pod or the node of"),
        patch(&report, reported, "its own node only"),
        patch(&format!("{NODES}/{}/status", other.node), slots, "its own node only"),
        patch(LEASE, held, "the Lease only for itself"),
        patch(&format!("{CLAIMS}/{}", other.name), bind, "but not its spec"),
        attempt("DELETE", &theirs, Value::Null, "is not Released"),
        attempt("POST", ADDRESSES, parked("prod", &own.name, &own.node), "orphaned address"),
        attempt("POST", ADDRESSES, parked("firecamp-orphaned", FREE, &other.node), "its own node"),
        read("/api/v1/secrets"),
        read("/api/v1/namespaces/prod/configmaps"),
        delete(format!("{PODS}/{}", other.name)),
        delete(format!("{POOLS}/main")),
        delete(format!("{REPORTS}/{}", other.node)),
        delete(format!("{NODES}/{}", other.node)),
    ]
}

pub(super) async fn f103_an_agents_token_writes_what_is_its_nodes_and_nothing_else(
    scene: &Scene<'_>,
) -> Outcome {
    let two = Two::start(scene, "apart").await?;
    let calls = scene.calls()?;
    let (own, _held) = &two.own;
    let api = scene.api_within(scene.agent_of(&own.node)?).await?;
    denied(&api, &not_for_agents(&two)).await?;
    granted(&api, "PATCH", &format!("{REPORTS}/{}/status", own.node), &json!({})).await?;
    scene.notes(&api, &address(&two.own), &own.node).await?;
    scene.changed(calls, 0)?;
    two.end(scene).await
}
