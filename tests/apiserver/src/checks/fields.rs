//! Field selectors of lists, and printer columns.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, claim, pool, static_ip};

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
        let observed = names(cluster, query).await?;
        let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
        ensure(observed == wanted, || format!("{query}: {observed:?} instead of {wanted:?}"))?;
    }
    none(cluster).await
}

/// The output of `kubectl get` without `-o wide`: the header, and the cells of the first row.
async fn printed(cluster: &Cluster, path: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let table = cluster.api.table(&format!("{GROUP}/{path}")).await?.json();
    let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let cells = table["rows"][0]["cells"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = columns.iter().zip(&cells).filter(|(column, _)| column["priority"] == 0);
    Ok(shown.map(|(column, cell)| (text(&column["name"]), text(cell))).unzip())
}

/// The columns of each kind, and their cells except the last column, which is the age.
type Printed = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const PRINTED: [Printed; 4] = [
    (
        "staticips",
        "10.1.0.21",
        &["Name", "Namespace", "Member", "State", "Node", "Ready", "Reason", "Age"],
        &["10.1.0.21", "prod", "redis-1", "Attached", "n2", "False", "Misplaced"],
    ),
    (
        "namespaces/prod/staticipclaims",
        "redis-0",
        &["Name", "Address", "Pool", "Bound", "Reason", "Age"],
        &["redis-0", "10.1.0.20", "a", "False", "StaticIPNotFound"],
    ),
    (
        "staticippools",
        "a",
        &["Name", "Release", "Reclaim", "Free", "Total", "Ready", "Reason", "Age"],
        &["a", "Keep", "Retain", "0", "9", "False", "Exhausted"],
    ),
    (
        "nodeattachments",
        "n2",
        &["Name", "Ready", "Reason", "Free", "Addresses-Failing", "Volumes-Failing", "Age"],
        &["n2", "False", "SomeFailing", "3", "1", "0"],
    ),
];

/// The statuses that the agents report.
fn reported() -> [(&'static str, Value, Value); 4] {
    let conditions = |kind: &str, reason: &str| {
        json!([{ "type": "Audited", "status": "True", "reason": "ByHand" },
            { "type": kind, "status": "False", "reason": reason }])
    };
    let attachments = json!({
        "apiVersion": "firecamp.io/v1alpha1", "kind": "NodeAttachments",
        "metadata": { "name": "n2" },
    });
    let pool_is = json!({ "total": 9, "allocated": 9, "free": 0,
        "conditions": conditions("Ready", "Exhausted") });
    let node_is = json!({ "slots": { "free": 3, "total": 9 }, "addressesFailing": 1,
        "volumesFailing": 0, "conditions": conditions("Ready", "SomeFailing") });
    let claim_is = json!({ "conditions": conditions("Bound", "StaticIPNotFound") });
    let ip_is = json!({ "conditions": conditions("Ready", "Misplaced") });
    [
        ("staticips", static_ip("10.1.0.21", "n2", "redis-1"), ip_is),
        ("namespaces/prod/staticipclaims", claim(), claim_is),
        ("staticippools", pool(), pool_is),
        ("nodeattachments", attachments, node_is),
    ]
}

pub(super) async fn kubectl_get_shows_the_expected_columns(cluster: &Cluster) -> Outcome {
    for ((plural, object, status), (_, name, ..)) in reported().into_iter().zip(PRINTED) {
        let made = cluster.api.post(&format!("{GROUP}/{plural}"), &object).await?;
        ensure(made.code == 201, || made.text)?;
        let patch = json!([{ "op": "add", "path": "/status", "value": status }]);
        let reported =
            cluster.api.patch(&format!("{GROUP}/{plural}/{name}/status"), &patch).await?;
        ensure(reported.code == 200, || reported.text)?;
    }
    for (plural, name, heads, cells) in PRINTED {
        let (observed, values) = printed(cluster, &format!("{plural}/{name}")).await?;
        ensure(observed == heads, || format!("{plural}: {observed:?}"))?;
        let before_age = values.split_last().map(|(_age, before)| before).unwrap_or_default();
        ensure(before_age == cells, || format!("{plural}: {values:?}"))?;
        let gone = cluster.api.delete(&format!("{GROUP}/{plural}/{name}")).await?;
        ensure(gone.code == 200, || gone.text)?;
    }
    Ok(())
}
