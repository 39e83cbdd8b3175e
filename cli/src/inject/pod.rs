//! What a pod needs to be a member. The admission policy of `deploy/injection` adds the same.

use std::collections::BTreeMap;
use std::path::Path;

use firecamp_core::contract;
use firecamp_core::contract::endpoint::{
    self, ADDRESS_FILE, ADDRESS_VOLUME, AUDIENCE, INIT_CONTAINER, INJECT_LABEL, ISTIO_EXCLUDES,
    LINKERD_EXCLUDES, NOT_INJECTED, POOL_LABEL, TOKEN_FILE, TOKEN_SECONDS, TOKEN_VOLUME,
};
use firecamp_core::contract::path;
use serde_json::{Value, json};

use crate::common::json::{at, text};

/// The extended resource of a pool that names none.
pub const DEFAULT_RESOURCE: &str = contract::api::EXTENDED_RESOURCE;

/// The default run directory, as some write it: /var/run is a link to /run.
const OTHER_RUN_DIR: &str = "/var/run/firecamp";

/// CPU of the init container by default.
pub const CPU: &str = "10m";
/// Memory of the init container by default.
pub const MEMORY: &str = "32Mi";

/// The extended resource of each pool.
pub type Pools = BTreeMap<String, String>;

/// What is injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of the init container; needed if there is a member.
    pub image: Option<String>,
    /// Where the agents listen.
    pub endpoint: String,
    /// The pools, if they are known.
    pub pools: Option<Pools>,
    /// The extended resource of all pods, if it is not that of their pools.
    pub resource: Option<String>,
    /// CPU of the init container, if the pod is not BestEffort.
    pub cpu: String,
    /// Memory of the init container, if the pod is not BestEffort.
    pub memory: String,
    /// The directory of the node that init containers in direct mode mount.
    pub run_dir: String,
}

impl Settings {
    /// This image, and the defaults of the chart.
    pub fn of_image(image: &str) -> Self {
        Self {
            image: Some(image.to_owned()),
            endpoint: endpoint::DEFAULT.to_owned(),
            pools: None,
            resource: None,
            cpu: CPU.to_owned(),
            memory: MEMORY.to_owned(),
            run_dir: path::RUN_DIR.to_owned(),
        }
    }
}

/// Injects into a Pod, a StatefulSet, or the items of a List. Returns whether something changed.
///
/// # Errors
///
/// Which object cannot be a member, and why.
pub fn inject_object(object: &mut Value, settings: &Settings) -> Result<bool, String> {
    let kind = text(object, "/kind").to_owned();
    if kind.ends_with("List") {
        let mut changed = false;
        let items = object.pointer_mut("/items").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            changed |= inject_object(item, settings)?;
        }
        return Ok(changed);
    }
    let who = format!("{kind} {}", text(object, "/metadata/name"));
    let pod = match kind.as_str() {
        "Pod" => Some(&mut *object),
        "StatefulSet" => object.pointer_mut("/spec/template"),
        _ if is_member(at(object, "/spec/template"), &settings.run_dir) => {
            return Err(format!(
                "{who}: only StatefulSets and Pods can be members, because the names of their \
                 pods stay: remove the label {POOL_LABEL}"
            ));
        }
        _ => None,
    };
    match pod {
        Some(pod) if is_member(pod, &settings.run_dir) => {
            inject_pod(pod, settings).map_err(|why| format!("{who}: {why}"))
        }
        Some(_) | None => Ok(false),
    }
}

/// Whether a pod is a member to which something is added.
fn is_member(pod: &Value, run_dir: &str) -> bool {
    let label = |name: &str| at(pod, "/metadata/labels").get(name).and_then(Value::as_str);
    let spec = at(pod, "/spec");
    let mounted = |volume: &Value| {
        let mounts = items(spec, "initContainers").flat_map(|one| items(one, "volumeMounts"));
        mounts.into_iter().any(|mount| text(mount, "/name") == text(volume, "/name"))
    };
    // Only an init container in direct mode mounts the directory of the node's locks.
    let direct = items(spec, "volumes").any(|volume| {
        let path = text(volume, "/hostPath/path").trim_end_matches('/');
        (path == run_dir || path == OTHER_RUN_DIR) && mounted(volume)
    });
    label(POOL_LABEL).is_some() && label(INJECT_LABEL) != Some(NOT_INJECTED) && !direct
}

fn items<'a>(object: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    object.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// Injects into a pod with the label of a pool, or into the template of such pods. Returns whether
/// something changed.
///
/// # Errors
///
/// Why it cannot be a member.
pub fn inject_pod(pod: &mut Value, settings: &Settings) -> Result<bool, String> {
    let pool = at(pod, "/metadata/labels").get(POOL_LABEL).and_then(Value::as_str);
    let resource = resource(pool.unwrap_or_default(), settings)?;
    let before = pod.clone();
    let spec = pod.pointer_mut("/spec").ok_or("spec is missing")?;
    if at(spec, "/hostNetwork") != true && !at(spec, "/runtimeClassName").is_null() {
        let why = "the pod has a network of its own and a runtimeClassName: set hostNetwork: true \
                   or remove runtimeClassName";
        return Err(why.to_owned());
    }
    let image = settings
        .image
        .as_deref()
        .ok_or("--image is missing: name the image of the init container as your nodes pull it")?;
    if !has_named(spec, "volumes", TOKEN_VOLUME) {
        list(spec, "volumes")?.push(token_volume());
    }
    if !has_named(spec, "initContainers", INIT_CONTAINER) {
        let container = init_container(spec, image, &resource, settings);
        list(spec, "initContainers")?.insert(0, container);
    }
    if !has_named(spec, "volumes", ADDRESS_VOLUME) {
        // Cluster Autoscaler keeps nodes whose pods have an emptyDir on disk. This one is written
        // again at each start of the pod.
        let medium = json!({ "medium": "Memory" });
        list(spec, "volumes")?.push(json!({ "name": ADDRESS_VOLUME, "emptyDir": medium }));
    }
    for containers in ["containers", "initContainers"] {
        for container in list(spec, containers)? {
            if text(container, "/name") != INIT_CONTAINER {
                mount_address(container)?;
            }
        }
    }
    exclude_from_meshes(pod, &settings.endpoint)?;
    Ok(*pod != before)
}

/// Excludes the endpoint from the connections that sidecars of service meshes take over.
fn exclude_from_meshes(pod: &mut Value, endpoint: &str) -> Result<(), String> {
    let wrong = || format!("{endpoint} is not ADDRESS:PORT");
    let (address, port) = endpoint.rsplit_once(':').ok_or_else(wrong)?;
    let annotations = pod
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
        .map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})))
        .ok_or("metadata is missing")?;
    if annotations.is_null() {
        *annotations = json!({});
    }
    let annotations = annotations.as_object_mut().ok_or("annotations is not an object")?;
    for (name, own) in [(ISTIO_EXCLUDES, format!("{address}/32")), (LINKERD_EXCLUDES, port.into())]
    {
        let others = annotations.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut all: Vec<&str> = others.split(',').filter(|_one| !others.is_empty()).collect();
        if !all.contains(&own.as_str()) {
            all.push(&own);
            let all = json!(all.join(","));
            annotations.insert(name.to_owned(), all);
        }
    }
    Ok(())
}

fn has_named(object: &Value, list: &str, name: &str) -> bool {
    items(object, list).any(|item| text(item, "/name") == name)
}

/// A list of an object, which is created if it is missing.
fn list<'a>(object: &'a mut Value, name: &str) -> Result<&'a mut Vec<Value>, String> {
    let field = object.as_object_mut().ok_or_else(|| "spec is not an object".to_owned())?;
    let value = field.entry(name).or_insert_with(|| json!([]));
    // The API server takes null for nothing.
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().ok_or_else(|| format!("{name} is not a list"))
}

fn resource(pool: &str, settings: &Settings) -> Result<String, String> {
    let known = match &settings.pools {
        None => Some(DEFAULT_RESOURCE),
        Some(pools) => pools.get(pool).map(String::as_str),
    };
    let chosen = settings.resource.as_deref().or(known);
    chosen.map(str::to_owned).ok_or_else(|| format!("--pool-file has no pool {pool:?}"))
}

fn directory(file: &str) -> String {
    Path::new(file).parent().unwrap_or_else(|| Path::new("/")).display().to_string()
}

fn token_volume() -> Value {
    let token =
        json!({ "path": "token", "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS });
    json!({
        "name": TOKEN_VOLUME,
        "projected": { "sources": [{ "serviceAccountToken": token }] },
    })
}

/// Read-only, unless the container has a mount there.
fn mount_address(container: &mut Value) -> Result<(), String> {
    let path = directory(ADDRESS_FILE);
    let mounts = list(container, "volumeMounts")?;
    if !mounts.iter().any(|mount| text(mount, "/mountPath") == path) {
        mounts.push(json!({ "name": ADDRESS_VOLUME, "mountPath": path, "readOnly": true }));
    }
    Ok(())
}

/// Whether the pod requests CPU or memory, so that it is not BestEffort.
fn is_sized(spec: &Value) -> bool {
    let mut all = items(spec, "containers").chain(items(spec, "initContainers"));
    let paths = ["requests/cpu", "requests/memory", "limits/cpu", "limits/memory"];
    all.any(|container| {
        paths.iter().any(|path| container.pointer(&format!("/resources/{path}")).is_some())
    })
}

fn init_container(spec: &Value, image: &str, resource: &str, settings: &Settings) -> Value {
    // Requests equal limits: a Guaranteed pod stays Guaranteed.
    let amounts = if is_sized(spec) {
        json!({ resource: "1", "cpu": settings.cpu, "memory": settings.memory })
    } else {
        json!({ resource: "1" })
    };
    let field = |name: &str, path: &str| {
        let source = json!({ "fieldRef": { "fieldPath": path } });
        json!({ "name": name, "valueFrom": source })
    };
    json!({
        "name": INIT_CONTAINER,
        "image": image,
        "env": [
            { "name": contract::env::ENDPOINT, "value": settings.endpoint },
            field(contract::env::POD_NAME, "metadata.name"),
            field(contract::env::K8S_NAMESPACE, "metadata.namespace"),
            field(contract::env::POD_UID, "metadata.uid"),
            field(contract::env::NODE_NAME, "spec.nodeName"),
        ],
        "resources": { "requests": amounts, "limits": amounts },
        "securityContext": {
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumeMounts": [
            { "name": TOKEN_VOLUME, "mountPath": directory(TOKEN_FILE), "readOnly": true },
            { "name": ADDRESS_VOLUME, "mountPath": directory(ADDRESS_FILE) },
        ],
    })
}
