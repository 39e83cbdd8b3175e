//! Parses the files under `deploy`. The tests of this package compare them with the code and the
//! documents, `tests/apiserver` applies them to a real API server, and `make test-deploy` compares
//! them with the output of Helm and Kustomize.

pub mod iam;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A place in the repository.
pub fn place(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

/// The text of a file of the repository.
///
/// # Errors
///
/// If it cannot be read.
pub fn text(relative: &str) -> Result<String, String> {
    fs::read_to_string(place(relative)).map_err(|wrong| format!("{relative}: {wrong}"))
}

/// The objects of a file, in the order in which they apply.
///
/// # Errors
///
/// If the file cannot be read, or is no YAML.
pub fn objects(relative: &str) -> Result<Vec<Value>, String> {
    parsed(&text(relative)?).map_err(|wrong| format!("{relative}: {wrong}"))
}

/// The objects of a text.
///
/// # Errors
///
/// If it is no YAML.
pub fn parsed(text: &str) -> Result<Vec<Value>, String> {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|wrong| wrong.to_string())?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// The files of a directory of the repository with YAML in them, by their names.
///
/// # Errors
///
/// If it cannot be listed.
pub fn files(relative: &str) -> Result<Vec<String>, String> {
    let wrong = |wrong: std::io::Error| format!("{relative}: {wrong}");
    let entries = fs::read_dir(place(relative)).map_err(wrong)?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(wrong)?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "yaml") {
            found.push(format!("{relative}/{name}"));
        }
    }
    found.sort();
    Ok(found)
}

/// Where an API server has objects of this kind, the namespace of the object included.
///
/// # Errors
///
/// If this kind is not known here.
pub fn collection(object: &Value) -> Result<String, String> {
    let part = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (part("/apiVersion"), part("/kind"));
    let plural = KINDS.iter().find(|(known, ..)| *known == kind);
    let (_, plural, namespaced) = plural.ok_or_else(|| format!("where is a {kind}?"))?;
    let group = if version.contains('/') { "apis" } else { "api" };
    let namespace = match part("/metadata/namespace") {
        _ if !namespaced => String::new(),
        "" => "/namespaces/default".to_owned(),
        name => format!("/namespaces/{name}"),
    };
    Ok(format!("/{group}/{version}{namespace}/{plural}"))
}

/// Kind, plural, and whether it is in a namespace.
const KINDS: [(&str, &str, bool); 27] = [
    ("RuntimeClass", "runtimeclasses", false),
    ("CiliumNetworkPolicy", "ciliumnetworkpolicies", true),
    ("ClusterRole", "clusterroles", false),
    ("ClusterRoleBinding", "clusterrolebindings", false),
    ("ConfigMap", "configmaps", true),
    ("CustomResourceDefinition", "customresourcedefinitions", false),
    ("DaemonSet", "daemonsets", true),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", false),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", false),
    ("Namespace", "namespaces", false),
    ("NetworkPolicy", "networkpolicies", true),
    ("Node", "nodes", false),
    ("NodeAttachments", "nodeattachments", false),
    ("Pod", "pods", true),
    ("PodDisruptionBudget", "poddisruptionbudgets", true),
    ("PodMonitor", "podmonitors", true),
    ("PrometheusRule", "prometheusrules", true),
    ("Role", "roles", true),
    ("RoleBinding", "rolebindings", true),
    ("Service", "services", true),
    ("ServiceAccount", "serviceaccounts", true),
    ("StatefulSet", "statefulsets", true),
    ("StaticIP", "staticips", false),
    ("StaticIPClaim", "staticipclaims", true),
    ("StaticIPPool", "staticippools", false),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
];
