//! The calls to EC2 of an operation of the leader, recorded for the leader's controller.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_controllers::leader::{self, Ec2Call};
use firecamp_core::failure::CloudKind;
use tokio::time::Instant;

use crate::observed_cloud::Observer;
use crate::status::Call;

/// The calls so far. A cancelled call has no end.
#[derive(Debug)]
pub(super) struct RecordedCalls {
    calls: Mutex<Vec<Ec2Call>>,
    origin: Instant,
}

impl RecordedCalls {
    pub(super) fn begin() -> Self {
        Self { calls: Mutex::default(), origin: Instant::now() }
    }

    pub(super) fn into_calls(self) -> Vec<Ec2Call> {
        self.calls.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, call: Ec2Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl Observer for RecordedCalls {
    fn sent(&self, call: Call) {
        self.push(Ec2Call::Sent(kind(call), self.origin.elapsed()));
    }

    fn ended(&self, call: Call, failure: Option<CloudKind>, _took: Duration) {
        self.push(Ec2Call::Ended(kind(call), failure));
    }
}

fn kind(call: Call) -> leader::Call {
    match call {
        Call::DescribeNetworkInterfaces
        | Call::DescribeVolumes
        | Call::DescribeInstanceTypes
        | Call::DescribeInstances
        | Call::GetSubnetCidrReservations => leader::Call::Read,
        Call::AssignPrivateIpAddresses
        | Call::UnassignPrivateIpAddresses
        | Call::CreateNetworkInterface
        | Call::AttachNetworkInterface
        | Call::DetachNetworkInterface
        | Call::DeleteNetworkInterface => leader::Call::Change,
    }
}
