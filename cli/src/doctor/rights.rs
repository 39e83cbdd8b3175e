//! What each role may have to do in a cluster.

use firecamp_core::contract::api;
use firecamp_core::contract::cluster::LEASE;
use firecamp_kube::Right;
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};

use super::finding::Role;

/// The rights that a role needs; where they are of a namespace, in this one.
pub fn of(role: Role, namespace: &str) -> Vec<Right> {
    match role {
        Role::Viewer => viewer(),
        Role::Member => member(namespace),
        Role::Agent => agent(namespace),
    }
}

fn group() -> &'static str {
    api::VERSION.split_once('/').map_or(api::VERSION, |(group, _version)| group)
}

fn ours<S: Kind>(verbs: &[&'static str]) -> Vec<Right> {
    rights(group(), S::PLURAL, verbs)
}

fn rights(group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Vec<Right> {
    let any = Right { verb: "", group, resource, subresource: "", name: "", namespace: None };
    verbs.iter().map(|verb| Right { verb, ..any.clone() }).collect()
}

fn viewer() -> Vec<Right> {
    [
        ours::<StaticIPPoolSpec>(&["list"]),
        ours::<StaticIPSpec>(&["get", "list"]),
        ours::<StaticIPClaimSpec>(&["get", "list"]),
        ours::<NodeAttachmentsSpec>(&["get", "list"]),
        rights("", "nodes", &["list"]),
        rights("", "pods", &["get", "list"]),
        rights("apps", "statefulsets", &["get"]),
    ]
    .concat()
}

/// As in `deploy/rbac/members.yaml`.
fn member(namespace: &str) -> Vec<Right> {
    let own = [
        ours::<StaticIPClaimSpec>(&["get", "create", "patch"]),
        rights("", "pods", &["get"]),
        rights("events.k8s.io", "events", &["create"]),
    ]
    .concat();
    let own = all_in(own, namespace);
    let shared = [
        ours::<StaticIPSpec>(&["get", "list", "create", "patch"]),
        ours::<StaticIPPoolSpec>(&["get", "list"]),
    ]
    .concat();
    [own, shared].concat()
}

/// As in `deploy/rbac/agent.yaml`, what the holder of the Lease does included. The namespace is
/// that of the agents, where the Lease is.
fn agent(namespace: &str) -> Vec<Right> {
    let leases = |verbs: &[&'static str]| rights("coordination.k8s.io", "leases", verbs);
    let lease = leases(&["get", "patch"]).into_iter().map(|right| Right { name: LEASE, ..right });
    [
        all_in(lease.chain(leases(&["create"])), namespace),
        ours::<StaticIPSpec>(&["get", "list", "watch", "create", "patch"]),
        status(ours::<StaticIPSpec>(&["patch"])),
        ours::<StaticIPClaimSpec>(&["get", "list"]),
        status(ours::<StaticIPClaimSpec>(&["patch"])),
        ours::<StaticIPPoolSpec>(&["get", "list", "watch"]),
        ours::<NodeAttachmentsSpec>(&["get", "create"]),
        status(ours::<NodeAttachmentsSpec>(&["patch"])),
        rights("", "pods", &["get", "list", "watch"]),
        rights("", "persistentvolumeclaims", &["get"]),
        rights("", "persistentvolumes", &["get"]),
        rights("storage.k8s.io", "volumeattachments", &["get"]),
        rights("", "nodes", &["get"]),
        status(rights("", "nodes", &["patch"])),
        rights("events.k8s.io", "events", &["create"]),
        ours::<StaticIPClaimSpec>(&["watch", "create", "patch", "delete"]),
        ours::<StaticIPSpec>(&["delete"]),
        status(ours::<StaticIPPoolSpec>(&["patch"])),
        rights("", "nodes", &["list", "watch"]),
        rights("apps", "statefulsets", &["get", "list", "watch"]),
    ]
    .concat()
}

fn all_in(rights: impl IntoIterator<Item = Right>, namespace: &str) -> Vec<Right> {
    let within = |right| Right { namespace: Some(namespace.to_owned()), ..right };
    rights.into_iter().map(within).collect()
}

fn status(rights: Vec<Right>) -> Vec<Right> {
    rights.into_iter().map(|right| Right { subresource: "status", ..right }).collect()
}
