//! `NodeAttachments` as an API object, and as the agent of the node serves it.

use firecamp_core::contract::api;
use serde::{Deserialize, Serialize};

use super::{NodeAttachmentsSpec, NodeAttachmentsStatus};

/// What is attached to the node of this name. Cluster-scoped, owned by the Node, written by the
/// node's agent. No component acts on it, so unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAttachments {
    /// `firecamp.io/v1alpha1`.
    pub api_version: String,
    /// `NodeAttachments`.
    pub kind: String,
    /// Name, resource version and owner.
    pub metadata: NodeMetadata,
    /// Empty.
    #[serde(default)]
    pub spec: NodeAttachmentsSpec,
    /// The state that the agent observes.
    #[serde(default)]
    pub status: NodeAttachmentsStatus,
}

/// The metadata of a [`NodeAttachments`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeMetadata {
    /// The name of the node.
    pub name: String,
    /// The resource version that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// The Node; when it is deleted, this object is garbage-collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Owner>,
}

/// A Kubernetes owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The API version of the owner.
    pub api_version: String,
    /// The kind of the owner.
    pub kind: String,
    /// The name of the owner.
    pub name: String,
    /// The UID of the owner.
    pub uid: String,
}

impl NodeAttachments {
    /// The object of a node; with the node's UID, the Node becomes its owner.
    pub fn new(node: &str, uid: Option<&str>, status: NodeAttachmentsStatus) -> Self {
        let owner = |uid: &str| Owner {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.to_owned(),
            uid: uid.to_owned(),
        };
        Self {
            api_version: api::VERSION.to_owned(),
            kind: api::NODE_ATTACHMENTS.to_owned(),
            metadata: NodeMetadata {
                name: node.to_owned(),
                resource_version: None,
                owner_references: uid.map(owner).into_iter().collect(),
            },
            spec: NodeAttachmentsSpec {},
            status,
        }
    }
}

/// The response of the agent's `/v1/node`: the object as it would be published now, and the age
/// of each observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// The object.
    #[serde(flatten)]
    pub object: NodeAttachments,
    /// The systems that the agent reads, and when each was last read.
    #[serde(default)]
    pub observed: Vec<Observation>,
}

/// The age of the agent's knowledge of one outside system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The system: `registry`, `metadata`, `ec2`, `kernel`, `volumes`.
    pub of: String,
    /// The seconds since the last successful read. Unset before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_ago: Option<u64>,
    /// Why the last attempt failed. Unset if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_parses_as_its_object() {
        let object =
            NodeAttachments::new("node-1", Some("uid-1"), NodeAttachmentsStatus::default());
        let of = "kernel".to_owned();
        let observed = vec![Observation { of, seconds_ago: Some(3), failure: None }];
        let report = NodeReport { object: object.clone(), observed };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<NodeReport>(&text).unwrap(), report);
        assert_eq!(serde_json::from_str::<NodeAttachments>(&text).unwrap(), object);
        assert!(text.contains(r#""ownerReferences":[{"apiVersion":"v1","kind":"Node""#), "{text}");
    }

    #[test]
    fn fields_that_the_api_server_adds_are_ignored() {
        let text = r#"{"apiVersion":"firecamp.io/v1alpha1","kind":"NodeAttachments",
            "metadata":{"name":"n","uid":"u","managedFields":[],"creationTimestamp":null}}"#;
        let read: NodeAttachments = serde_json::from_str(text).unwrap();
        assert_eq!(read, NodeAttachments::new("n", None, NodeAttachmentsStatus::default()));
    }
}
