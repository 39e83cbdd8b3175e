//! The agents' writes of statuses and of other kinds.

use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, static_ip};

const NODES: &str = "/api/v1/nodes";

async fn made(cluster: &Cluster, path: &str, object: &Value) -> Result<Value, String> {
    let answer = cluster.api.post(&format!("{path}?fieldValidation=Strict"), object).await?;
    ensure(answer.code == 201 && answer.warnings.is_empty(), || {
        format!("{path}: {} {:?}", answer.text, answer.warnings)
    })?;
    Ok(answer.json())
}

fn condition(reason: &str) -> Value {
    json!([{ "type": "Ready", "status": "True", "reason": reason, "message": "",
        "lastTransitionTime": "2026-11-20T15:00:00Z", "observedGeneration": 1 }])
}

/// If two agents have read the same version (the old and the new one of an upgrade), one write
/// succeeds and the other gets a conflict.
pub(super) async fn of_two_concurrent_agents_one_updates_the_status(cluster: &Cluster) -> Outcome {
    cluster.empty().await?;
    let object = static_ip("10.1.0.20", "n1", "redis-0");
    let read = made(cluster, &format!("{GROUP}/staticips"), &object).await?;
    let place = format!("{GROUP}/staticips/10.1.0.20/status");
    let of = |reason: &str| {
        let mut object = read.clone();
        object["status"] = json!({ "conditions": condition(reason) });
        object
    };
    let (one, two) = (of("Attached"), of("Parked"));
    let (one, two) = tokio::join!(cluster.api.put(&place, &one), cluster.api.put(&place, &two));
    let mut codes = [one?.code, two?.code];
    codes.sort_unstable();
    ensure(codes == [200, 409], || format!("{codes:?}"))?;
    // Spec and status share a version: an acquisition that read before it must retry.
    let late = json!([
        { "op": "replace", "path": "/metadata/resourceVersion",
            "value": read["metadata"]["resourceVersion"] },
        { "op": "replace", "path": "/spec/epoch", "value": 4 },
    ]);
    let answer = cluster.api.patch(&format!("{GROUP}/staticips/10.1.0.20"), &late).await?;
    ensure(answer.code == 409, || answer.text)?;
    cluster.empty().await
}

/// The garbage collector requires that the owner exists with that UID and is cluster-scoped like
/// its dependent.
pub(super) async fn node_attachments_are_owned_by_their_node(cluster: &Cluster) -> Outcome {
    let node = made(cluster, NODES, &json!({ "metadata": { "name": "node-1" } })).await?;
    let object = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeAttachments",
        "metadata": { "name": "node-1", "ownerReferences": [{
            "apiVersion": "v1",
            "kind": "Node",
            "name": "node-1",
            "uid": node["metadata"]["uid"],
        }]},
    });
    let stored = made(cluster, &format!("{GROUP}/nodeattachments"), &object).await?;
    let owners = &stored["metadata"]["ownerReferences"];
    ensure(owners[0]["uid"] == node["metadata"]["uid"], || owners.to_string())?;
    let core = cluster.api.get("/api/v1").await?.json();
    let kinds = core["resources"].as_array().cloned().unwrap_or_default();
    let kind = kinds.iter().find(|kind| kind["name"] == "nodes").ok_or("no nodes")?;
    ensure(kind["kind"] == "Node" && kind["namespaced"] == false, || kind.to_string())?;
    let mut orphan = object.clone();
    orphan["metadata"]["name"] = json!("node-2");
    orphan["metadata"]["ownerReferences"][0]["uid"] = json!("");
    let path = format!("{GROUP}/nodeattachments");
    let answer = cluster.api.post(&path, &orphan).await?;
    ensure(answer.code == 422, || format!("an owner without a UID: {}", answer.text))?;
    cluster.api.delete(&format!("{NODES}/node-1")).await?;
    cluster.empty().await
}

/// Events of both APIs, about a namespaced and about a cluster-scoped object; the latter are in
/// `default`.
pub(super) async fn the_server_accepts_events(cluster: &Cluster) -> Outcome {
    let stored = static_ip("10.1.0.20", "n1", "redis-0");
    let stored = made(cluster, &format!("{GROUP}/staticips"), &stored).await?;
    let about = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIP",
        "name": "10.1.0.20",
        "uid": stored["metadata"]["uid"],
    });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "namespace": "prod", "name": "redis-0" });
    for (namespace, regarding) in [("default", &about), ("prod", &pod)] {
        let new = json!({
            "metadata": { "generateName": "redis-0-" },
            "eventTime": "2026-11-20T15:00:00.000000Z",
            "reportingController": "firecamp.io/agent",
            "reportingInstance": "node-1",
            "action": "Attach",
            "reason": "AddressAcquired",
            "regarding": regarding,
            "note": "10.1.0.20 is on eni-0123456789abcdef0",
            "type": "Normal",
        });
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let event = made(cluster, &path, &new).await?;
        let old = json!({
            "metadata": { "generateName": "redis-0-" },
            "involvedObject": regarding,
            "reason": "AddressAcquired",
            "message": "10.1.0.20 is on eni-0123456789abcdef0",
            "type": "Normal",
            "source": { "component": "firecamp-agent", "host": "node-1" },
            "firstTimestamp": "2026-11-20T15:00:00Z",
            "lastTimestamp": "2026-11-20T15:00:00Z",
            "count": 1,
        });
        let core = format!("/api/v1/namespaces/{namespace}/events");
        made(cluster, &core, &old).await?;
        // Both APIs share one store: `kubectl get events` shows the Events of both.
        let name = event["metadata"]["name"].as_str().unwrap_or_default();
        let observed = cluster.api.get(&format!("{core}/{name}")).await?.json();
        let same = observed["involvedObject"]["name"] == regarding["name"];
        ensure(same && observed["reason"] == "AddressAcquired", || observed.to_string())?;
    }
    cluster.empty().await
}

/// The server rejects an Event about a cluster-scoped object outside `default`, so a StaticIP's
/// Event cannot be in the pod's namespace.
pub(super) async fn an_event_is_in_the_namespace_of_its_object(cluster: &Cluster) -> Outcome {
    let event = json!({
        "metadata": { "generateName": "redis-0-" },
        "involvedObject": { "kind": "StaticIP", "name": "10.1.0.20",
            "apiVersion": "firecamp.io/v1alpha1" },
        "reason": "AddressAcquired",
    });
    let answer = cluster.api.post("/api/v1/namespaces/prod/events", &event).await?;
    ensure(answer.code == 422, || format!("{} {}", answer.code, answer.text))
}
