//! `StaticIP`: one address, whose it is, and who holds it where.

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

/// What decides about an address. `address`, `pool`, `subnet`, `cidr`, `zone` and `claimRef`
/// never change, and `epoch` never shrinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticIPSpec {
    /// The address; the same as the object's name.
    pub address: String,
    /// The pool that it came from.
    pub pool: String,
    /// The id of its EC2 subnet.
    pub subnet: String,
    /// The CIDR block of the subnet.
    pub cidr: String,
    /// The availability zone of the subnet.
    pub zone: String,
    /// The claim, and so the member, that it belongs to.
    pub claim_ref: ClaimRef,
    /// Grows by one with each attachment. Who holds an old one changes nothing.
    pub epoch: u64,
    /// Who holds the address, or held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// The ENI on which EC2 was last known to have the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_on: Option<String>,
    /// EC2 calls that may be in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsettled: Vec<Mark>,
}

/// What is reported about an address. Nothing decides by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StaticIPStatus {
    /// Unset while a claim names the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AddressPhase>,
    /// Kubernetes' conditions, at most one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Where an address is in its life, beside its attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AddressPhase {
    /// Its claim is gone.
    Released,
}

/// The claim that an address belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRef {
    /// The member's namespace.
    pub namespace: String,
    /// The member's pod name.
    pub name: String,
}

/// Which pod on which node and ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// Where it stands.
    pub state: AttachmentState,
    /// The UID of the pod.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The node of the pod.
    pub node_name: String,
    /// The ENI; none while the address leaves EC2 and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The process that wrote this.
    pub run: String,
    /// This pod has completed an attach on this node before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
}

/// Where an attachment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AttachmentState {
    /// Taken; EC2, kernel and file are on their way.
    Attaching,
    /// EC2, kernel and file agreed when this was written.
    Attached,
    /// Released; EC2 keeps the address on the ENI.
    Parked,
    /// On its way out of EC2.
    Releasing,
    /// Out of EC2.
    Released,
}

/// An EC2 call that may be in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mark {
    /// Which call.
    pub mutation: Mutation,
    /// The ENI that it names.
    pub eni: String,
    /// The process that sends it.
    pub run: String,
}

/// The EC2 call that a mark announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mutation {
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
}

/// Parses an IPv4 block whose host bits are zero, as EC2 shows it.
pub(super) fn parse_cidr(text: &str) -> Result<Ipv4Net, InvalidId> {
    let wrong = || InvalidId {
        kind: "IPv4 CIDR block",
        expected: "ADDRESS/LENGTH whose host bits are zero, as 10.0.0.0/24",
        text: text.chars().take(80).collect(),
    };
    let block: Ipv4Net = text.parse().map_err(|_source| wrong())?;
    if block.trunc() == block && block.to_string() == text { Ok(block) } else { Err(wrong()) }
}

impl From<&record::StaticIp> for StaticIP {
    fn from(ip: &record::StaticIp) -> Self {
        let name = ip.address.to_string();
        let mark = |mark: &record::Mark| Mark {
            mutation: match mark.mutation {
                record::Mutation::Assign => Mutation::Assign,
                record::Mutation::Unassign => Mutation::Unassign,
            },
            eni: mark.eni.to_string(),
            run: mark.run.to_string(),
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
            unsettled: ip.unsettled.iter().map(mark).collect(),
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
            unsettled: marks(object)?,
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

fn marks(object: &StaticIP) -> Result<BTreeSet<record::Mark>, InvalidObject> {
    let mark = |(index, wire): (usize, &Mark)| {
        let field = |name: &str| format!("spec.unsettled[{index}].{name}");
        Ok(record::Mark {
            mutation: match wire.mutation {
                Mutation::Assign => record::Mutation::Assign,
                Mutation::Unassign => record::Mutation::Unassign,
            },
            eni: EniId::new(&wire.eni).map_err(|wrong| object.invalid(&field("eni"), wrong))?,
            run: RunId::new(&wire.run).map_err(|wrong| object.invalid(&field("run"), wrong))?,
        })
    };
    object.spec.unsettled.iter().enumerate().map(mark).collect()
}
