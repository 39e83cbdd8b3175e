//! Applies objects as a user does.

use firecamp_checks::deploy::collection;
use serde_json::Value;

use crate::checks::{Outcome, ensure};
use crate::cluster::Cluster;

/// Like `kubectl apply --server-side`: strict; a warning is an error.
pub(crate) async fn apply(cluster: &Cluster, object: &Value) -> Outcome {
    ask(cluster, object, "").await
}

/// Like `kubectl apply --server-side --dry-run=server`.
pub(crate) async fn would_apply(cluster: &Cluster, object: &Value) -> Outcome {
    ask(cluster, object, "&dryRun=All").await
}

/// Whether the server has MutatingAdmissionPolicy: not before 1.34.
pub(crate) async fn mutates(cluster: &Cluster) -> Result<bool, String> {
    Ok(served(cluster, "v1").await? || served(cluster, "v1beta1").await?)
}

async fn served(cluster: &Cluster, version: &str) -> Result<bool, String> {
    let answer = cluster.api.get(&format!("/apis/admissionregistration.k8s.io/{version}")).await?;
    Ok(answer.text.contains("\"mutatingadmissionpolicies\""))
}

/// Whether an object is of a kind that not every server has.
pub(crate) fn is_mutating(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
}

/// The object in a version that the server has: before 1.36 it has MutatingAdmissionPolicy as
/// v1beta1 alone.
pub(crate) async fn as_served(cluster: &Cluster, object: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    if is_mutating(&object) && !served(cluster, "v1").await? {
        object["apiVersion"] = Value::from("admissionregistration.k8s.io/v1beta1");
    }
    Ok(object)
}

async fn ask(cluster: &Cluster, object: &Value, more: &str) -> Outcome {
    let object = &as_served(cluster, object).await?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let place = format!("{}/{name}", collection(object)?);
    let path = format!("{place}?fieldManager=test&force=true&fieldValidation=Strict{more}");
    let answer = cluster.api.patch_as("application/apply-patch+yaml", &path, object).await?;
    let good = matches!(answer.code, 200 | 201) && answer.warnings.is_empty();
    ensure(good, || format!("{place}: {} {:?}", answer.text, answer.warnings))
}
