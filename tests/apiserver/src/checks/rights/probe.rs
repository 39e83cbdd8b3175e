//! Tries every verb on every resource of the server: a request without 403 is allowed.

use std::collections::BTreeSet;

use firecamp_testkit::kubernetes::Api;
use http::Method;
use serde_json::{Value, json};

use super::{Outcome, Right, Scope, Who, ensure};
use crate::cluster::{Cluster, api};

/// Another namespace than the subject's own.
const OTHER: &str = "test";
/// An account without bindings; every account has its permissions.
const NOBODY: (&str, &str) = ("test", "nobody");

/// A resource of the server.
#[derive(Debug, Clone)]
struct Served {
    group: String,
    /// `/api/v1`, `/apis/apps/v1`.
    root: String,
    /// `pods`, `pods/status`.
    resource: String,
    namespaced: bool,
    verbs: Vec<String>,
}

/// The place where a verb was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Own,
    Other,
    /// A cluster-scoped kind, or all namespaces.
    Cluster,
}

type Allowed = BTreeSet<(Place, Right)>;

pub(super) async fn allows_only(
    cluster: &Cluster,
    who: Who,
    own: &Api,
    granted: &BTreeSet<(Scope, Right)>,
) -> Outcome {
    let served = served(&cluster.api).await?;
    let names: BTreeSet<String> =
        granted.iter().filter_map(|(_scope, right)| right.name.clone()).collect();
    let observed = allowed(own, &served, who.namespace(), &names).await?;
    let nobody = api(&cluster.account(NOBODY.0, NOBODY.1).await?).await?;
    let everybody = allowed(&nobody, &served, NOBODY.0, &BTreeSet::new()).await?;
    let wanted = expected(&served, granted);
    let more: Vec<_> =
        observed.difference(&wanted).filter(|entry| !everybody.contains(entry)).collect();
    ensure(more.is_empty(), || format!("allowed and not granted: {more:#?}"))?;
    let less: Vec<_> = wanted.difference(&observed).collect();
    ensure(less.is_empty(), || format!("granted and rejected: {less:#?}"))?;
    // Guards against a probe that finds everything rejected, or nothing.
    let ours = everybody.iter().find(|(_place, right)| right.group == "firecamp.io");
    ensure(ours.is_none(), || format!("an account without bindings may {ours:?}"))?;
    ensure(served.len() > 60 && !wanted.is_empty(), || format!("{} resources", served.len()))
}

/// The places where each permission must be found.
fn expected(served: &[Served], granted: &BTreeSet<(Scope, Right)>) -> Allowed {
    let mut all = Allowed::new();
    for (scope, right) in granted {
        let same = |s: &&Served| s.group == right.group && s.resource == right.resource;
        let Some(resource) = served.iter().find(same) else { continue };
        let whole = !is_of_one_object(&right.verb) && right.verb != "create";
        match (resource.namespaced, scope) {
            (false, Scope::Everywhere) => drop(all.insert((Place::Cluster, right.clone()))),
            // A RoleBinding grants nothing on cluster-scoped kinds.
            (false, Scope::Own) => {}
            (true, Scope::Own) => drop(all.insert((Place::Own, right.clone()))),
            (true, Scope::Everywhere) => {
                all.insert((Place::Own, right.clone()));
                all.insert((Place::Other, right.clone()));
                if whole {
                    all.insert((Place::Cluster, right.clone()));
                }
            }
        }
    }
    all
}

fn is_of_one_object(verb: &str) -> bool {
    matches!(verb, "get" | "update" | "patch" | "delete")
}

async fn served(admin: &Api) -> Result<Vec<Served>, String> {
    let mut roots = vec![(String::new(), "/api/v1".to_owned())];
    let groups = admin.get("/apis").await?.json();
    for group in groups["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        let version = group["preferredVersion"]["groupVersion"].as_str().unwrap_or_default();
        roots.push((name.to_owned(), format!("/apis/{version}")));
    }
    let mut all = Vec::new();
    for (group, root) in roots {
        let list = admin.get(&root).await?.json();
        for entry in list["resources"].as_array().into_iter().flatten() {
            let verbs = entry["verbs"].as_array().into_iter().flatten();
            all.push(Served {
                group: group.clone(),
                root: root.clone(),
                resource: entry["name"].as_str().unwrap_or_default().to_owned(),
                namespaced: entry["namespaced"] == true,
                verbs: verbs.filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
    }
    Ok(all)
}

/// Everything that an account may do. Writes are dry runs, so nothing changes.
async fn allowed(
    own: &Api,
    served: &[Served],
    namespace: &str,
    names: &BTreeSet<String>,
) -> Result<Allowed, String> {
    let mut all = Allowed::new();
    for resource in served {
        for verb in &resource.verbs {
            for (place, prefix) in places(resource, verb, namespace) {
                // Once with an arbitrary name, and once with each name in a role.
                for name in std::iter::once(None).chain(names.iter().map(Some)) {
                    if may(own, resource, verb, &prefix, name.map(String::as_str)).await? {
                        all.insert((place, right(resource, verb, name, &all, place)));
                    }
                    if !is_of_one_object(verb) {
                        break;
                    }
                }
            }
        }
    }
    Ok(all)
}

/// The permission for any object includes that for a named one.
fn right(
    resource: &Served,
    verb: &str,
    name: Option<&String>,
    found: &Allowed,
    place: Place,
) -> Right {
    let of = |name: Option<&String>| Right {
        group: resource.group.clone(),
        resource: resource.resource.clone(),
        verb: verb.to_owned(),
        name: name.cloned(),
    };
    let any = of(None);
    if found.contains(&(place, any.clone())) { any } else { of(name) }
}

fn places(resource: &Served, verb: &str, namespace: &str) -> Vec<(Place, String)> {
    let root = &resource.root;
    if !resource.namespaced {
        return vec![(Place::Cluster, root.clone())];
    }
    let within = |namespace: &str| format!("{root}/namespaces/{namespace}");
    let other = if namespace == OTHER { "prod" } else { OTHER };
    let mut places = vec![(Place::Own, within(namespace)), (Place::Other, within(other))];
    if matches!(verb, "list" | "watch") {
        places.push((Place::Cluster, root.clone()));
    }
    places
}

async fn may(
    own: &Api,
    resource: &Served,
    verb: &str,
    prefix: &str,
    name: Option<&str>,
) -> Result<bool, String> {
    let (plural, part) = match resource.resource.split_once('/') {
        Some((plural, part)) => (plural, format!("/{part}")),
        None => (resource.resource.as_str(), String::new()),
    };
    let name = name.unwrap_or("no-such-object");
    let one = format!("{prefix}/{plural}/{name}{part}");
    // A subresource is created for an existing object; other objects are created without a name.
    let made = if part.is_empty() { format!("{prefix}/{plural}") } else { one.clone() };
    let all = format!("{prefix}/{plural}");
    let (method, path) = match verb {
        "get" => (Method::GET, one),
        "list" => (Method::GET, format!("{all}?limit=1")),
        "watch" => (Method::GET, format!("{all}?watch=true&timeoutSeconds=1")),
        "create" => (Method::POST, format!("{made}?dryRun=All")),
        "update" => (Method::PUT, format!("{one}?dryRun=All")),
        "patch" => (Method::PATCH, format!("{one}?dryRun=All")),
        "delete" => (Method::DELETE, format!("{one}?dryRun=All")),
        "deletecollection" => (Method::DELETE, format!("{all}?dryRun=All")),
        other => return Err(format!("{}: unknown verb {other}", resource.resource)),
    };
    let body = (method != Method::GET).then(|| json!({}));
    let answer = own.ask(method, &path, body.as_ref()).await?;
    Ok(answer.code != 403)
}
