//! The permissions that each role needs in a cluster.

use firecamp_core::contract::api;
use firecamp_core::contract::cluster::LEASE;
use firecamp_kube::Right;
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, NodeInterfaceSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};

use super::finding::Role;

/// The permissions that a role needs; namespaced ones in this namespace.
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

fn permissions_for<S: Kind>(verbs: &[&'static str]) -> Vec<Right> {
    rights(group(), S::PLURAL, verbs)
}

fn rights(group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Vec<Right> {
    let any = Right { verb: "", group, resource, subresource: "", name: "", namespace: None };
    verbs.iter().map(|verb| Right { verb, ..any.clone() }).collect()
}

fn viewer() -> Vec<Right> {
    [
        permissions_for::<StaticIPPoolSpec>(&["list"]),
        permissions_for::<StaticIPSpec>(&["get", "list"]),
        permissions_for::<StaticIPClaimSpec>(&["get", "list"]),
        permissions_for::<NodeAttachmentsSpec>(&["get", "list"]),
        rights("", "nodes", &["list"]),
        rights("", "pods", &["get", "list"]),
        rights("apps", "statefulsets", &["get"]),
    ]
    .concat()
}

/// As in `deploy/rbac/members.yaml`.
fn member(namespace: &str) -> Vec<Right> {
    let own = [
        permissions_for::<StaticIPClaimSpec>(&["get", "create", "patch"]),
        rights("", "pods", &["get"]),
        rights("events.k8s.io", "events", &["create"]),
    ]
    .concat();
    let own = all_in(own, namespace);
    let shared = [
        permissions_for::<StaticIPSpec>(&["get", "list", "create", "patch"]),
        permissions_for::<StaticIPPoolSpec>(&["get", "list"]),
    ]
    .concat();
    [own, shared].concat()
}

/// As in `deploy/rbac/agent.yaml`, including those of the leader. The namespace is that of the
/// agents and the Lease.
fn agent(namespace: &str) -> Vec<Right> {
    let leases = |verbs: &[&'static str]| rights("coordination.k8s.io", "leases", verbs);
    let lease = leases(&["get", "patch"]).into_iter().map(|right| Right { name: LEASE, ..right });
    let vpc_cni = rights("apps", "daemonsets", &["get"]).into_iter();
    let vpc_cni = vpc_cni.map(|right| Right { name: "aws-node", ..right });
    [
        all_in(lease.chain(leases(&["create"])), namespace),
        permissions_for::<StaticIPSpec>(&["get", "list", "watch", "create", "patch"]),
        status(permissions_for::<StaticIPSpec>(&["patch"])),
        permissions_for::<StaticIPClaimSpec>(&["get", "list", "create", "patch"]),
        status(permissions_for::<StaticIPClaimSpec>(&["patch"])),
        permissions_for::<StaticIPPoolSpec>(&["get", "list", "watch"]),
        permissions_for::<NodeAttachmentsSpec>(&["get", "create"]),
        status(permissions_for::<NodeAttachmentsSpec>(&["patch"])),
        rights("", "pods", &["get", "list", "watch"]),
        rights("", "persistentvolumeclaims", &["get"]),
        rights("", "persistentvolumes", &["get"]),
        rights("storage.k8s.io", "volumeattachments", &["get"]),
        rights("storage.k8s.io", "csinodes", &["get"]),
        rights("", "nodes", &["get"]),
        status(rights("", "nodes", &["patch"])),
        permissions_for::<NodeInterfaceSpec>(&["list", "create", "patch"]),
        rights("", "nodes", &["patch"]),
        rights("", "namespaces", &["get"]),
        vpc_cni.collect(),
        rights("cilium.io", "ciliumnodes", &["get"]),
        rights("events.k8s.io", "events", &["create"]),
        rights("authentication.k8s.io", "tokenreviews", &["create"]),
        permissions_for::<StaticIPClaimSpec>(&["watch", "delete"]),
        permissions_for::<StaticIPSpec>(&["delete"]),
        status(permissions_for::<StaticIPPoolSpec>(&["patch"])),
        permissions_for::<NodeInterfaceSpec>(&["watch", "delete"]),
        rights("", "nodes", &["list", "watch"]),
        rights("", "pods", &["patch"]),
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
