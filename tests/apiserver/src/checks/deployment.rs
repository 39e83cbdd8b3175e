//! All objects in `deploy` on the server.

use std::fs;
use std::time::Duration;

use firecamp_checks::deploy::{files, objects, parsed};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::definitions::CRDS;
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
/// Files without objects, or with a placeholder for the namespace.
const OTHERS: [&str; 3] = ["/kustomization.yaml", "/member-bindings.yaml", "values.yaml"];
/// The variable with the directory of the Prometheus operator's definitions.
const OPERATOR: &str = "OPERATOR_CRDS";
/// The definitions of the operator that the chart uses.
const MONITORING: [&str; 2] = ["podmonitors", "prometheusrules"];
/// The variable with the directory of Cilium's source.
const CILIUM: &str = "CILIUM_SOURCE";
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

/// The definitions in a file of the directory that this variable names.
fn definitions(variable: &str, file: &str) -> Result<Vec<Value>, String> {
    let dir = std::env::var(variable)
        .map_err(|_unset| format!("{variable} names no directory: run `make test-apiserver`"))?;
    let file = format!("{dir}/{file}");
    let text = fs::read_to_string(&file).map_err(|wrong| format!("{file}: {wrong}"))?;
    parsed(&text)
}

async fn served(cluster: &Cluster, place: &str) -> Outcome {
    let end = Instant::now() + PATIENCE;
    while cluster.api.get(place).await?.code != 200 {
        ensure(Instant::now() < end, || format!("{place} is not served"))?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Installs the definitions of the Prometheus operator.
pub(super) async fn define_monitoring(cluster: &Cluster) -> Outcome {
    for plural in MONITORING {
        for definition in definitions(OPERATOR, &format!("monitoring.coreos.com_{plural}.yaml"))? {
            apply(cluster, &definition).await?;
        }
        served(cluster, &format!("/apis/monitoring.coreos.com/v1/{plural}")).await?;
    }
    Ok(())
}

/// Installs the definition of CiliumNetworkPolicies. The server may warn of it: it has a format
/// that Kubernetes does not know.
async fn define_cilium_policies(cluster: &Cluster) -> Outcome {
    let file = "pkg/k8s/apis/cilium.io/client/crds/v2/ciliumnetworkpolicies.yaml";
    for definition in definitions(CILIUM, file)? {
        let answer = cluster.api.post(CRDS, &definition).await?;
        ensure(answer.code == 201, || answer.text)?;
    }
    served(cluster, "/apis/cilium.io/v2/ciliumnetworkpolicies").await
}

/// Runs before the checks that leave objects of the same names behind.
pub(super) async fn the_server_accepts_all_deployed_objects_without_warnings(
    cluster: &Cluster,
) -> Outcome {
    define_monitoring(cluster).await?;
    define_cilium_policies(cluster).await?;
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

/// The server rejects objects with a field that the definitions of others do not have.
async fn unknown_fields_are_rejected(cluster: &Cluster) -> Outcome {
    let chart = "tests/checks/rendered/most.yaml";
    for (file, kind, path) in [
        (chart, "PodMonitor", "/spec/podMetricsEndpoints/0"),
        (chart, "PrometheusRule", "/spec/groups/0/rules/0"),
        ("deploy/networkpolicy/cilium.yaml", "CiliumNetworkPolicy", "/spec/egress/0"),
    ] {
        let found = objects(file)?.into_iter().find(|object| object["kind"] == kind);
        let mut object = found.ok_or_else(|| format!("{file} has no {kind}"))?;
        let part = object.pointer_mut(path).ok_or_else(|| format!("no {path} of {kind}"))?;
        part["firecamp"] = json!("an unknown field");
        let wrong = would_apply(cluster, &object).await.err().unwrap_or_default();
        ensure(wrong.contains("firecamp"), || format!("{kind} with {path}/firecamp: {wrong:?}"))?;
    }
    Ok(())
}
