//! Metrics of requests to EC2: counts and durations.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Histograms, add, quick};
use crate::observed_cloud::Observer;

/// A request to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Call {
    DescribeNetworkInterfaces,
    DescribeVolumes,
    DescribeInstanceTypes,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
    DescribeInstances,
    GetSubnetCidrReservations,
    CreateNetworkInterface,
    AttachNetworkInterface,
    DetachNetworkInterface,
    DeleteNetworkInterface,
}

impl Call {
    pub(crate) const ALL: [Self; 11] = [
        Self::DescribeNetworkInterfaces,
        Self::DescribeVolumes,
        Self::DescribeInstanceTypes,
        Self::AssignPrivateIpAddresses,
        Self::UnassignPrivateIpAddresses,
        Self::DescribeInstances,
        Self::GetSubnetCidrReservations,
        Self::CreateNetworkInterface,
        Self::AttachNetworkInterface,
        Self::DetachNetworkInterface,
        Self::DeleteNetworkInterface,
    ];
}

/// Labels of a request to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Calls {
    call: Call,
    result: &'static str,
}

/// The result label of a request with this failure, or none.
pub(crate) fn result(failure: Option<CloudKind>) -> &'static str {
    match failure {
        None => "Success",
        Some(CloudKind::HeldElsewhere) => "HeldElsewhere",
        Some(CloudKind::NotOnInterface) => "NotOnInterface",
        Some(CloudKind::CapacityExceeded) => "CapacityExceeded",
        Some(CloudKind::SubnetExhausted) => "SubnetExhausted",
        Some(CloudKind::AttachmentLimitExceeded) => "AttachmentLimitExceeded",
        Some(CloudKind::DeviceIndexTaken) => "DeviceIndexTaken",
        Some(CloudKind::InterfaceInUse) => "InterfaceInUse",
        Some(CloudKind::QuotaExceeded) => "QuotaExceeded",
        Some(CloudKind::BadAddress) => "BadAddress",
        Some(CloudKind::NotFound) => "NotFound",
        Some(CloudKind::Auth) => "Denied",
        Some(CloudKind::Throttled) => "Throttled",
        Some(CloudKind::Transient) => "Transient",
        Some(CloudKind::Unknown) => "Unknown",
    }
}

/// Counts and durations of all requests of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Ec2Calls {
    ended: Family<Calls, Counter>,
    durations: Histograms<Calls>,
}

impl Ec2Calls {
    /// The counters that alerts use exist from the start: `increase` misses the first increment of
    /// a new counter. The common histograms also exist, so that memory does not grow later.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ended = Family::<Calls, Counter>::default();
        for call in Call::ALL {
            for kind in [CloudKind::Throttled, CloudKind::Auth] {
                drop(ended.get_or_create(&Calls { call, result: result(Some(kind)) }));
            }
        }
        let durations = Family::new_with_constructor(quick as fn() -> Histogram);
        for call in Call::ALL {
            drop(durations.get_or_create(&Calls { call, result: result(None) }));
        }
        Self {
            ended: add(registry, "ec2_calls", ended),
            durations: add(registry, "ec2_call_duration_seconds", durations),
        }
    }
}

impl Observer for Ec2Calls {
    fn ended(&self, call: Call, failure: Option<CloudKind>, took: Duration) {
        let labels = Calls { call, result: result(failure) };
        self.ended.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
