//! The events of watches, and when a watch must be restarted.

use firecamp_testkit::kubernetes::{Event, Watch};
use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, static_ip};

fn place(rest: &str) -> String {
    format!("{GROUP}/staticips{rest}")
}

/// The version of the list, which a watch starts at.
async fn version(cluster: &Cluster) -> Result<String, String> {
    let list = cluster.api.get(&place("?limit=1")).await?.json();
    let version = list["metadata"]["resourceVersion"].as_str();
    version.map(str::to_owned).ok_or_else(|| list.to_string())
}

async fn follow(cluster: &Cluster, selector: &str) -> Result<Watch, String> {
    let from = version(cluster).await?;
    let selector = selector.replace('=', "%3D");
    let query = format!("?watch=true&resourceVersion={from}&fieldSelector={selector}");
    cluster.api.watch(&place(&query)).await
}

async fn create(cluster: &Cluster, object: &Value) -> Outcome {
    let made = cluster.api.post(&place(""), object).await?;
    ensure(made.code == 201, || made.text)
}

async fn change(cluster: &Cluster, name: &str, path: &str, value: Value) -> Outcome {
    let new = json!([{ "op": "replace", "path": path, "value": value }]);
    let answer = cluster.api.patch(&place(&format!("/{name}")), &new).await?;
    ensure(answer.code == 200, || answer.text)
}

async fn delete(cluster: &Cluster, name: &str) -> Outcome {
    let gone = cluster.api.delete(&place(&format!("/{name}"))).await?;
    ensure(gone.code == 200, || gone.text)
}

async fn reported(watch: &mut Watch, kind: &str, name: &str) -> Result<Event, String> {
    let event = watch.next().await?.ok_or("the watch ended")?;
    ensure(event.brief() == (kind, name), || format!("{event:?} instead of {kind} {name}"))?;
    Ok(event)
}

/// The watch of a node reports when an address arrives, changes and departs (as a deletion), and
/// reports no other node's address: the next event is always the last one that the test caused.
pub(super) async fn a_watch_by_node_reports_arrivals_and_departures(cluster: &Cluster) -> Outcome {
    create(cluster, &static_ip("10.1.0.20", "n2", "redis-0")).await?;
    let mut watch = follow(cluster, "spec.attachment.nodeName=n1").await?;
    create(cluster, &static_ip("10.1.0.21", "n3", "redis-1")).await?;
    create(cluster, &static_ip("10.1.0.22", "n1", "redis-2")).await?;
    reported(&mut watch, "ADDED", "10.1.0.22").await?;
    // From another node to this one: ADDED, although the object is old.
    change(cluster, "10.1.0.20", "/spec/attachment/nodeName", json!("n1")).await?;
    reported(&mut watch, "ADDED", "10.1.0.20").await?;
    change(cluster, "10.1.0.20", "/spec/epoch", json!(4)).await?;
    reported(&mut watch, "MODIFIED", "10.1.0.20").await?;
    // To another node: DELETED, although the object exists. The event has its last state here.
    change(cluster, "10.1.0.20", "/spec/attachment/nodeName", json!("n3")).await?;
    let left = reported(&mut watch, "DELETED", "10.1.0.20").await?;
    let node = &left.object["spec"]["attachment"]["nodeName"];
    ensure(node == "n1", || format!("the DELETED event shows node {node}"))?;
    // Without an attachment it belongs to no node.
    let detached = json!([{ "op": "remove", "path": "/spec/attachment" }]);
    let answer = cluster.api.patch(&place("/10.1.0.22"), &detached).await?;
    ensure(answer.code == 200, || answer.text)?;
    reported(&mut watch, "DELETED", "10.1.0.22").await?;
    change(cluster, "10.1.0.21", "/spec/attachment/nodeName", json!("n1")).await?;
    reported(&mut watch, "ADDED", "10.1.0.21").await?;
    delete(cluster, "10.1.0.21").await?;
    reported(&mut watch, "DELETED", "10.1.0.21").await?;
    cluster.empty().await
}

pub(super) async fn a_watch_by_namespace_or_pool_reports_only_these(cluster: &Cluster) -> Outcome {
    let mut prod = follow(cluster, "spec.claimRef.namespace=prod").await?;
    let mut pool = follow(cluster, "spec.pool=b").await?;
    let other = [("/spec/claimRef/namespace", json!("test"))];
    create(cluster, &crate::samples::with(static_ip("10.1.0.20", "n1", "redis-0"), &other)).await?;
    create(cluster, &static_ip("10.1.0.21", "n1", "redis-0")).await?;
    reported(&mut prod, "ADDED", "10.1.0.21").await?;
    let of_b = [("/spec/pool", json!("b"))];
    create(cluster, &crate::samples::with(static_ip("10.1.0.22", "n1", "redis-1"), &of_b)).await?;
    reported(&mut pool, "ADDED", "10.1.0.22").await?;
    reported(&mut prod, "ADDED", "10.1.0.22").await?;
    cluster.empty().await?;
    reported(&mut pool, "DELETED", "10.1.0.22").await?;
    let mut gone = [prod.next().await?, prod.next().await?].map(|event| {
        let event = event.unwrap_or(Event { kind: String::new(), object: Value::Null });
        format!("{} {}", event.brief().0, event.brief().1)
    });
    gone.sort();
    ensure(gone == ["DELETED 10.1.0.21", "DELETED 10.1.0.22"], || format!("{gone:?}"))
}

/// After a compaction and a restart the history is lost: a watch gets 410 and never continues as
/// if it had missed nothing. The same holds for the pages of an old list.
pub(super) async fn a_compacted_version_is_410(cluster: &Cluster) -> Outcome {
    for (address, member) in [("10.1.0.20", "redis-0"), ("10.1.0.21", "redis-1")] {
        create(cluster, &static_ip(address, "n1", member)).await?;
    }
    let first = cluster.api.get(&place("?limit=1")).await?.json();
    let token = first["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
    let from = version(cluster).await?;
    ensure(!token.is_empty(), || first.to_string())?;
    change(cluster, "10.1.0.20", "/spec/epoch", json!(4)).await?;
    delete(cluster, "10.1.0.21").await?;
    cluster.kill().await?;
    cluster.compact().await?;
    cluster.restart().await?;
    let mut watch =
        cluster.api.watch(&place(&format!("?watch=true&resourceVersion={from}"))).await?;
    let event = watch.next().await?.ok_or("the watch ended without an event")?;
    let good = event.kind == "ERROR" && event.object["code"] == 410;
    ensure(good, || format!("{event:?}"))?;
    let next = cluster.api.get(&place(&format!("?limit=1&continue={token}"))).await?;
    ensure(next.code == 410 && next.json()["reason"] == "Expired", || next.text)?;
    let exact = format!("?resourceVersion={from}&resourceVersionMatch=Exact");
    let old = cluster.api.get(&place(&exact)).await?;
    ensure(old.code == 410, || old.text)?;
    cluster.empty().await
}
