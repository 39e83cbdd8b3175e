//! `NodeInterface`: the record of one network interface that FireCamp makes.

use std::collections::BTreeSet;

use firecamp_core::ids::{EniId, InstanceId, NodeName, SubnetId};
use firecamp_core::managed_interface as managed;
use serde::{Deserialize, Serialize};

use super::problem::InvalidObject;
use super::{Metadata, NodeInterfaceObject};

/// A network interface (ENI) that FireCamp makes for a node. The record exists before the interface
/// and until EC2 has deleted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInterfaceSpec {
    /// The name of the node. Immutable.
    pub node_name: String,
    /// The EC2 instance ID of the node. Immutable.
    pub instance: String,
    /// The EC2 subnet ID. Immutable.
    pub subnet: String,
    /// The IDs of the security groups. Immutable.
    pub security_groups: Vec<String>,
    /// How far the interface has come.
    pub phase: InterfacePhase,
    /// The ENI ID, once EC2 has created the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// No further member can get the interface. The agent of the node sets this once it has
    /// excluded an interface that is removed, and FireCamp detaches it only then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excluded: bool,
}

/// How far the interface has come. A phase only follows those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum InterfacePhase {
    /// FireCamp creates it and attaches it to the instance.
    Creating,
    /// It is attached, and members may get it.
    Attached,
    /// FireCamp removes it: members no longer get it. Set this phase to remove an interface.
    Draining,
    /// It was detached and without addresses for five minutes; FireCamp deletes it.
    Deleting,
}

impl From<managed::Phase> for InterfacePhase {
    fn from(phase: managed::Phase) -> Self {
        match phase {
            managed::Phase::Creating => Self::Creating,
            managed::Phase::Attached => Self::Attached,
            managed::Phase::Draining => Self::Draining,
            managed::Phase::Deleting => Self::Deleting,
        }
    }
}

impl From<InterfacePhase> for managed::Phase {
    fn from(phase: InterfacePhase) -> Self {
        match phase {
            InterfacePhase::Creating => Self::Creating,
            InterfacePhase::Attached => Self::Attached,
            InterfacePhase::Draining => Self::Draining,
            InterfacePhase::Deleting => Self::Deleting,
        }
    }
}

impl NodeInterfaceObject {
    /// The object of a record.
    pub fn of(name: &str, record: &managed::NodeInterface) -> Self {
        let spec = NodeInterfaceSpec {
            node_name: record.node.to_string(),
            instance: record.instance.to_string(),
            subnet: record.subnet.to_string(),
            security_groups: record.groups.iter().cloned().collect(),
            phase: record.phase.into(),
            eni: record.eni.as_ref().map(ToString::to_string),
            excluded: record.excluded,
        };
        Self::new(Metadata::cluster(name), spec)
    }
}

impl TryFrom<&NodeInterfaceObject> for managed::NodeInterface {
    type Error = InvalidObject;

    fn try_from(object: &NodeInterfaceObject) -> Result<Self, InvalidObject> {
        object.check_header()?;
        let spec = &object.spec;
        let groups: BTreeSet<String> = spec.security_groups.iter().cloned().collect();
        if groups.is_empty() {
            return Err(object.invalid("spec.securityGroups", "needs at least one"));
        }
        Ok(Self {
            node: NodeName::new(&spec.node_name)
                .map_err(|wrong| object.invalid("spec.nodeName", wrong))?,
            instance: InstanceId::new(&spec.instance)
                .map_err(|wrong| object.invalid("spec.instance", wrong))?,
            subnet: SubnetId::new(&spec.subnet)
                .map_err(|wrong| object.invalid("spec.subnet", wrong))?,
            groups,
            phase: spec.phase.into(),
            eni: spec
                .eni
                .as_deref()
                .map(EniId::new)
                .transpose()
                .map_err(|wrong| object.invalid("spec.eni", wrong))?,
            excluded: spec.excluded,
        })
    }
}
