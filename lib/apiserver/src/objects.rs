//! The stored objects and their versions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::faults::Faults;
use crate::watch::{Reported, Selector, Watcher};

/// The kind, namespace and name of an object.
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
}

/// The state of the server.
#[derive(Debug)]
pub(crate) struct ServerState {
    /// The number of changes, which is the version of the last changed object.
    pub(crate) version: u64,
    objects: BTreeMap<Key, Value>,
    /// The snapshots of lists with further pages, and their versions.
    pub(crate) snapshots: Vec<(u64, Vec<Value>)>,
    pub(crate) keeps_snapshots: bool,
    pub(crate) missing_namespaces: BTreeSet<String>,
    pub(crate) uninstalled: bool,
    /// The verbs and plurals that access reviews deny: `list staticips`.
    pub(crate) denied: BTreeSet<(String, String)>,
    /// The valid tokens, each with the status of its review.
    pub(crate) tokens: BTreeMap<String, Value>,
    pub(crate) date: Option<String>,
    pub(crate) faults: Faults,
    pub(crate) requests: Vec<String>,
    /// The changes, for watches that start in the past.
    pub(crate) history: Vec<Reported>,
    /// The oldest version that a watch can start at.
    pub(crate) compacted: u64,
    pub(crate) watchers: Vec<Watcher>,
    /// The number of next changes that watches do not report.
    pub(crate) unheard: usize,
    /// The old objects that lists return instead of the current ones, if enabled.
    pub(crate) remembered: BTreeMap<Key, Value>,
    pub(crate) shows_remembered: bool,
    pub(crate) away: bool,
    pub(crate) unanswered: usize,
}

impl Default for ServerState {
    fn default() -> Self {
        Self {
            version: 1000,
            objects: BTreeMap::new(),
            snapshots: Vec::new(),
            keeps_snapshots: true,
            missing_namespaces: BTreeSet::new(),
            uninstalled: false,
            denied: BTreeSet::new(),
            tokens: BTreeMap::new(),
            date: Some("Fri, 20 Nov 2026 15:00:00 GMT".to_owned()),
            faults: Faults::default(),
            requests: Vec::new(),
            history: Vec::new(),
            compacted: 0,
            watchers: Vec::new(),
            unheard: 0,
            remembered: BTreeMap::new(),
            shows_remembered: false,
            away: false,
            unanswered: 0,
        }
    }
}

impl ServerState {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        self.version += 1;
        let old = self.objects.remove(key);
        let existed = old.is_some();
        self.report((key.plural, key.namespace.clone()), old, None);
        existed
    }

    /// Stores the object with the metadata that the server adds, and returns it.
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
        let of = (key.plural, key.namespace.clone());
        let old = self.objects.insert(key, object.clone());
        self.report(of, old, Some(object.clone()));
        object
    }

    /// All selected objects of a kind, sorted by name.
    pub(crate) fn all(&self, plural: &str, selector: &Selector) -> Vec<Value> {
        let objects = if self.shows_remembered { &self.remembered } else { &self.objects };
        let of_kind = objects.iter().filter(|(key, _)| key.plural == plural);
        let meant = of_kind.filter(|(_, object)| selector.wants(object));
        meant.map(|(_, object)| object.clone()).collect()
    }

    /// All objects of a kind.
    pub(crate) fn everything_of(&self, plural: &str) -> Vec<Value> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.plural == plural);
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn everything(&self) -> BTreeMap<Key, Value> {
        self.objects.clone()
    }
}

/// Increases with each change of the spec.
fn generation(old: Option<&Value>, new: &Value) -> u64 {
    let Some(old) = old else { return 1 };
    let before = old.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(1);
    if old.get("spec") == new.get("spec") { before } else { before + 1 }
}
