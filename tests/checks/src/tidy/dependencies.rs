//! The dependencies between packages, as cargo reports them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[derive(Debug, Default)]
struct Node {
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

/// The resolved dependencies of the workspace, by package id.
#[derive(Debug)]
pub struct Graph {
    names: BTreeMap<String, String>,
    /// What each package requires by its manifest, whatever features are on.
    required: BTreeMap<String, BTreeSet<String>>,
    /// The optional dependencies that each feature of each package adds.
    added: BTreeMap<(String, String), BTreeSet<String>>,
    nodes: BTreeMap<String, Node>,
}

impl Graph {
    /// Asks cargo, without network.
    ///
    /// # Errors
    ///
    /// If cargo fails or answers something else than its documented format.
    pub fn read(root: &Path) -> io::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let asked = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args(["--filter-platform", &platform()?])
            .current_dir(root)
            .output()?;
        if !asked.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&asked.stderr).into_owned()));
        }
        Self::parse(&serde_json::from_slice(&asked.stdout)?)
            .ok_or_else(|| io::Error::other("cargo metadata in an unknown format"))
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let (mut names, mut required) = (BTreeMap::new(), BTreeMap::new());
        let mut added = BTreeMap::new();
        for package in metadata.get("packages")?.as_array()? {
            let (id, name) = (text(package, "id")?, text(package, "name")?);
            let all = package.get("dependencies")?.as_array()?.iter();
            let needed = all.filter(|dependency| {
                let is = |key, value: Value| dependency.get(key) == Some(&value);
                is("optional", Value::Bool(false)) && is("kind", Value::Null)
            });
            required.insert(name.clone(), needed.filter_map(|d| text(d, "name")).collect());
            for (feature, asked) in package.get("features")?.as_object()? {
                let asked = asked.as_array()?.iter().filter_map(Value::as_str);
                let optional = asked.filter_map(|name| name.strip_prefix("dep:"));
                added
                    .insert((name.clone(), feature.clone()), optional.map(str::to_owned).collect());
            }
            names.insert(id, name);
        }
        let mut nodes = BTreeMap::new();
        for node in metadata.get("resolve")?.get("nodes")?.as_array()? {
            let mut parsed = Node::default();
            for dependency in node.get("deps")?.as_array()? {
                let id = text(dependency, "pkg")?;
                for kind in dependency.get("dep_kinds")?.as_array()? {
                    match kind.get("kind").and_then(Value::as_str) {
                        None => parsed.normal.insert(id.clone()),
                        Some("dev") => parsed.dev.insert(id.clone()),
                        Some(_) => false,
                    };
                }
            }
            nodes.insert(text(node, "id")?, parsed);
        }
        Some(Self { names, required, added, nodes })
    }

    /// The names of what a package always links directly; what a feature adds is left out.
    pub fn direct(&self, package: &str) -> BTreeSet<&str> {
        let required = self.required.get(package);
        required.into_iter().flatten().map(String::as_str).collect()
    }

    /// The names of all that a package requires with one of its features, however far, and with no
    /// other feature of anybody.
    pub fn requires_for(&self, package: &str, feature: &str) -> BTreeSet<&str> {
        let added = self.added.get(&(package.to_owned(), feature.to_owned()));
        let mut open: Vec<&str> = added.into_iter().flatten().map(String::as_str).collect();
        open.extend(self.direct(package));
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                open.extend(self.direct(name));
            }
        }
        seen
    }

    /// The names of all that a package links, however far.
    pub fn links(&self, package: &str) -> BTreeSet<&str> {
        self.reach(self.named(package).cloned().collect())
    }

    /// The names of all that building a package and its tests needs.
    pub fn builds(&self, package: &str) -> BTreeSet<&str> {
        let own: Vec<_> = self.named(package).cloned().collect();
        let dev = own.iter().filter_map(|id| self.nodes.get(id)).flat_map(|n| n.dev.clone());
        self.reach(dev.chain(own.clone()).collect())
    }

    fn reach(&self, mut open: Vec<String>) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if let Some(node) = self.nodes.get(&id)
                && seen.insert(id)
            {
                open.extend(node.normal.iter().cloned());
            }
        }
        seen.iter().filter_map(|id| self.name(id)).collect()
    }

    fn named(&self, package: &str) -> impl Iterator<Item = &String> {
        self.names.iter().filter(move |(_, name)| *name == package).map(|(id, _)| id)
    }

    fn name(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// The platform of the compiler in use, so that only what is built here must be on disk.
fn platform() -> io::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| io::Error::other("rustc -vV names no host"))
}
