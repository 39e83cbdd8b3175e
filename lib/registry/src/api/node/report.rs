//! `NodeAttachments` as an object, and as the agent of the node shows it on the spot.

use firecamp_core::contract::api;
use serde::{Deserialize, Serialize};

use super::{NodeAttachmentsSpec, NodeAttachmentsStatus};

/// What is attached to the node of this name. Cluster-scoped, owned by the Node, written by the
/// node's agent. Nothing decides by it, so fields that are not known here are let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAttachments {
    /// `firecamp.io/v1alpha1`.
    pub api_version: String,
    /// `NodeAttachments`.
    pub kind: String,
    /// Name, version and owner.
    pub metadata: NodeMetadata,
    /// Empty.
    #[serde(default)]
    pub spec: NodeAttachmentsSpec,
    /// What the agent sees.
    #[serde(default)]
    pub status: NodeAttachmentsStatus,
}

/// The metadata of a [`NodeAttachments`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeMetadata {
    /// The name of the node.
    pub name: String,
    /// The version that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// The Node, with which it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Owner>,
}

/// An owner, as Kubernetes spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The version of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl NodeAttachments {
    /// That of a node, whose UID is known if the API has been asked.
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

/// What the agent's `/v1/node` answers: the object as it would be published now, and how old it is
/// what the agent knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReport {
    /// The object.
    #[serde(flatten)]
    pub object: NodeAttachments,
    /// What was asked, and when it was last answered.
    #[serde(default)]
    pub observed: Vec<Observation>,
}

/// What the agent knows of one outside system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The system: `registry`, `metadata`, `ec2`, `kernel`, `volumes`.
    pub of: String,
    /// How long ago it was last read. Unset if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_ago: Option<u64>,
    /// Why the last attempt failed. Unset if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_its_object_with_more_in_it() {
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
    fn what_the_api_server_adds_is_let_pass() {
        let text = r#"{"apiVersion":"firecamp.io/v1alpha1","kind":"NodeAttachments",
            "metadata":{"name":"n","uid":"u","managedFields":[],"creationTimestamp":null}}"#;
        let read: NodeAttachments = serde_json::from_str(text).unwrap();
        assert_eq!(read, NodeAttachments::new("n", None, NodeAttachmentsStatus::default()));
    }
}
