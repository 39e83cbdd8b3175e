//! The objects as people and the Kubernetes API see them, in `firecamp.io/v1alpha1`.
//!
//! The spec of an object decides, so the attachment, its epoch and its marks are spec; the status
//! only reports. Fields hold text here; [`TryFrom`] and the `record` methods turn an object into
//! a record of the core, and name object, field and value of what is wrong.

mod claim;
mod metadata;
mod node;
mod pool;
mod problem;
mod static_ip;
mod yaml;

use firecamp_core::contract::api;
use serde::{Deserialize, Serialize};

pub use claim::{StaticIPClaimSpec, VOLUME_READY};
pub use metadata::{Condition, Metadata, Status};
pub use node::{
    AddressStatus, BlockDevice, EniManager, EniStatus, FileSystem, MountStatus, NodeAttachments,
    NodeAttachmentsSpec, NodeAttachmentsStatus, NodeMetadata, NodeReport, Observation, Owner,
    Problem, Slots, Space, VolumeKind, VolumeStatus, VolumeUser,
};
pub use pool::{
    AddressRange, ClaimRetention, ClaimRetentionPolicy, PoolSubnetSpec, ReclaimPolicy,
    ReleasePolicy, StaticIPPoolSpec, StaticIPPoolStatus, UnclaimedPolicy,
};
pub use problem::InvalidObject;
pub use static_ip::{
    AddressPhase, Attachment, AttachmentState, ClaimRef, Mark, Mutation, StaticIPSpec,
    StaticIPStatus,
};
pub use yaml::{END_OF_OBJECT, InvalidYaml, MAX_BYTES, parse, render};

/// A kind of the API group.
pub trait Kind {
    /// As in the field `kind`.
    const KIND: &'static str;
    /// As in URLs, and the name of the kind's directory in a file registry.
    const PLURAL: &'static str;
    /// Whether objects live in a namespace.
    const NAMESPACED: bool;
}

/// One object of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object<S> {
    /// `firecamp.io/v1alpha1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name, namespace, version and labels.
    pub metadata: Metadata,
    /// What decides.
    pub spec: S,
    /// What only reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Ranges of addresses per subnet, and policies. Cluster-scoped; written by people only.
pub type StaticIPPool = Object<StaticIPPoolSpec>;
/// One address, which is also the object's name. Cluster-scoped; creating it allocates.
pub type StaticIP = Object<StaticIPSpec>;
/// One member's need for an address. Namespaced, named after the member.
pub type StaticIPClaim = Object<StaticIPClaimSpec>;

impl Kind for StaticIPPoolSpec {
    const KIND: &'static str = api::POOL;
    const PLURAL: &'static str = "staticippools";
    const NAMESPACED: bool = false;
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

impl Kind for StaticIPClaimSpec {
    const KIND: &'static str = api::CLAIM;
    const PLURAL: &'static str = "staticipclaims";
    const NAMESPACED: bool = true;
}

impl<S: Kind> Object<S> {
    /// A new object without labels and without a version.
    pub fn new(metadata: Metadata, spec: S) -> Self {
        Self {
            api_version: api::VERSION.to_owned(),
            kind: S::KIND.to_owned(),
            metadata,
            spec,
            status: None,
        }
    }

    /// The object as people call it: `StaticIP 10.0.0.9`, `StaticIPClaim prod/redis-0`.
    pub fn label(&self) -> String {
        match &self.metadata.namespace {
            Some(namespace) => format!("{} {namespace}/{}", S::KIND, self.metadata.name),
            None => format!("{} {}", S::KIND, self.metadata.name),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over texts and errors")]
    pub(crate) fn invalid(&self, field: &str, problem: impl ToString) -> InvalidObject {
        InvalidObject::new(self.label(), field, problem.to_string())
    }

    /// Checks what is the same for all kinds: API version, kind and scope.
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
