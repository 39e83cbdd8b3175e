//! A cluster that stores objects: what commands create, read, change and delete.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_cli::service::cluster::{ServiceCluster, kind, path};
use firecamp_cli::service::members::Members;
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::{Apply, Evicted, ObjectKind, ObjectPath, Selector};
use serde_json::{Value, json};

/// The objects.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<BTreeMap<ObjectPath, Value>>);

impl Store {
    pub(crate) fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectPath, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object of the namespace `prod`, or without a namespace.
    pub(crate) fn put(&self, kind: ObjectKind, name: &str, mut object: Value) {
        let place = if kind == kind::NODE {
            ObjectPath { kind, namespace: None, name: name.to_owned() }
        } else {
            path(kind, "prod", name)
        };
        merge(&mut object, &json!({ "metadata": { "name": name, "namespace": place.namespace } }));
        self.objects().insert(place, object);
    }

    /// An object of the namespace `prod`.
    pub(crate) fn object(&self, kind: ObjectKind, name: &str) -> Value {
        self.objects().get(&path(kind, "prod", name)).cloned().unwrap_or_default()
    }

    /// Changes an object of the namespace `prod`, as its controller does.
    pub(crate) fn change(&self, kind: ObjectKind, name: &str, fields: &Value) {
        merge(self.objects().get_mut(&path(kind, "prod", name)).unwrap(), fields);
    }

    /// The members of a StatefulSet or a Deployment of the namespace `prod`.
    pub(crate) fn members(&self, kind: ObjectKind, name: &str) -> Members<'_, Self> {
        Members { cluster: self, set: path(kind, "prod", name) }
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

/// Whether a label selector of `NAME=VALUE` and `NAME` selects an object.
fn is_selected(object: &Value, labels: &str) -> bool {
    let mut wanted = labels.split(',').filter(|one| !one.is_empty());
    wanted.all(|one| match one.split_once('=') {
        Some((name, value)) => object["metadata"]["labels"][name] == value,
        None => !object["metadata"]["labels"][one].is_null(),
    })
}

impl ServiceCluster for Store {
    async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        Ok(self.objects().get(object).cloned())
    }

    async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        let objects = self.objects();
        let listed = objects.iter().filter(|(place, object)| {
            place.kind == kind
                && (namespace.is_none() || place.namespace.as_deref() == namespace)
                && is_selected(object, &selector.labels)
        });
        Ok(listed.map(|(_place, object)| object.clone()).collect())
    }

    async fn apply(
        &self,
        object: &ObjectPath,
        fields: &Value,
        how: Apply,
    ) -> Result<Value, RegistryFailure> {
        let mut now = self.objects().get(object).cloned().unwrap_or_default();
        merge(&mut now, fields);
        merge(&mut now, &json!({ "metadata": { "uid": format!("uid of {object}") } }));
        if !how.dry_run {
            self.objects().insert(object.clone(), now.clone());
        }
        Ok(now)
    }

    async fn patch(&self, object: &ObjectPath, fields: &Value) -> Result<Value, RegistryFailure> {
        let mut objects = self.objects();
        let now = objects.get_mut(object).unwrap();
        merge(now, fields);
        Ok(now.clone())
    }

    async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        let gone = self.objects().remove(object).unwrap();
        assert_eq!(gone["metadata"]["uid"], uid, "{object}");
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
