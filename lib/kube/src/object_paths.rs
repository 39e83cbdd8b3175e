//! The API paths of objects, and their parsing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_controllers::publish::Subject;
use firecamp_core::contract::api;
use firecamp_core::contract::cluster::SYSTEM_NAMESPACE;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{InterfaceName, Member, NodeName, PoolName, Version};
use firecamp_registry::api::{
    InvalidObject, Kind, Metadata, NodeAttachmentsSpec, NodeInterfaceSpec, Object,
    StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http_request::{Answer, Call};

/// The path and the name of one object.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) plural: &'static str,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// `StaticIP 10.0.0.9`.
    pub(crate) label: String,
    /// The path of the collection.
    pub(crate) collection: String,
}

impl Place {
    pub(crate) fn static_ip(address: Ipv4Addr) -> Self {
        Self::cluster::<StaticIPSpec>(&address.to_string())
    }

    pub(crate) fn subject(subject: &Subject) -> Self {
        match subject {
            Subject::StaticIp(address) => Self::static_ip(*address),
            Subject::Claim(member) => Self::claim(member),
        }
    }

    pub(crate) fn pool(name: &PoolName) -> Self {
        Self::cluster::<StaticIPPoolSpec>(name.as_str())
    }

    pub(crate) fn claim(member: &Member) -> Self {
        let plural = StaticIPClaimSpec::PLURAL;
        let namespace = member.namespace();
        Self {
            plural,
            namespace: Some(namespace.to_owned()),
            name: member.name().to_owned(),
            label: format!("{} {member}", StaticIPClaimSpec::KIND),
            collection: format!("/apis/{}/namespaces/{namespace}/{plural}", api::VERSION),
        }
    }

    pub(crate) fn pod(member: &Member) -> Self {
        let namespace = member.namespace();
        Self {
            plural: "pods",
            namespace: Some(namespace.to_owned()),
            name: member.name().to_owned(),
            label: format!("pod {member}"),
            collection: format!("/api/v1/namespaces/{namespace}/pods"),
        }
    }

    pub(crate) fn volume_claim(namespace: &str, name: &str) -> Self {
        Self {
            plural: "persistentvolumeclaims",
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            label: format!("PersistentVolumeClaim {namespace}/{name}"),
            collection: format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
        }
    }

    pub(crate) fn volume(name: &str) -> Self {
        Self {
            plural: "persistentvolumes",
            namespace: None,
            name: name.to_owned(),
            label: format!("PersistentVolume {name}"),
            collection: "/api/v1/persistentvolumes".to_owned(),
        }
    }

    pub(crate) fn node(name: &NodeName) -> Self {
        Self {
            plural: "nodes",
            namespace: None,
            name: name.to_string(),
            label: format!("node {name}"),
            collection: "/api/v1/nodes".to_owned(),
        }
    }

    pub(crate) fn namespace(name: &str) -> Self {
        Self {
            plural: "namespaces",
            namespace: None,
            name: name.to_owned(),
            label: format!("namespace {name}"),
            collection: "/api/v1/namespaces".to_owned(),
        }
    }

    pub(crate) fn vpc_cni() -> Self {
        Self {
            plural: "daemonsets",
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            name: "aws-node".to_owned(),
            label: format!("DaemonSet {SYSTEM_NAMESPACE}/aws-node"),
            collection: format!("/apis/apps/v1/namespaces/{SYSTEM_NAMESPACE}/daemonsets"),
        }
    }

    pub(crate) fn cilium_node(name: &NodeName) -> Self {
        Self {
            plural: "ciliumnodes",
            namespace: None,
            name: name.to_string(),
            label: format!("CiliumNode {name}"),
            collection: "/apis/cilium.io/v2/ciliumnodes".to_owned(),
        }
    }

    pub(crate) fn interface(name: &InterfaceName) -> Self {
        Self::cluster::<NodeInterfaceSpec>(name.as_str())
    }

    pub(crate) fn attachments(node: &NodeName) -> Self {
        Self::cluster::<NodeAttachmentsSpec>(node.as_str())
    }

    fn cluster<S: Kind>(name: &str) -> Self {
        Self {
            plural: S::PLURAL,
            namespace: None,
            name: name.to_owned(),
            label: format!("{} {name}", S::KIND),
            collection: collection::<S>(),
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    pub(crate) fn status_path(&self) -> String {
        format!("{}/status", self.path())
    }
}

/// The path of all objects of a cluster-scoped kind.
pub(crate) fn collection<S: Kind>() -> String {
    format!("/apis/{}/{}", api::VERSION, S::PLURAL)
}

/// An object as the API server sends it. Unknown fields outside the spec are ignored, because our
/// writes replace only the spec; an unknown field of the spec is an error, because they would
/// drop it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<S> {
    api_version: String,
    kind: String,
    metadata: WireMetadata,
    spec: S,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    name: String,
    namespace: Option<String>,
    resource_version: String,
    creation_timestamp: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The object in a successful response, and its version.
pub(crate) fn read<S>(
    call: &Call,
    place: &Place,
    answer: &Answer,
) -> Result<(Object<S>, Version), RegistryFailure>
where
    S: Kind + DeserializeOwned,
{
    let invalid = |problem: String| {
        // A write succeeded, but its result is unknown.
        let effect = call.in_doubt();
        let kind = match effect {
            Effect::None => RegistryKind::Invalid,
            Effect::Unknown => RegistryKind::Unavailable,
        };
        call.failed(kind, effect, problem)
    };
    let wire: Wire<S> =
        serde_json::from_slice(&answer.body).map_err(|wrong| invalid(wrong.to_string()))?;
    if (&wire.metadata.name, &wire.metadata.namespace) != (&place.name, &place.namespace) {
        return Err(invalid(format!("the response is about {:?}", wire.metadata.name)));
    }
    let version = Version::new(&wire.metadata.resource_version)
        .map_err(|wrong| invalid(wrong.to_string()))?;
    Ok((wire.object(), version))
}

/// Converts one object of a list or a watch to a core record.
pub(crate) fn decided<S, T>(text: &str) -> Result<T, String>
where
    S: Kind + DeserializeOwned,
    for<'a> T: TryFrom<&'a Object<S>, Error = InvalidObject>,
{
    let wire: Wire<S> = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    T::try_from(&wire.object()).map_err(|wrong| wrong.to_string())
}

impl<S> Wire<S> {
    fn object(self) -> Object<S> {
        let WireMetadata { name, namespace, creation_timestamp, annotations, .. } = self.metadata;
        Object {
            api_version: self.api_version,
            kind: self.kind,
            metadata: Metadata {
                name,
                namespace,
                creation_timestamp,
                annotations,
                ..Metadata::default()
            },
            spec: self.spec,
            status: None,
        }
    }
}
