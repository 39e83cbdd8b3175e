//! Maps paths to objects and lists.

use firecamp_core::contract::api;
use firecamp_core::contract::names::DNS_ENDPOINT;
use firecamp_registry::api::{
    Kind, NodeAttachmentsSpec, NodeInterfaceSpec, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};

use crate::diagnosis;

/// A path that the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    /// None for a cluster-scoped kind, and for a list of all namespaces.
    pub(crate) namespace: Option<String>,
    /// None for a list.
    pub(crate) name: Option<String>,
    /// Whether the path is the status subresource.
    pub(crate) status: bool,
    /// Whether the kind is FireCamp's.
    pub(crate) custom: bool,
}

/// A kind of the API: its plural, its name, and whether its objects live in a namespace.
pub(crate) type Known = (&'static str, &'static str, bool);

impl Route {
    /// None for paths with the response "404 page not found".
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (kinds, custom, rest) = group(path)?;
        let mut parts: Vec<&str> = rest.split('/').collect();
        let status = parts.len() > 2 && parts.last() == Some(&"status");
        if status {
            parts.pop();
        }
        let (namespace, (plural, name)) = split(&parts)?;
        let known = kinds.into_iter().find(|(known, _, _)| *known == plural);
        let (plural, kind, namespaced) = known?;
        let name = name.map(str::to_owned);
        // Only a list of a namespaced kind may omit the namespace.
        let fits = namespaced == namespace.is_some() || (namespaced && name.is_none());
        fits.then_some(Self { plural, kind, namespace, name, status, custom })
    }

    /// The endpoints for diagnosis, which are not stored objects.
    pub(crate) fn diagnosis(path: &str) -> Option<Self> {
        let ours = path.strip_prefix("/apis/") == Some(api::VERSION);
        let (plural, kind) = match path {
            "/version" => (diagnosis::VERSION, "Info"),
            diagnosis::TOKEN_REVIEWS_PATH => (diagnosis::TOKEN_REVIEWS, "TokenReview"),
            diagnosis::REVIEWS_PATH => (diagnosis::REVIEWS, "SelfSubjectAccessReview"),
            _ => ours.then_some((diagnosis::SERVED, "APIResourceList"))?,
        };
        Some(Self { plural, kind, namespace: None, name: None, status: false, custom: ours })
    }
}

/// The kinds of FireCamp's API group.
pub(crate) fn kinds() -> [Known; 5] {
    fn of<S: Kind>() -> Known {
        (S::PLURAL, S::KIND, S::NAMESPACED)
    }
    [
        of::<StaticIPSpec>(),
        of::<StaticIPClaimSpec>(),
        of::<StaticIPPoolSpec>(),
        of::<NodeAttachmentsSpec>(),
        of::<NodeInterfaceSpec>(),
    ]
}

/// The kinds of the path's API group, whether it is FireCamp's, and the rest of the path.
fn group(path: &str) -> Option<(Vec<Known>, bool, &str)> {
    let ours = format!("/apis/{}/", api::VERSION);
    if let Some(rest) = path.strip_prefix(&ours) {
        return Some((kinds().into(), true, rest));
    }
    let groups: [(&str, Vec<Known>); 8] = [
        (
            "/api/v1/",
            vec![
                ("pods", "Pod", true),
                ("nodes", "Node", false),
                ("namespaces", "Namespace", false),
                ("configmaps", "ConfigMap", true),
                ("persistentvolumeclaims", "PersistentVolumeClaim", true),
                ("persistentvolumes", "PersistentVolume", false),
                ("services", "Service", true),
            ],
        ),
        (
            "/apis/storage.k8s.io/v1/",
            vec![("volumeattachments", "VolumeAttachment", false), ("csinodes", "CSINode", false)],
        ),
        ("/apis/events.k8s.io/v1/", vec![("events", "Event", true)]),
        (
            "/apis/apps/v1/",
            vec![("statefulsets", "StatefulSet", true), ("daemonsets", "DaemonSet", true)],
        ),
        ("/apis/coordination.k8s.io/v1/", vec![("leases", "Lease", true)]),
        ("/apis/cilium.io/v2/", vec![("ciliumnodes", "CiliumNode", false)]),
        ("/apis/discovery.k8s.io/v1/", vec![("endpointslices", "EndpointSlice", true)]),
        ("/apis/externaldns.k8s.io/v1alpha1/", vec![("dnsendpoints", DNS_ENDPOINT, true)]),
    ];
    groups
        .into_iter()
        .find_map(|(prefix, kinds)| path.strip_prefix(prefix).map(|rest| (kinds, false, rest)))
}

type Rest<'a> = (&'a str, Option<&'a str>);

fn split<'a>(parts: &[&'a str]) -> Option<(Option<String>, Rest<'a>)> {
    match parts {
        ["namespaces", namespace, plural] => Some((Some((*namespace).to_owned()), (plural, None))),
        ["namespaces", namespace, plural, name] => {
            Some((Some((*namespace).to_owned()), (plural, Some(name))))
        }
        [plural] => Some((None, (plural, None))),
        [plural, name] => Some((None, (plural, Some(name)))),
        _ => None,
    }
}
