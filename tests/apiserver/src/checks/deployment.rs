//! Everything under `deploy`, as the server takes it.

use firecamp_deploy_tests::{files, objects};
use serde_json::{Value, json};

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
    "tests/deploy/rendered",
];
/// Of these files: no objects, or only for a namespace of one's own.
const OTHERS: [&str; 3] = ["/kustomization.yaml", "/member-bindings.yaml", "/values.yaml"];
/// Of the Prometheus operator, whose definitions this server has not: tests/deploy looks at them.
const OPERATORS: &str = "monitoring.coreos.com/";

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

/// Comes before the checks that leave objects of the same names behind.
pub(super) async fn what_is_deployed_is_taken_strictly_and_without_a_warning(
    cluster: &Cluster,
) -> Outcome {
    let mut count = 0;
    for place in PLACES {
        for file in files(place)? {
            if OTHERS.iter().any(|other| file.ends_with(other)) {
                continue;
            }
            let ours = |object: &Value| {
                !object["apiVersion"].as_str().is_some_and(|group| group.starts_with(OPERATORS))
            };
            for object in objects(&file)?.into_iter().filter(ours) {
                namespace(cluster, &object).await?;
                would_apply(cluster, &object).await.map_err(|wrong| format!("{file}: {wrong}"))?;
                count += 1;
            }
        }
    }
    ensure(count > 40, || format!("only {count} objects"))
}
