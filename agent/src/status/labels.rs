//! Metric labels: few values each, and never an address, a pod or an ID.

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::Clock;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// An external system.
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
    /// All systems.
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

    /// The name in `/v1/node`.
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
    /// The name in log lines.
    pub(crate) fn display_name(self) -> &'static str {
        match self {
            Self::Registry => "the registry",
            Self::Metadata => "the metadata service",
            Self::Ec2 => "EC2",
            Self::Ec2Volumes => "EC2 volumes",
            Self::Ec2Types => "EC2 instance types",
            Self::Kernel => "the kernel",
            Self::Volumes => "volumes of the node",
            Self::Claims => "volumes of the cluster",
        }
    }
}

/// Labels of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Executions {
    pub(crate) kind: &'static str,
}

/// Labels of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reads {
    pub(crate) system: System,
}

/// Labels of a request to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Requests {
    pub(crate) request: &'static str,
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

/// The result label of a request with this failure, or none.
pub(crate) fn result(failure: Option<CloudKind>) -> &'static str {
    match failure {
        None => "Success",
        Some(CloudKind::HeldElsewhere) => "HeldElsewhere",
        Some(CloudKind::NotOnInterface) => "NotOnInterface",
        Some(CloudKind::CapacityExceeded) => "CapacityExceeded",
        Some(CloudKind::SubnetExhausted) => "SubnetExhausted",
        Some(CloudKind::BadAddress) => "BadAddress",
        Some(CloudKind::NotFound) => "NotFound",
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

/// Labels of a pool. Pools are few, and users name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Pools {
    pub(crate) pool: String,
}
