//! Labels of metrics: few values each, and never an address, a pod or an id.

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::Clock;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    GiveWay,
    Release,
    Reassert,
    Restore,
    Collect,
}

/// All of them, what is told first coming first.
pub(crate) const KINDS: [Kind; 5] =
    [Kind::GiveWay, Kind::Release, Kind::Reassert, Kind::Restore, Kind::Collect];

/// An outside system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub(crate) enum System {
    Registry,
    Metadata,
    Ec2,
    Ec2Volumes,
    Ec2Types,
    Kernel,
    Volumes,
    Claims,
}

impl System {
    pub(crate) const ALL: [Self; 8] = [
        Self::Registry,
        Self::Metadata,
        Self::Ec2,
        Self::Ec2Volumes,
        Self::Ec2Types,
        Self::Kernel,
        Self::Volumes,
        Self::Claims,
    ];

    /// As `/v1/node` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Metadata => "metadata",
            Self::Ec2 => "ec2",
            Self::Ec2Volumes => "ec2Volumes",
            Self::Ec2Types => "ec2Types",
            Self::Kernel => "kernel",
            Self::Volumes => "volumes",
            Self::Claims => "claims",
        }
    }
}

impl System {
    /// As people call it.
    pub(crate) fn said(self) -> &'static str {
        match self {
            Self::Registry => "the registry",
            Self::Metadata => "the metadata service",
            Self::Ec2 => "EC2",
            Self::Ec2Volumes => "EC2, of volumes",
            Self::Ec2Types => "EC2, of the instance's type",
            Self::Kernel => "the kernel",
            Self::Volumes => "the node's volumes",
            Self::Claims => "the cluster's volumes",
        }
    }
}

/// Labels of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Errands {
    pub(crate) kind: Kind,
}

/// Labels of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reads {
    pub(crate) system: System,
}

/// Labels of a step of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Steps {
    pub(crate) step: &'static str,
}

/// Labels of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reasons {
    pub(crate) reason: &'static str,
}

/// Labels of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Volumes {
    pub(crate) kind: &'static str,
}

/// Labels of problems of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Problems {
    pub(crate) reason: &'static str,
}

/// A request to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Call {
    DescribeNetworkInterfaces,
    DescribeVolumes,
    DescribeInstanceTypes,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
}

impl Call {
    pub(crate) const ALL: [Self; 5] = [
        Self::DescribeNetworkInterfaces,
        Self::DescribeVolumes,
        Self::DescribeInstanceTypes,
        Self::AssignPrivateIpAddresses,
        Self::UnassignPrivateIpAddresses,
    ];
}

/// Labels of a request to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Calls {
    pub(crate) call: Call,
    pub(crate) result: &'static str,
}

/// What came of a request: no failure, or that one.
pub(crate) fn result(failure: Option<CloudKind>) -> &'static str {
    match failure {
        None => "Done",
        Some(CloudKind::HeldElsewhere) => "HeldElsewhere",
        Some(CloudKind::NotOurs) => "NotOurs",
        Some(CloudKind::CapacityExceeded) => "CapacityExceeded",
        Some(CloudKind::SubnetExhausted) => "SubnetExhausted",
        Some(CloudKind::BadAddress) => "BadAddress",
        Some(CloudKind::Gone) => "Gone",
        Some(CloudKind::Auth) => "Denied",
        Some(CloudKind::Throttled) => "Throttled",
        Some(CloudKind::Transient) => "Transient",
        Some(CloudKind::Unknown) => "Unknown",
    }
}

/// Labels of another clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Clocks {
    pub(crate) clock: &'static str,
}

pub(crate) fn clock(whose: Clock) -> &'static str {
    match whose {
        Clock::Ec2 => "Ec2",
        Clock::Metadata => "Metadata",
    }
}

/// Labels of a pool. There are few, and people name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Pools {
    pub(crate) pool: String,
}
