//! Failures of the outside systems, classified once at the adapter.

use thiserror::Error;

use crate::contract::exit::Exit;

/// Whether a failed request may have taken effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// It took no effect: the system reported that.
    None,
    /// Unknown: the answer was lost, late or unreadable.
    Unknown,
}

/// The meaning of an error of EC2 or the metadata service (ec2-semantics, error taxonomy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CloudKind {
    /// An ENI other than the named one holds the address, or the named one holds it already (EC2
    /// does not distinguish the two; a Describe does).
    HeldElsewhere,
    /// The address is not on the named ENI.
    NotOnInterface,
    /// The ENI holds as many addresses as its instance type allows.
    CapacityExceeded,
    /// The subnet has no free address.
    SubnetExhausted,
    /// The instance has as many ENIs as its type allows.
    AttachmentLimitExceeded,
    /// The instance has another ENI at that device index.
    DeviceIndexTaken,
    /// The ENI is attached, or is still being attached or detached.
    InterfaceInUse,
    /// The account has as many ENIs in the region as its quota allows.
    QuotaExceeded,
    /// The address cannot be assigned there: outside the subnet, reserved, or a primary. Or the ENI
    /// and the instance are in different availability zones.
    BadAddress,
    /// The ENI, its attachment or the instance does not exist.
    NotFound,
    /// Credentials, permissions or the clock.
    Auth,
    /// Too many requests.
    Throttled,
    /// A temporary failure.
    Transient,
    /// Anything else: wrong settings, a bug in FireCamp, or a change of EC2.
    Unknown,
}

/// A failed call to EC2 or IMDS. `detail` contains the request and its object, the error code, the
/// message and the request id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct CloudFailure {
    /// What it means.
    pub kind: CloudKind,
    /// Whether it may have taken effect.
    pub effect: Effect,
    /// The text for people.
    pub detail: String,
}

/// What a failed registry request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RegistryKind {
    /// The object changed since it was read.
    Conflict,
    /// An object of that name exists already.
    AlreadyExists,
    /// No such object.
    NotFound,
    /// The registry cannot be reached or did not answer.
    Unavailable,
    /// The stored object is malformed.
    Invalid,
    /// The registry refuses the request (permissions, schema).
    Refused,
}

impl RegistryKind {
    /// The exit code of a process that fails because of it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Unavailable | Self::Conflict | Self::AlreadyExists => Exit::RegistryUnavailable,
            Self::NotFound | Self::Invalid => Exit::RegistryInvalid,
            Self::Refused => Exit::RegistryRefused,
        }
    }
}

/// A failed registry request. `detail` names the operation and the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct RegistryFailure {
    /// What it means.
    pub kind: RegistryKind,
    /// Whether a write may have taken effect.
    pub effect: Effect,
    /// The text for people.
    pub detail: String,
}

/// What a failed kernel or lock operation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum HostKind {
    /// A higher epoch holds the address on this node.
    Superseded,
    /// No link has the ENI's MAC (yet).
    NoLink,
    /// The lock could not be acquired in time; `detail` names its holder.
    Busy,
    /// The kernel refused.
    Refused,
}

/// A failed kernel or lock operation. `detail` names the operation and the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct HostFailure {
    /// What it means.
    pub kind: HostKind,
    /// The text for people.
    pub detail: String,
}

/// A failed operation on the static-IP file. `detail` names the operation and the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{detail}")]
pub struct FileFailure {
    /// The text for people.
    pub detail: String,
}

/// An error and all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
