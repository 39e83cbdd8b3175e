//! `StaticIP`: one address, the member that owns it, and the pod, node and ENI that hold it.

use std::collections::BTreeSet;

use firecamp_core::ids::{
    EniId, Epoch, InvalidId, Member, NodeName, PodUid, PoolName, RunId, SubnetId, Zone,
    parse_address,
};
use firecamp_core::record;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::problem::InvalidObject;
use super::{Condition, Metadata, StaticIP};
use crate::rules;

/// The owner and the attachment of the address. `address`, `pool`, `subnet`, `cidr`, `zone` and
/// `claimRef` are immutable, and `epoch` never decreases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPSpec {
    /// The IP address; the same as the object's name.
    pub address: String,
    /// The name of the pool that the address was allocated from.
    pub pool: String,
    /// The EC2 subnet ID.
    pub subnet: String,
    /// The CIDR block of the subnet.
    pub cidr: String,
    /// The availability zone of the subnet.
    pub zone: String,
    /// The claim, and thus the member, that owns the address.
    pub claim_ref: ClaimRef,
    /// Increases by one with each attachment. A holder with an older epoch is superseded and
    /// changes nothing.
    pub epoch: u64,
    /// The pod, node and ENI that hold the address, or that held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// The ENI that EC2 was last known to have the address on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_on: Option<String>,
    /// EC2 calls for this address that may be in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_mutations: Vec<PendingMutation>,
}

/// The reported state of the address. Informational; no component acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StaticIPStatus {
    /// The lifecycle phase of the address. Unset while its claim exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AddressPhase>,
    /// Conditions of the address; at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The lifecycle phase of an address, independent of its attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AddressPhase {
    /// The claim was deleted; the pool's reclaim policy applies.
    Released,
}

/// The claim that owns the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRef {
    /// The namespace of the member.
    pub namespace: String,
    /// The pod name of the member.
    pub name: String,
}

/// The pod, node and ENI that hold the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// The state of the attachment.
    pub state: AttachmentState,
    /// The UID of the pod.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The node that the pod runs on.
    pub node_name: String,
    /// The ENI ID. Unset while the address is being removed from EC2 and afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The ID of the process run that wrote this attachment.
    pub run: String,
    /// Whether this pod has completed an attach on this node before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
}

/// The state of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AttachmentState {
    /// The pod has acquired the address; EC2, the kernel and the static-IP file are being updated.
    Attaching,
    /// EC2, the kernel and the static-IP file had the address when this state was written.
    Attached,
    /// The pod released the address; EC2 keeps it assigned to the ENI.
    Parked,
    /// The address is being unassigned from the ENI.
    Releasing,
    /// The address is unassigned from the ENI.
    Released,
}

/// An EC2 call that may be in flight. It is recorded before the call is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PendingMutation {
    /// The EC2 call.
    pub mutation: Mutation,
    /// The ENI that the call changes.
    pub eni: String,
    /// The ID of the process run that sends the call.
    pub run: String,
}

/// The EC2 call of a pending mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mutation {
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
}

/// Parses an IPv4 CIDR block whose host bits are zero, as EC2 shows it.
pub(super) fn parse_cidr(text: &str) -> Result<Ipv4Net, InvalidId> {
    let wrong = || InvalidId {
        kind: "IPv4 CIDR block",
        expected: "ADDRESS/LENGTH with zero host bits, for example 10.0.0.0/24",
        text: text.chars().take(80).collect(),
    };
    let block: Ipv4Net = text.parse().map_err(|_source| wrong())?;
    if block.trunc() == block && block.to_string() == text { Ok(block) } else { Err(wrong()) }
}

impl From<&record::StaticIp> for StaticIP {
    fn from(ip: &record::StaticIp) -> Self {
        let name = ip.address.to_string();
        let pending = |pending: &record::PendingMutation| PendingMutation {
            mutation: match pending.mutation {
                record::Mutation::Assign => Mutation::Assign,
                record::Mutation::Unassign => Mutation::Unassign,
            },
            eni: pending.eni.to_string(),
            run: pending.run.to_string(),
        };
        let spec = StaticIPSpec {
            address: name.clone(),
            pool: ip.pool.to_string(),
            subnet: ip.subnet.to_string(),
            cidr: ip.cidr.to_string(),
            zone: ip.zone.to_string(),
            claim_ref: ClaimRef {
                namespace: ip.member.namespace().to_owned(),
                name: ip.member.name().to_owned(),
            },
            epoch: ip.epoch.0,
            attachment: ip.attachment.as_ref().map(Attachment::from),
            reserved_on: ip.reserved_on.as_ref().map(EniId::to_string),
            pending_mutations: ip.pending_mutations.iter().map(pending).collect(),
        };
        Self::new(Metadata::cluster(&name), spec)
    }
}

impl From<&record::Attachment> for Attachment {
    fn from(attachment: &record::Attachment) -> Self {
        Self {
            state: match attachment.state {
                record::State::Attaching => AttachmentState::Attaching,
                record::State::Attached => AttachmentState::Attached,
                record::State::Parked => AttachmentState::Parked,
                record::State::Releasing => AttachmentState::Releasing,
                record::State::Released => AttachmentState::Released,
            },
            pod_uid: attachment.pod.to_string(),
            node_name: attachment.node.to_string(),
            eni: attachment.eni.as_ref().map(EniId::to_string),
            run: attachment.run.to_string(),
            served: attachment.served,
        }
    }
}

impl TryFrom<&StaticIP> for record::StaticIp {
    type Error = InvalidObject;

    fn try_from(object: &StaticIP) -> Result<Self, InvalidObject> {
        object.check_header()?;
        let spec = &object.spec;
        let invalid = |field: &'static str| move |wrong: InvalidId| object.invalid(field, wrong);
        let address = parse_address(&spec.address).map_err(invalid("spec.address"))?;
        if object.metadata.name != spec.address {
            let problem = format!("{:?} is not the object's name", spec.address);
            return Err(object.invalid("spec.address", problem));
        }
        let claim = &spec.claim_ref;
        let record = Self {
            address,
            pool: PoolName::new(&spec.pool).map_err(invalid("spec.pool"))?,
            subnet: SubnetId::new(&spec.subnet).map_err(invalid("spec.subnet"))?,
            cidr: parse_cidr(&spec.cidr).map_err(invalid("spec.cidr"))?,
            zone: Zone::new(&spec.zone).map_err(invalid("spec.zone"))?,
            member: Member::new(&claim.namespace, &claim.name).map_err(invalid("spec.claimRef"))?,
            epoch: Epoch(spec.epoch),
            attachment: spec.attachment.as_ref().map(|a| attachment(object, a)).transpose()?,
            reserved_on: eni(object, "spec.reservedOn", spec.reserved_on.as_deref())?,
            pending_mutations: pending_mutations(object)?,
        };
        rules::check_static_ip(&record).map_err(|(field, text)| object.invalid(&field, text))?;
        Ok(record)
    }
}

fn eni(object: &StaticIP, field: &str, text: Option<&str>) -> Result<Option<EniId>, InvalidObject> {
    text.map(EniId::new).transpose().map_err(|wrong| object.invalid(field, wrong))
}

fn attachment(object: &StaticIP, wire: &Attachment) -> Result<record::Attachment, InvalidObject> {
    let invalid = |field: &'static str| move |wrong: InvalidId| object.invalid(field, wrong);
    Ok(record::Attachment {
        state: match wire.state {
            AttachmentState::Attaching => record::State::Attaching,
            AttachmentState::Attached => record::State::Attached,
            AttachmentState::Parked => record::State::Parked,
            AttachmentState::Releasing => record::State::Releasing,
            AttachmentState::Released => record::State::Released,
        },
        pod: PodUid::new(&wire.pod_uid).map_err(invalid("spec.attachment.podUID"))?,
        node: NodeName::new(&wire.node_name).map_err(invalid("spec.attachment.nodeName"))?,
        eni: eni(object, "spec.attachment.eni", wire.eni.as_deref())?,
        run: RunId::new(&wire.run).map_err(invalid("spec.attachment.run"))?,
        served: wire.served,
    })
}

fn pending_mutations(
    object: &StaticIP,
) -> Result<BTreeSet<record::PendingMutation>, InvalidObject> {
    let pending = |(index, wire): (usize, &PendingMutation)| {
        let field = |name: &str| format!("spec.pendingMutations[{index}].{name}");
        Ok(record::PendingMutation {
            mutation: match wire.mutation {
                Mutation::Assign => record::Mutation::Assign,
                Mutation::Unassign => record::Mutation::Unassign,
            },
            eni: EniId::new(&wire.eni).map_err(|wrong| object.invalid(&field("eni"), wrong))?,
            run: RunId::new(&wire.run).map_err(|wrong| object.invalid(&field("run"), wrong))?,
        })
    };
    object.spec.pending_mutations.iter().enumerate().map(pending).collect()
}
