//! The first published definitions, with objects, are replaced by the current ones, and back.
//!
//! The earlier definitions are made even laxer: with a removed field, without rules, and without
//! selectable fields.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use firecamp_core::ports::Registry;
use firecamp_core::record::{Stored, Write};
use firecamp_registry::conformance::attached;
use firecamp_testkit::kubernetes::Watch;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, definitions, ensure};
use crate::cluster::Cluster;
use crate::samples::{GROUP, claim, node_interface, pool, static_ip, with};

const EARLIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/earlier");
const PATIENCE: Duration = Duration::from_mins(1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);

/// The removed field.
const FORMER: &str = "former";

fn earlier(plural: &str) -> Result<Value, String> {
    let path = Path::new(EARLIER).join(format!("{plural}.yaml"));
    let wrong = |wrong: &dyn std::fmt::Display| format!("{}: {wrong}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
    let mut object: Value = serde_saphyr::from_str(&text).map_err(|error| wrong(&error))?;
    let version = &mut object["spec"]["versions"][0];
    version.as_object_mut().ok_or("no version")?.remove("selectableFields");
    let schema = &mut version["schema"]["openAPIV3Schema"];
    without_rules(schema);
    let spec = &mut schema["properties"]["spec"];
    if !spec["properties"].is_object() {
        spec["properties"] = json!({});
    }
    spec["properties"][FORMER] = json!({ "type": "string" });
    Ok(object)
}

fn without_rules(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("x-kubernetes-validations");
            map.values_mut().for_each(without_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces a definition like `kubectl replace`, and waits until it is in force.
async fn replace(cluster: &Cluster, definition: &Value, lax: bool) -> Outcome {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{}/{name}", definitions::CRDS);
    let mut new = definition.clone();
    let stored = cluster.api.get(&path).await?.json();
    new["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
    let answer = cluster.api.put(&format!("{path}?fieldValidation=Strict"), &new).await?;
    ensure(answer.code == 200 && answer.warnings.is_empty(), || {
        format!("{} {:?}", answer.text, answer.warnings)
    })?;
    let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
    in_force(cluster, plural, lax).await
}

/// Waits for a definition: the server accepts the removed field only with the earlier one.
async fn in_force(cluster: &Cluster, plural: &str, lax: bool) -> Outcome {
    let (place, base) = match plural {
        "staticips" => (plural.to_owned(), static_ip("10.1.0.200", "n1", "redis-7")),
        "staticippools" => (plural.to_owned(), with(pool(), &[("/metadata/name", json!("z"))])),
        "staticipclaims" => (
            format!("namespaces/prod/{plural}"),
            with(claim(), &[("/metadata/name", json!("redis-7"))]),
        ),
        "nodeinterfaces" => (plural.to_owned(), node_interface("i-00000007")),
        _ => (plural.to_owned(), attachments("n7")),
    };
    let mut probe = base;
    probe["spec"][FORMER] = json!("x");
    let path = format!("{GROUP}/{place}?dryRun=All&fieldValidation=Strict");
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = cluster.api.post(&path, &probe).await?;
        if (answer.code == 201) == lax && matches!(answer.code, 201 | 400) {
            return Ok(());
        }
        ensure(Instant::now() < end, || format!("{plural}: {}", answer.text))?;
        sleep(Duration::from_millis(50)).await;
    }
}

fn attachments(node: &str) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeAttachments",
        "metadata": { "name": node },
        "spec": {},
    })
}

async fn replace_all(cluster: &Cluster, lax: bool) -> Outcome {
    for definition in firecamp_registry::crds::all().map_err(|wrong| wrong.to_string())? {
        let object = if lax { earlier(definition.plural)? } else { definition.object };
        replace(cluster, &object, lax).await?;
    }
    Ok(())
}

/// One object of each kind with the removed field; the current rules reject the pool.
async fn old_objects(cluster: &Cluster) -> Outcome {
    let overlapping = with(pool(), &[("/spec/subnets/1/cidr", json!("10.1.0.0/24"))]);
    let objects = [
        ("staticips", static_ip("10.1.0.20", "n1", "redis-0")),
        ("staticippools", overlapping),
        ("namespaces/prod/staticipclaims", claim()),
        ("nodeattachments", attachments("n1")),
        ("nodeinterfaces", node_interface("i-0000000a")),
    ];
    for (place, mut object) in objects {
        object["spec"][FORMER] = json!("x");
        let answer = cluster.api.post(&format!("{GROUP}/{place}"), &object).await?;
        let kept = answer.json()["spec"][FORMER] == "x";
        ensure(answer.code == 201 && kept, || answer.text)?;
    }
    Ok(())
}

/// All objects are served without the removed field and are otherwise unchanged.
async fn objects_are_unchanged(cluster: &Cluster) -> Outcome {
    let places = [
        ("staticips/10.1.0.20", static_ip("10.1.0.20", "n1", "redis-0")),
        ("namespaces/prod/staticipclaims/redis-0", claim()),
        ("nodeattachments/n1", attachments("n1")),
        ("nodeinterfaces/i-0000000a-0", node_interface("i-0000000a")),
        ("staticippools/a", with(pool(), &[("/spec/subnets/1/cidr", json!("10.1.0.0/24"))])),
    ];
    for (place, object) in places {
        let answer = cluster.api.get(&format!("{GROUP}/{place}")).await?;
        ensure(answer.code == 200, || answer.text.clone())?;
        let stored = answer.json();
        ensure(stored["spec"].get(FORMER).is_none(), || format!("not pruned: {stored}"))?;
        for (field, value) in object["spec"].as_object().into_iter().flatten() {
            ensure(stored["spec"][field] == *value, || format!("{field}: {stored}"))?;
        }
    }
    let selected = "staticips?fieldSelector=spec.attachment.nodeName%3Dn1";
    let list = cluster.api.get(&format!("{GROUP}/{selected}")).await?;
    let found = list.json()["items"].as_array().map_or(0, Vec::len);
    ensure(found == 1, || format!("an earlier object is not selected by its node: {}", list.text))
}

/// Acquires the address through the registry, which rejects unknown fields.
async fn can_be_acquired(cluster: &Cluster, epoch: u64) -> Outcome {
    let registry = cluster.registry().await;
    let wrong = |failure| format!("{failure:?}");
    let read = registry.static_ip(ADDRESS).await.map_err(wrong)?.ok_or("the address is gone")?;
    let object = attached(&read.object, epoch).map_err(|broken| broken.0)?;
    let write = Write::UpdateStaticIp(Stored { version: read.version, object });
    registry.write(&write).await.map_err(wrong).map(drop)
}

/// An existing object that violates a current rule can be changed in other fields, and corrected.
async fn an_invalid_object_can_be_corrected(cluster: &Cluster) -> Outcome {
    let place = format!("{GROUP}/staticippools/a");
    let patch = |path: &str, value: Value| json!([{ "op": "add", "path": path, "value": value }]);
    let label = patch("/metadata/labels", json!({ "team": "db" }));
    let answer = cluster.api.patch(&place, &label).await?;
    ensure(answer.code == 200, || format!("a label: {}", answer.text))?;
    let status = json!({ "conditions": [{ "type": "Ready", "status": "False",
        "reason": "Overlap", "message": "", "lastTransitionTime": "2026-11-20T15:00:00Z" }]});
    let answer = cluster.api.patch(&format!("{place}/status"), &patch("/status", status)).await?;
    // 1.31 validates the whole object at each write of its status, 1.34 only what is changed.
    let version = cluster.api.get("/version").await?.json();
    let expected = if version["minor"] == "31" { 422 } else { 200 };
    ensure(answer.code == expected, || format!("a status: {}", answer.text))?;
    let worse = patch("/spec/subnets/1/cidr", json!("10.1.0.0/16"));
    let answer = cluster.api.patch(&place, &worse).await?;
    ensure(answer.code == 422, || format!("another overlap: {}", answer.text))?;
    let good = patch("/spec/subnets/1/cidr", json!("10.1.1.0/28"));
    let answer = cluster.api.patch(&place, &good).await?;
    ensure(answer.code == 200, || answer.text)
}

/// An open watch must not become silent: it continues, or it ends so that the client restarts it.
async fn a_watch_continues_or_ends(cluster: &Cluster, watch: &mut Watch) -> Outcome {
    while let Some(event) = watch.next().await? {
        if event.object["spec"]["epoch"] == 5 {
            return Ok(());
        }
    }
    let answer = cluster.api.get(&format!("{GROUP}/staticips/{ADDRESS}")).await?;
    ensure(answer.json()["spec"]["epoch"] == 5, || answer.text)
}

pub(super) async fn objects_survive_an_upgrade_and_a_downgrade_of_the_crds(
    cluster: &Cluster,
) -> Outcome {
    cluster.empty().await?;
    replace_all(cluster, true).await?;
    old_objects(cluster).await?;
    let mut watch = cluster.api.watch(&format!("{GROUP}/staticips?watch=true")).await?;
    replace_all(cluster, false).await?;
    objects_are_unchanged(cluster).await?;
    can_be_acquired(cluster, 5).await?;
    a_watch_continues_or_ends(cluster, &mut watch).await?;
    an_invalid_object_can_be_corrected(cluster).await?;
    replace_all(cluster, true).await?;
    can_be_acquired(cluster, 6).await?;
    replace_all(cluster, false).await?;
    can_be_acquired(cluster, 7).await?;
    for definition in firecamp_registry::crds::all().map_err(|wrong| wrong.to_string())? {
        let path = format!("{}/{}.firecamp.io", definitions::CRDS, definition.plural);
        let stored = cluster.api.get(&path).await?.json();
        let versions = &stored["status"]["storedVersions"];
        ensure(*versions == json!(["v1alpha1"]), || versions.to_string())?;
    }
    cluster.empty().await
}
