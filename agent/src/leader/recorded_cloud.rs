//! EC2 as an operation of the leader calls it: records each call for the leader's controller.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use firecamp_controllers::leader::{Call, Ec2Call};
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner};
use tokio::time::Instant;

/// A cloud that records its calls.
#[derive(Debug)]
pub(super) struct RecordedCloud<'a, C> {
    cloud: &'a C,
    calls: Mutex<Vec<Ec2Call>>,
    origin: Instant,
}

impl<'a, C> RecordedCloud<'a, C> {
    pub(super) fn new(cloud: &'a C) -> Self {
        Self { cloud, calls: Mutex::default(), origin: Instant::now() }
    }

    /// The calls so far.
    pub(super) fn into_calls(self) -> Vec<Ec2Call> {
        self.calls.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records one call. A cancelled call counts as unanswered.
    async fn record<T>(
        &self,
        call: Call,
        request: impl Future<Output = Result<T, CloudFailure>>,
    ) -> Result<T, CloudFailure> {
        self.push(Ec2Call::Sent(call, self.origin.elapsed()));
        let answer = request.await;
        self.push(Ec2Call::Ended(call, answer.as_ref().err().map(|failure| failure.kind)));
        answer
    }

    fn push(&self, call: Ec2Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl<C: Cloud> Cloud for RecordedCloud<'_, C> {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.cloud.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.cloud.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.record(Call::Read, self.cloud.owner(address, subnet)).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.record(Call::Change, self.cloud.assign(eni, address, force, within)).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.record(Call::Change, self.cloud.unassign(eni, address, within)).await
    }
}
