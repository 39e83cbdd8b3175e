//! Everything under `deploy`, as the server takes it.

use std::fs;
use std::time::Duration;

use firecamp_checks::deploy::{files, objects, parsed};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::deploy::{apply, would_apply};

/// Where there are files with objects; what is in the last one Helm has made.
const PLACES: [&str; 6] = [
    "deploy",
    "deploy/rbac",
    "deploy/policies",
    "deploy/examples",
    "deploy/examples/edge",
    "tests/checks/rendered",
];
/// Of these files: no objects, or only for a namespace of one's own.
const OTHERS: [&str; 3] = ["/kustomization.yaml", "/member-bindings.yaml", "/values.yaml"];
/// Names the directory of the Prometheus operator's definitions.
const OPERATOR: &str = "OPERATOR_CRDS";
/// Those of its definitions that the chart has objects of.
const MONITORING: [&str; 2] = ["podmonitors", "prometheusrules"];
/// They come with the API server's own, a moment after it has taken the definition.
const PATIENCE: Duration = Duration::from_mins(1);

/// Objects of a namespace can be tried only if that is there.
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

/// What a cluster has in which the Prometheus operator is installed.
async fn define_monitoring(cluster: &Cluster) -> Outcome {
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

/// Comes before the checks that leave objects of the same names behind.
pub(super) async fn what_is_deployed_is_taken_strictly_and_without_a_warning(
    cluster: &Cluster,
) -> Outcome {
    define_monitoring(cluster).await?;
    let mut count = 0;
    for place in PLACES {
        for file in files(place)? {
            if OTHERS.iter().any(|other| file.ends_with(other)) {
                continue;
            }
            for object in objects(&file)? {
                namespace(cluster, &object).await?;
                would_apply(cluster, &object).await.map_err(|wrong| format!("{file}: {wrong}"))?;
                count += 1;
            }
        }
    }
    ensure(count > 40, || format!("only {count} objects"))?;
    whoever_errs_is_refused(cluster).await
}

/// What the operator's definitions do not know is no object of theirs.
async fn whoever_errs_is_refused(cluster: &Cluster) -> Outcome {
    for (kind, path) in [
        ("PodMonitor", "/spec/podMetricsEndpoints/0"),
        ("PrometheusRule", "/spec/groups/0/rules/0"),
    ] {
        let all = objects("tests/checks/rendered/most.yaml")?;
        let found = all.into_iter().find(|object| object["kind"] == kind);
        let mut object = found.ok_or_else(|| format!("the chart has no {kind}"))?;
        let part = object.pointer_mut(path).ok_or_else(|| format!("no {path} of {kind}"))?;
        part["firecamp"] = json!("nobody knows this");
        let wrong = would_apply(cluster, &object).await.err().unwrap_or_default();
        ensure(wrong.contains("firecamp"), || format!("{kind} with {path}/firecamp: {wrong:?}"))?;
    }
    Ok(())
}
