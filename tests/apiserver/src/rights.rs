//! The permissions in `deploy/rbac`, which `docs/privileges.md` documents.

#[cfg(test)]
mod page_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

/// The directory of the RBAC objects.
const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/rbac");
/// The placeholder for the namespace in the bindings of members.
const NAMESPACE: &str = "NAMESPACE";

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// The API group; empty for the core group.
    pub(crate) group: String,
    /// `staticips`, `staticips/status`.
    pub(crate) resource: String,
    pub(crate) verb: String,
    /// The name of the only object, if restricted.
    pub(crate) name: Option<String>,
}

/// A Role or a ClusterRole.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) object: Value,
    pub(crate) rights: BTreeSet<Right>,
}

/// The objects of all files, for members in this namespace, in the order in which to apply them.
pub(crate) fn objects(namespace: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for file in ["members.yaml", "member-bindings.yaml", "agent.yaml", "names.yaml"] {
        let path = Path::new(DIR).join(file);
        let wrong = |wrong: &dyn std::fmt::Display| format!("{}: {wrong}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        let text = text.replace(NAMESPACE, namespace);
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| wrong(&error))?;
        all.extend(objects);
    }
    Ok(all)
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The roles among the objects, by name.
pub(crate) fn roles(objects: &[Value]) -> BTreeMap<String, Role> {
    let roles = objects.iter().filter(|object| matches!(kind(object), "Role" | "ClusterRole"));
    roles.map(|role| (name(role), Role { object: role.clone(), rights: rights(role) })).collect()
}

fn rights(role: &Value) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let names = texts(&rule["resourceNames"]);
        let names: Vec<Option<String>> =
            if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.extend(names.iter().map(|name| Right {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    all
}

impl Role {
    /// The same role without one of its permissions.
    pub(crate) fn without(&self, taken: &Right) -> Value {
        let rules = self.rights.iter().filter(|right| *right != taken).map(|right| {
            let mut rule = json!({
                "apiGroups": [right.group],
                "resources": [right.resource],
                "verbs": [right.verb],
            });
            if let Some(name) = &right.name {
                rule["resourceNames"] = json!([name]);
            }
            rule
        });
        let mut role = self.object.clone();
        role["rules"] = rules.collect();
        role
    }
}

/// The scope of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// The namespace of the service account.
    Own,
    /// Every namespace, and cluster-scoped objects.
    Everywhere,
}

/// The permissions that the bindings grant to a service account, each with the name of its role.
/// Kinds of subjects that are not deployed are not supported and grant nothing.
pub(crate) fn granted(
    objects: &[Value],
    namespace: &str,
    account: &str,
) -> BTreeMap<(Scope, Right), String> {
    let roles = roles(objects);
    let mut all = BTreeMap::new();
    for binding in objects {
        let scope = match kind(binding) {
            "RoleBinding" if binding["metadata"]["namespace"] == namespace => Scope::Own,
            "ClusterRoleBinding" => Scope::Everywhere,
            _ => continue,
        };
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        if !subjects.into_iter().any(|subject| is(subject, namespace, account)) {
            continue;
        }
        let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
        for right in roles.get(role).into_iter().flat_map(|role| &role.rights) {
            all.insert((scope, right.clone()), role.to_owned());
        }
    }
    all
}

fn is(subject: &Value, namespace: &str, account: &str) -> bool {
    let own = subject["name"] == account && subject["namespace"] == namespace;
    let group = format!("system:serviceaccounts:{namespace}");
    (subject["kind"] == "ServiceAccount" && own)
        || (subject["kind"] == "Group" && subject["name"] == *group)
}
