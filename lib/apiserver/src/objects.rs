//! What is stored, and its versions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::faults::Faults;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) plural: &'static str,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn cluster(plural: &'static str, name: &str) -> Self {
        Self { plural, namespace: None, name: name.to_owned() }
    }

    pub(crate) fn namespaced(plural: &'static str, namespace: &str, name: &str) -> Self {
        Self { plural, namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }
}

/// All that the server knows.
#[derive(Debug)]
pub(crate) struct World {
    /// Counts the changes; the version of what was changed last.
    pub(crate) version: u64,
    objects: BTreeMap<Key, Value>,
    /// What a list that has more pages goes on with, by the version that it began at.
    pub(crate) snapshots: BTreeMap<u64, Vec<Value>>,
    pub(crate) keeps_snapshots: bool,
    pub(crate) missing_namespaces: BTreeSet<String>,
    pub(crate) uninstalled: bool,
    pub(crate) date: Option<String>,
    pub(crate) faults: Faults,
    pub(crate) asked: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            version: 1000,
            objects: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            keeps_snapshots: true,
            missing_namespaces: BTreeSet::new(),
            uninstalled: false,
            date: Some("Fri, 20 Nov 2026 15:00:00 GMT".to_owned()),
            faults: Faults::default(),
            asked: Vec::new(),
        }
    }
}

impl World {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        self.version += 1;
        self.objects.remove(key).is_some()
    }

    /// Stores the object with what every stored one has, and returns it.
    pub(crate) fn insert(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        let version = self.version;
        let old = self.objects.get(&key);
        let generation = generation(old, &object);
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
            metadata.insert("generation".to_owned(), json!(generation));
            metadata.insert("creationTimestamp".to_owned(), json!("2026-11-20T15:00:00Z"));
            let uid = format!("00000000-0000-4000-8000-{version:012x}");
            metadata.entry("uid").or_insert(json!(uid));
            let managed = json!([{ "manager": "firecamp", "operation": "Update" }]);
            metadata.entry("managedFields").or_insert(managed);
        }
        self.objects.insert(key, object.clone());
        object
    }

    /// All objects of a kind, in the order of their names.
    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.plural == plural);
        of_kind.map(|(_, object)| object.clone()).collect()
    }
}

/// Grows with each change of the spec.
fn generation(old: Option<&Value>, new: &Value) -> u64 {
    let Some(old) = old else { return 1 };
    let before = old.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(1);
    if old.get("spec") == new.get("spec") { before } else { before + 1 }
}
