//! Failures of the outside systems, classified once where they enter.

use thiserror::Error;

use crate::contract::exit::Exit;

/// Whether a request that failed may have taken effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// It took no effect: the system said so.
    None,
    /// Nobody knows: the answer was lost, late or unreadable.
    Unknown,
}

/// What EC2's or the metadata service's answer means (ec2-semantics, error taxonomy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CloudKind {
    /// The address is held by an ENI other than the named one; or it is ours already
    /// (EC2 does not say which: a Describe does).
    HeldElsewhere,
    /// The address is not on the named ENI.
    NotOurs,
    /// The ENI holds as many addresses as its instance type allows.
    CapacityExceeded,
    /// The subnet has no free address.
    SubnetExhausted,
    /// The address cannot be assigned there: outside the subnet, reserved, or a primary.
    BadAddress,
    /// The ENI or instance does not exist.
    Gone,
    /// Credentials, permissions or the clock.
    Auth,
    /// Too many requests.
    Throttled,
    /// May pass by itself.
    Transient,
    /// An answer that nobody has listed: our bug, or EC2's news.
    Unknown,
}

/// A failed call to EC2 or IMDS. `detail` says what was asked of what, the code, the message and
/// the request id.
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
    /// The stored object is not what it should be.
    Invalid,
    /// The registry refuses the request (permissions, schema).
    Refused,
}

impl RegistryKind {
    /// How a process ends that cannot go on for it.
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
    /// The lock was not to be had in time; `detail` names who holds it.
    Busy,
    /// The kernel refuses.
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
