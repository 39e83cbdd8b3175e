//! A cluster that stores objects, and runs the pod that reads a superblock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_cli::service::cluster::{ServiceCluster, kind, path};
use firecamp_cli::service::members::Members;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, Evicted, ObjectKind, ObjectPath, Selector};
use serde_json::{Value, json};

/// The objects of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    stored: BTreeMap<ObjectPath, Value>,
    /// The objects that were applied and deleted, in their order.
    pub(crate) writes: Vec<String>,
    /// The status of each pod that is applied.
    pub(crate) pod_status: Value,
    /// An object of this kind is refused.
    pub(crate) refused: Option<ObjectKind>,
    /// Whether the CSI driver detaches volumes, without which a PersistentVolume remains.
    pub(crate) detaches: bool,
    uids: u32,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct VolumeCluster(Mutex<Objects>);

impl VolumeCluster {
    /// A ready node in each of the zones a and b.
    pub(crate) fn new() -> Self {
        let cluster = Self(Mutex::new(Objects { detaches: true, ..Objects::default() }));
        for (name, zone) in [("node-a", "us-east-1a"), ("node-b", "us-east-1b")] {
            let node = json!({
                "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": zone } },
                "spec": { "providerID": format!("aws:///{zone}/i-0{name}") },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            });
            cluster.put(&global(kind::NODE, name), node);
        }
        cluster
    }

    /// The state.
    pub(crate) fn state(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an object that somebody else made.
    pub(crate) fn put(&self, at: &ObjectPath, object: Value) {
        self.state().stored.insert(at.clone(), object);
    }

    /// The stored object.
    pub(crate) fn stored(&self, at: &ObjectPath) -> Option<Value> {
        self.state().stored.get(at).cloned()
    }

    /// The members of service prod/redis.
    pub(crate) fn members(&self) -> Members<'_, Self> {
        Members { cluster: self, set: path(kind::STATEFUL_SET, "prod", "redis") }
    }
}

/// A cluster-scoped object.
pub(crate) fn global(kind: ObjectKind, name: &str) -> ObjectPath {
    ObjectPath { kind, namespace: None, name: name.to_owned() }
}

impl ServiceCluster for VolumeCluster {
    async fn get(&self, object: &ObjectPath) -> Result<Option<Value>, RegistryFailure> {
        Ok(self.stored(object))
    }

    async fn list(
        &self,
        kind: ObjectKind,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, RegistryFailure> {
        let state = self.state();
        let of_kind = state.stored.iter().filter(|(at, _)| at.kind == kind);
        let in_place = of_kind.filter(|(at, _)| at.namespace.as_deref() == namespace);
        // A field selector is a list of paths with their values.
        let is_selected = |object: &&Value| {
            let mut terms = selector.fields.split(',').filter(|term| !term.is_empty());
            terms.all(|term| {
                let (field, value) = term.split_once('=').unwrap();
                object.pointer(&format!("/{}", field.replace('.', "/"))) == Some(&json!(value))
            })
        };
        Ok(in_place.map(|(_, object)| object).filter(is_selected).cloned().collect())
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
            return Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail,
            });
        }
        if how.dry_run {
            return Ok(fields.clone());
        }
        state.uids += 1;
        let mut stored = fields.clone();
        stored["metadata"]["uid"] = json!(state.uids.to_string());
        if object.kind == kind::POD {
            stored["status"] = state.pod_status.clone();
        }
        state.writes.push(format!("apply {object}"));
        state.stored.insert(object.clone(), stored.clone());
        Ok(stored)
    }

    async fn patch(&self, object: &ObjectPath, _fields: &Value) -> Result<Value, RegistryFailure> {
        panic!("an import patches nothing: {object}")
    }

    async fn delete(&self, object: &ObjectPath, uid: &str) -> Result<(), RegistryFailure> {
        let mut state = self.state();
        assert_eq!(state.stored[object]["metadata"]["uid"], uid);
        state.writes.push(format!("delete {object}"));
        if object.kind == kind::VOLUME && !state.detaches {
            return Ok(());
        }
        state.stored.remove(object);
        Ok(())
    }

    async fn evict(&self, pod: &ObjectPath, _uid: &str) -> Result<Evicted, RegistryFailure> {
        panic!("an import evicts nothing: {pod}")
    }

    async fn succeeds(
        &self,
        pod: &ObjectPath,
        _command: &[String],
    ) -> Result<bool, RegistryFailure> {
        panic!("an import runs no command in a member: {pod}")
    }
}
