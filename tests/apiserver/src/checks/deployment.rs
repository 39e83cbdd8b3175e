//! All objects in `deploy` on the server.

use std::fs;
use std::time::Duration;

use firecamp_checks::deploy::{files, objects, parsed};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{NO_MUTATION, Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::{apply, is_mutating, mutates, would_apply};
use crate::say;

/// The directories with objects; Helm has rendered those in the last one.
const PLACES: [&str; 9] = [
    "deploy",
    "deploy/injection",
    "deploy/logs",
    "deploy/networkpolicy",
    "deploy/rbac",
    "deploy/policies",
    "deploy/examples",
    "deploy/examples/edge",
    "tests/checks/rendered",
];
/// Files without objects, with a placeholder for the namespace, or with a kind of Cilium.
const OTHERS: [&str; 4] =
    ["/kustomization.yaml", "/member-bindings.yaml", "values.yaml", "/cilium.yaml"];
/// The variable with the directory of the Prometheus operator's definitions.
const OPERATOR: &str = "OPERATOR_CRDS";
/// The definitions of the operator that the chart uses.
const MONITORING: [&str; 2] = ["podmonitors", "prometheusrules"];
/// The server serves a kind a moment after it has accepted the definition.
const PATIENCE: Duration = Duration::from_mins(1);

/// Creates the namespace of an object, which a dry run needs.
async fn namespace(cluster: &Cluster, object: &Value) -> Outcome {
    let named = match object["kind"].as_str() {
        Some("Namespace") => &object["metadata"]["name"],
        _ => &object["metadata"]["namespace"],
    };
    if named.is_null() {
        return Ok(());
    }
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": named },
    });
    apply(cluster, &namespace).await
}

/// Installs the definitions of the Prometheus operator.
pub(super) async fn define_monitoring(cluster: &Cluster) -> Outcome {
    let dir = std::env::var(OPERATOR)
        .map_err(|_unset| format!("{OPERATOR} names no directory: run `make test-apiserver`"))?;
    for plural in MONITORING {
        let file = format!("{dir}/monitoring.coreos.com_{plural}.yaml");
        let text = fs::read_to_string(&file).map_err(|wrong| format!("{file}: {wrong}"))?;
        for definition in parsed(&text)? {
            apply(cluster, &definition).await?;
        }
        let place = format!("/apis/monitoring.coreos.com/v1/{plural}");
        let end = Instant::now() + PATIENCE;
        while cluster.api.get(&place).await?.code != 200 {
            ensure(Instant::now() < end, || format!("{place} is not served"))?;
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Runs before the checks that leave objects of the same names behind.
pub(super) async fn the_server_accepts_all_deployed_objects_without_warnings(
    cluster: &Cluster,
) -> Outcome {
    define_monitoring(cluster).await?;
    let (mutates, mut left_out) = (mutates(cluster).await?, 0);
    let mut count = 0;
    for place in PLACES {
        for file in files(place)? {
            if OTHERS.iter().any(|other| file.ends_with(other)) {
                continue;
            }
            for object in objects(&file)? {
                if is_mutating(&object) && !mutates {
                    left_out += 1;
                    continue;
                }
                namespace(cluster, &object).await?;
                would_apply(cluster, &object).await.map_err(|wrong| format!("{file}: {wrong}"))?;
                count += 1;
            }
        }
    }
    ensure(count > 40, || format!("only {count} objects"))?;
    if left_out > 0 {
        say(&format!("        {NO_MUTATION}: without {left_out} objects"));
    }
    unknown_fields_are_rejected(cluster).await
}

/// The server rejects objects with a field that the operator's definitions do not have.
async fn unknown_fields_are_rejected(cluster: &Cluster) -> Outcome {
    for (kind, path) in [
        ("PodMonitor", "/spec/podMetricsEndpoints/0"),
        ("PrometheusRule", "/spec/groups/0/rules/0"),
    ] {
        let all = objects("tests/checks/rendered/most.yaml")?;
        let found = all.into_iter().find(|object| object["kind"] == kind);
        let mut object = found.ok_or_else(|| format!("the chart has no {kind}"))?;
        let part = object.pointer_mut(path).ok_or_else(|| format!("no {path} of {kind}"))?;
        part["firecamp"] = json!("an unknown field");
        let wrong = would_apply(cluster, &object).await.err().unwrap_or_default();
        ensure(wrong.contains("firecamp"), || format!("{kind} with {path}/firecamp: {wrong:?}"))?;
    }
    Ok(())
}
