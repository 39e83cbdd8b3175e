//! A cluster that stores objects: what commands create, read, change and delete.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_cli::service::cluster::{ServiceCluster, kind, path};
use firecamp_cli::service::members::Members;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, Evicted, ObjectKind, ObjectPath, Selector};
use serde_json::{Value, json};

/// Kinds whose objects have no namespace.
const CLUSTER_SCOPED: [ObjectKind; 4] = [kind::NODE, kind::POOL, kind::STATIC_IP, kind::VOLUME];

/// The cluster.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<State>);

/// The objects, and how the cluster responds to writes.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<ObjectPath, Value>,
    /// The writes of commands, in their order: `apply`, `patch` or `delete`, and the object.
    pub(crate) writes: Vec<String>,
    /// The API server denies each apply of this kind.
    pub(crate) refused: Option<ObjectKind>,
    /// The status of each pod that is applied.
    pub(crate) pod_status: Value,
    /// Deleted objects of this kind remain, as finalizers keep them.
    pub(crate) undeletable: Option<ObjectKind>,
}

/// The path of an object: cluster-scoped, or in the namespace `prod`.
pub(crate) fn path_of(kind: ObjectKind, name: &str) -> ObjectPath {
    if CLUSTER_SCOPED.contains(&kind) {
        return ObjectPath { kind, namespace: None, name: name.to_owned() };
    }
    path(kind, "prod", name)
}

impl Store {
    /// The state.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object, as another client does.
    pub(crate) fn put(&self, kind: ObjectKind, name: &str, mut object: Value) {
        let path = path_of(kind, name);
        merge(&mut object, &json!({ "metadata": { "name": name, "namespace": path.namespace } }));
        self.state().objects.insert(path, object);
    }

    /// An object, which must exist.
    pub(crate) fn object(&self, kind: ObjectKind, name: &str) -> Value {
        self.state().objects[&path_of(kind, name)].clone()
    }

    /// Changes an object, as its controller does.
    pub(crate) fn change(&self, kind: ObjectKind, name: &str, fields: &Value) {
        merge(self.state().objects.get_mut(&path_of(kind, name)).unwrap(), fields);
    }

    /// The members of a StatefulSet or a Deployment.
    pub(crate) fn members(&self, kind: ObjectKind, name: &str) -> Members<'_, Self> {
        Members { cluster: self, set: path_of(kind, name) }
    }
}

/// A merge patch (RFC 7396).
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name], value);
        }
    }
}

/// Whether an object has the labels (`NAME=VALUE` or `NAME`) and the fields (`PATH=VALUE`).
fn is_selected(object: &Value, selector: &Selector) -> bool {
    let has_label = |term: &str| match term.split_once('=') {
        Some((name, value)) => object["metadata"]["labels"][name] == value,
        None => !object["metadata"]["labels"][term].is_null(),
    };
    let has_field = |term: &str| {
        let (field, value) = term.split_once('=').unwrap();
        field.split('.').fold(object, |object, name| &object[name]) == value
    };
    terms(&selector.labels).all(has_label) && terms(&selector.fields).all(has_field)
}

fn terms(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|term| !term.is_empty())
}

impl ServiceCluster for Store {
    async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        Ok(self.state().objects.get(object).cloned())
    }

    async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        let state = self.state();
        let listed = state.objects.iter().filter(|(path, object)| {
            path.kind == kind
                && (namespace.is_none() || path.namespace.as_deref() == namespace)
                && is_selected(object, selector)
        });
        Ok(listed.map(|(_path, object)| object.clone()).collect())
    }

    async fn apply(
        &self,
        object: &ObjectPath,
        fields: &Value,
        how: Apply,
    ) -> Result<Value, RegistryFailure> {
        let mut state = self.state();
        if state.refused == Some(object.kind) {
            let detail = format!("apply {object}: 403 Forbidden: violates PodSecurity");
            let (kind, effect) = (RegistryKind::Refused, Effect::None);
            return Err(RegistryFailure { kind, effect, detail });
        }
        let uid = format!("uid {}", state.writes.len());
        let new = || json!({ "metadata": { "uid": uid } });
        let mut applied = state.objects.get(object).cloned().unwrap_or_else(new);
        merge(&mut applied, fields);
        if object.kind == kind::POD {
            applied["status"] = state.pod_status.clone();
        }
        if !how.dry_run {
            state.writes.push(format!("apply {object}"));
            state.objects.insert(object.clone(), applied.clone());
        }
        Ok(applied)
    }

    async fn patch(&self, object: &ObjectPath, fields: &Value) -> Result<Value, RegistryFailure> {
        let mut state = self.state();
        state.writes.push(format!("patch {object}"));
        let patched = state.objects.get_mut(object).unwrap();
        merge(patched, fields);
        Ok(patched.clone())
    }

    async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        let mut state = self.state();
        assert_eq!(state.objects[object]["metadata"]["uid"], uid, "{object}");
        state.writes.push(format!("delete {object}"));
        if state.undeletable != Some(object.kind) {
            state.objects.remove(object);
        }
        Ok(())
    }

    async fn evict(&self, pod: &ObjectPath, _uid: &str) -> Result<Evicted, RegistryFailure> {
        panic!("evicted {pod}")
    }

    async fn succeeds(
        &self,
        pod: &ObjectPath,
        command: &[String],
    ) -> Result<bool, RegistryFailure> {
        panic!("{command:?} in {pod}")
    }
}
