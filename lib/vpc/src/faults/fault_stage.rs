//! At which stage of a call, or outside of calls, a fault applies.

use super::Fault;

/// The stage at which a fault applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// When an EC2 call arrives, before authentication.
    Clock,
    /// When an EC2 call arrives, between authentication and parsing.
    Gate,
    /// While an EC2 call is executed.
    Execution,
    /// When EC2 responds.
    Delivery,
    /// In the metadata service.
    Imds,
    /// In the background.
    Background,
}

impl Fault {
    /// The stage at which this fault applies.
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::ClockSkew { .. } => Stage::Clock,
            Self::Error { .. }
            | Self::ThrottleStorm { .. }
            | Self::Bucket { .. }
            | Self::IamDeny {}
            | Self::CredentialsExpire {} => Stage::Gate,
            Self::StaleDescribe { .. }
            | Self::DescribeTimeTravel { .. }
            | Self::DescribeOmits {}
            | Self::ShortPages { .. }
            | Self::EmptyPageWithToken {}
            | Self::LoopingToken {}
            | Self::TokenExpires {}
            | Self::Limit { .. }
            | Self::EniLimit { .. }
            | Self::EniQuota { .. }
            | Self::SubnetFull { .. }
            | Self::AssignOwn { .. }
            | Self::ResourceAlreadyAssignedCode {} => Stage::Execution,
            Self::LostResponse { .. }
            | Self::Delay { .. }
            | Self::Hang { .. }
            | Self::DropConn { .. }
            | Self::HttpStatus { .. }
            | Self::LateLanding { .. } => Stage::Delivery,
            Self::ImdsFrozen {}
            | Self::ImdsGhost {}
            | Self::ImdsMissing { .. }
            | Self::ImdsPartial { .. }
            | Self::ImdsEmpty {}
            | Self::ImdsError { .. }
            | Self::ImdsDown {}
            | Self::ImdsPpsDrop { .. }
            | Self::ImdsToken401 {}
            | Self::ImdsHopTimeout {}
            | Self::ImdsDeviceNumberZero {}
            | Self::ImdsTimeTravel { .. } => Stage::Imds,
            Self::ExternalReassignment { .. }
            | Self::ExternalUnassign { .. }
            | Self::AutoAssignPressure { .. }
            | Self::EniStuck { .. }
            | Self::VolumeStuck { .. } => Stage::Background,
        }
    }
}
