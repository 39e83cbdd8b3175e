//! The API objects of `firecamp.io/v1alpha1`.
//!
//! The protocol acts on the spec alone, so the attachment, its epoch and the pending mutations are
//! in the spec; the status is informational. Fields hold text here; [`TryFrom`] and the `record`
//! methods convert an object to a core record. Their errors name the object, field and value.

mod allowed_namespaces;
mod claim;
mod metadata;
mod node;
mod node_interface;
mod pool;
mod problem;
mod static_ip;
mod yaml;

use firecamp_core::contract::api;
use serde::{Deserialize, Serialize};

pub use allowed_namespaces::{
    AllowedNamespaces, NamespaceRequirement, NamespaceSelector, NamespacesFrom, SelectorOperator,
};
pub use claim::{StaticIPClaimSpec, VOLUME_READY};
pub use metadata::{Condition, Metadata, Status};
pub use node::{
    AddressStatus, BlockDevice, EniManager, EniStatus, FileSystem, MountStatus, NodeAttachments,
    NodeAttachmentsSpec, NodeAttachmentsStatus, NodeMetadata, NodeReport, Observation, Owner,
    Problem, Slots, Space, VolumeKind, VolumeStatus, VolumeUser,
};
pub use node_interface::{InterfacePhase, NodeInterfaceSpec};
pub use pool::{
    AddressRange, ClaimRetention, ClaimRetentionPolicy, OrphanPolicy, PoolInterfaces,
    PoolSubnetSpec, ReclaimPolicy, ReleasePolicy, StaticIPPoolSpec, StaticIPPoolStatus,
};
pub use problem::InvalidObject;
pub use static_ip::{
    AddressPhase, Attachment, AttachmentState, ClaimRef, Mutation, PendingMutation, StaticIPSpec,
    StaticIPStatus,
};
pub use yaml::{END_OF_OBJECT, InvalidYaml, MAX_BYTES, parse, render};

/// A kind of the API group.
pub trait Kind {
    /// The value of the field `kind`.
    const KIND: &'static str;
    /// The plural in URLs, and the name of the kind's directory in a file registry.
    const PLURAL: &'static str;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;
    /// Whether people write the files of this kind in a file registry. Such files need no
    /// [`END_OF_OBJECT`].
    const WRITTEN_BY_PEOPLE: bool = false;
}

/// One object of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S> {
    /// `firecamp.io/v1alpha1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name, namespace, resource version, labels and annotations.
    pub metadata: Metadata,
    /// The state that the protocol acts on.
    pub spec: S,
    /// Informational; no component acts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Address ranges for each subnet, and policies. Cluster-scoped; only users write it.
pub type StaticIPPool = Object<StaticIPPoolSpec>;
/// One address, which is also the object's name. Cluster-scoped; creating it allocates.
pub type StaticIP = Object<StaticIPSpec>;
/// A member's request for an address. Namespaced, named after the member.
pub type StaticIPClaim = Object<StaticIPClaimSpec>;
/// An interface that FireCamp makes. Cluster-scoped.
pub type NodeInterfaceObject = Object<NodeInterfaceSpec>;

impl Kind for StaticIPPoolSpec {
    const KIND: &'static str = api::POOL;
    const PLURAL: &'static str = "staticippools";
    const NAMESPACED: bool = false;
    const WRITTEN_BY_PEOPLE: bool = true;
}

impl Kind for StaticIPSpec {
    const KIND: &'static str = api::STATIC_IP;
    const PLURAL: &'static str = "staticips";
    const NAMESPACED: bool = false;
}

impl Kind for NodeAttachmentsSpec {
    const KIND: &'static str = api::NODE_ATTACHMENTS;
    const PLURAL: &'static str = "nodeattachments";
    const NAMESPACED: bool = false;
}

impl Kind for NodeInterfaceSpec {
    const KIND: &'static str = api::NODE_INTERFACE;
    const PLURAL: &'static str = "nodeinterfaces";
    const NAMESPACED: bool = false;
}

impl Kind for StaticIPClaimSpec {
    const KIND: &'static str = api::CLAIM;
    const PLURAL: &'static str = "staticipclaims";
    const NAMESPACED: bool = true;
}

impl<S: Kind> Object<S> {
    /// A new object without labels, resource version and status.
    pub fn new(metadata: Metadata, spec: S) -> Self {
        Self {
            api_version: api::VERSION.to_owned(),
            kind: S::KIND.to_owned(),
            metadata,
            spec,
            status: None,
        }
    }

    /// Kind and name for messages: `StaticIP 10.0.0.9`, `StaticIPClaim prod/redis-0`.
    pub fn label(&self) -> String {
        match &self.metadata.namespace {
            Some(namespace) => format!("{} {namespace}/{}", S::KIND, self.metadata.name),
            None => format!("{} {}", S::KIND, self.metadata.name),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers pass owned strings and errors")]
    pub(crate) fn invalid(&self, field: &str, problem: impl ToString) -> InvalidObject {
        InvalidObject::new(self.label(), field, problem.to_string())
    }

    /// Checks the fields that all kinds share: API version, kind and scope.
    pub(crate) fn check_header(&self) -> Result<(), InvalidObject> {
        if self.api_version != api::VERSION {
            let problem = format!("{:?} is not {}", self.api_version, api::VERSION);
            return Err(self.invalid("apiVersion", problem));
        }
        if self.kind != S::KIND {
            return Err(self.invalid("kind", format!("{:?} is not {}", self.kind, S::KIND)));
        }
        match (&self.metadata.namespace, S::NAMESPACED) {
            (Some(namespace), false) => {
                let problem = format!("{namespace:?}: a {} has no namespace", S::KIND);
                Err(self.invalid("metadata.namespace", problem))
            }
            (None, true) => {
                let problem = format!("is missing: a {} has a namespace", S::KIND);
                Err(self.invalid("metadata.namespace", problem))
            }
            (Some(_), true) | (None, false) => Ok(()),
        }
    }
}
