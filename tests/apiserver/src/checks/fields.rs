//! What lists select, and what their tables show.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, static_ip};

async fn names(cluster: &Cluster, query: &str) -> Result<BTreeSet<String>, String> {
    let answer = cluster.api.get(&format!("{GROUP}/staticips?fieldSelector={query}")).await?;
    ensure(answer.code == 200, || format!("{query}: {}", answer.text))?;
    let list = answer.json();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items.iter().filter_map(|i| i["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

async fn three(cluster: &Cluster) -> Outcome {
    for (address, node, member) in [
        ("10.1.0.20", "n1", "redis-0"),
        ("10.1.0.21", "n2", "redis-1"),
        ("10.1.0.22", "n1", "redis-2"),
    ] {
        let object = static_ip(address, node, member);
        let answer = cluster.api.post(&format!("{GROUP}/staticips"), &object).await?;
        ensure(answer.code == 201, || answer.text)?;
    }
    Ok(())
}

async fn none(cluster: &Cluster) -> Outcome {
    let gone = cluster.api.delete(&format!("{GROUP}/staticips")).await?;
    ensure(gone.code == 200, || gone.text)
}

pub(super) async fn addresses_are_listed_by_node_member_and_pool(cluster: &Cluster) -> Outcome {
    three(cluster).await?;
    let cases = [
        ("spec.attachment.nodeName%3Dn1", vec!["10.1.0.20", "10.1.0.22"]),
        ("spec.attachment.nodeName%3Dn3", vec![]),
        ("spec.claimRef.namespace%3Dprod,spec.claimRef.name%3Dredis-1", vec!["10.1.0.21"]),
        ("spec.claimRef.namespace%3Dtest", vec![]),
        ("spec.pool%3Da", vec!["10.1.0.20", "10.1.0.21", "10.1.0.22"]),
    ];
    for (query, wanted) in cases {
        let seen = names(cluster, query).await?;
        let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
        ensure(seen == wanted, || format!("{query}: {seen:?} instead of {wanted:?}"))?;
    }
    none(cluster).await
}

/// What `kubectl get` prints: which columns there are, and what stands in them.
pub(super) async fn tables_answer_the_first_question(cluster: &Cluster) -> Outcome {
    three(cluster).await?;
    let table = cluster.api.table(&format!("{GROUP}/staticips/10.1.0.21")).await?.json();
    let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let shown = columns.iter().filter(|column| column["priority"] == 0);
    let heads: Vec<&str> = shown.filter_map(|column| column["name"].as_str()).collect();
    let wanted = ["Name", "Namespace", "Member", "State", "Node", "Ready", "Age"];
    ensure(heads == wanted, || format!("{heads:?}"))?;
    let cells = table["rows"][0]["cells"].as_array().cloned().unwrap_or_default();
    let cells: Vec<&str> = cells.iter().take(5).filter_map(Value::as_str).collect();
    let wanted = ["10.1.0.21", "prod", "redis-1", "Attached", "n2"];
    ensure(cells == wanted, || format!("{cells:?}"))?;
    none(cluster).await
}
